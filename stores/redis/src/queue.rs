//! What waits to be sent.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use idem_runtime::Text;
use idem_runtime::store::{Reply, Request, Responder};
use redis::{Cmd, Value};
use tokio::sync::Notify;

use crate::cluster::Node;
use crate::failure::{Failure, Remedy};
use crate::operation::{Next, Operation};
use crate::scripts::Scripts;

/// One command on its way to the server, and what its answer is for.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) command: Cmd,
    pub(crate) asks: Asks,
    /// Since when it is asked.
    pub(crate) since: Instant,
    /// Until when it is answered.
    pub(crate) until: Instant,
    /// It was sent, and its answer is lost: it may have been carried out.
    pub(crate) lost: bool,
    /// It went out with others, of which one failed: it may have been carried out, and is asked again by itself.
    pub(crate) alone: bool,
    /// The last thing that went wrong with it.
    pub(crate) failed: Option<Failure>,
}

/// Who asks.
#[derive(Debug)]
pub(crate) enum Asks {
    /// A request of the protocol.
    Request(Box<Operation>, Responder, Text),
    /// The store itself, for a single command; in a cluster of this node.
    Command(oneshot::Sender<Result<Value, Failure>>, Option<Node>),
}

impl Job {
    /// What its answer leads to: the next command of the same request, if that is not over. What too few replicas have is
    /// not promised.
    pub(crate) fn answered(self, value: Value, scripts: &Scripts, replicas: Replicas) -> Option<Job> {
        let Job { asks, since, until, .. } = self;
        match asks {
            Asks::Command(sender, _) => {
                let _ = sender.send(Ok(value));
                None
            }
            Asks::Request(mut operation, responder, store) => match operation.answered(value, scripts) {
                Ok(Next::Answer(reply)) => {
                    responder.answer(match replicas.enough() {
                        Err(failure) if promises(&reply) => Err(failure.explain(&store, true)),
                        _ => Ok(reply),
                    });
                    None
                }
                Ok(Next::Ask(command)) => {
                    let asks = Asks::Request(operation, responder, store);
                    Some(Job { command, asks, since, until, lost: false, alone: false, failed: None })
                }
                Err(failure) => {
                    responder.answer(Err(failure.explain(&store, false)));
                    None
                }
            },
        }
    }

    /// Whether it may write, so that replicas have to follow.
    pub(crate) fn writes(&self) -> bool {
        match &self.asks {
            Asks::Request(operation, ..) => !matches!(operation.request, Request::Get { .. }),
            Asks::Command(..) => false,
        }
    }

    /// Its answer will not come.
    pub(crate) fn lost(mut self) -> Self {
        self.lost = true;
        self
    }

    /// Those that it went out with cannot be told from it: it is asked again by itself.
    pub(crate) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// It failed for good.
    pub(crate) fn give_up(self, failure: Failure) {
        match self.asks {
            Asks::Request(_, responder, store) => responder.answer(Err(failure.explain(&store, self.lost))),
            Asks::Command(sender, _) => {
                let _ = sender.send(Err(failure));
            }
        }
    }

    /// Its time is up.
    pub(crate) fn late(mut self, limit: Duration) {
        self.lost |= self.alone;
        let failure = match self.failed.clone() {
            Some(failure) => failure,
            None => Failure::Silent(limit),
        };
        self.give_up(failure);
    }
}

/// Whether a reply says that the store has something, written now or when the same was asked before.
fn promises(reply: &Reply) -> bool {
    matches!(
        reply,
        Reply::Claimed(_)
            | Reply::Completed
            | Reply::Released
            | Reply::Renewed
            | Reply::Stopped
            | Reply::Reopened
            | Reply::Resolved
            | Reply::Forgotten
    )
}

/// How many replicas have all that the server has, of those who are waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replicas {
    wanted: u32,
    have: u32,
}

impl Replicas {
    /// None is waited for.
    pub(crate) fn none() -> Self {
        Replicas { wanted: 0, have: 0 }
    }

    /// What `WAIT` has answered; it failed if it is not a number.
    pub(crate) fn new(wanted: u32, answer: Option<&Value>) -> Self {
        let have = match answer {
            Some(Value::Int(have)) => u32::try_from(*have).unwrap_or(0),
            _ => 0,
        };
        Replicas { wanted, have }
    }

    fn enough(self) -> Result<(), Failure> {
        let Replicas { wanted, have } = self;
        if have >= wanted { Ok(()) } else { Err(Failure::NotReplicated { wanted, have }) }
    }
}

/// The jobs that wait, in the order in which they came.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug)]
struct State {
    jobs: VecDeque<Job>,
    /// Whoever sends sleeps until something comes.
    idle: bool,
    /// How many may still ask.
    askers: usize,
    /// Nobody sends any more.
    dead: bool,
}

impl State {
    /// Those who have waited longest stand first.
    fn put_back(&mut self, job: Job) {
        let at = self.jobs.partition_point(|other| other.until < job.until);
        self.jobs.insert(at, job);
    }
}

impl Default for Queue {
    /// With one who asks.
    fn default() -> Self {
        let state = State { jobs: VecDeque::new(), idle: false, askers: 1, dead: false };
        Queue { state: Mutex::new(state), filled: Notify::new() }
    }
}

impl Queue {
    pub(crate) fn push(&self, job: Job) {
        let mut state = self.lock();
        if state.dead {
            drop(state);
            return job.give_up(Failure::Gone);
        }
        state.jobs.push_back(job);
        let wake = std::mem::take(&mut state.idle);
        drop(state);
        if wake {
            self.filled.notify_one();
        }
    }

    /// Takes at most so many; none means that [`Queue::filled`] tells when there is one.
    pub(crate) fn take(&self, most: usize) -> Vec<Job> {
        let mut state = self.lock();
        let count = most.min(state.jobs.len());
        state.idle = count == 0;
        state.jobs.drain(..count).collect()
    }

    /// Puts back what has to be sent again, before everything that was asked later.
    pub(crate) fn put_back(&self, jobs: impl DoubleEndedIterator<Item = Job>) {
        let mut state = self.lock();
        jobs.rev().for_each(|job| state.put_back(job));
    }

    /// Takes over what was asked elsewhere and not answered, before everything that was asked later.
    pub(crate) fn take_over(&self, jobs: Vec<Job>) {
        let mut state = self.lock();
        if state.dead {
            drop(state);
            return jobs.into_iter().for_each(|job| job.give_up(Failure::Gone));
        }
        let wake = !jobs.is_empty() && std::mem::take(&mut state.idle);
        jobs.into_iter().rev().for_each(|job| state.put_back(job));
        drop(state);
        if wake {
            self.filled.notify_one();
        }
    }

    /// Takes those whose time is up.
    pub(crate) fn take_late(&self, now: Instant) -> Vec<Job> {
        let mut state = self.lock();
        let (late, left) = std::mem::take(&mut state.jobs).into_iter().partition(|job| job.until <= now);
        state.jobs = left;
        Vec::from_iter::<VecDeque<Job>>(late)
    }

    /// Remembers why nothing is sent at the moment, or tells it where waiting is of no use.
    pub(crate) fn note(&self, failure: &Failure) {
        let mut state = self.lock();
        if failure.remedy() == Remedy::Tell {
            let jobs = std::mem::take(&mut state.jobs);
            drop(state);
            return jobs.into_iter().for_each(|job| job.give_up(failure.clone()));
        }
        state.jobs.iter_mut().for_each(|job| job.failed = Some(failure.clone()));
    }

    /// When the first of them is to be answered.
    pub(crate) fn first_until(&self) -> Option<Instant> {
        self.lock().jobs.front().map(|job| job.until)
    }

    /// Is told of the first job after [`Queue::take`] has found none, and of the end.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().jobs.is_empty()
    }

    /// Whether nobody asks any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().askers == 0
    }

    /// One more may ask, until [`Queue::leave`].
    pub(crate) fn join(&self) {
        self.lock().askers += 1;
    }

    /// One who could ask does so no more; after the last one it is closed.
    pub(crate) fn leave(&self) {
        self.lock().askers -= 1;
        self.filled.notify_one();
    }

    /// Whoever sends is gone, whatever the reason: nobody waits for it in vain.
    pub(crate) fn die(&self) {
        let jobs = {
            let mut state = self.lock();
            state.dead = true;
            std::mem::take(&mut state.jobs)
        };
        jobs.into_iter().for_each(|job| job.give_up(Failure::Gone));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
