//! A connection on a runtime of the application's. What its tasks ask goes out from there: no thread is woken on the way
//! to the server, and none on the way back.
//!
//! It is only a shortcut, and never the last word: what fails here, and what is not answered soon because the server or the
//! runtime stands still, is asked again over the store's own connection, on `idem-io`, which keeps time limits and connects
//! again. The protocol answers what is asked twice as it did the first time.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, RedisResult, Value};
use tokio::sync::Notify;

use crate::batch::{self, answers, take_together};
use crate::core::Settings;
use crate::failure::{Failure, Remedy};
use crate::queue::{Job, Queue, Replicas};
use crate::scripts::Scripts;

/// How many commands are under way at most, unless they ask for few: what comes meanwhile goes out together.
const UNDER_WAY: usize = 2;
const FEW: usize = 16;
/// For how long an answer is waited for here, more or less.
const PATIENCE: Duration = Duration::from_millis(100);
/// After so many looks that found nothing under way the next one waits for something.
const QUIET: u32 = 20;

/// One connection. Dropped or broken, it leaves what it has to the store's own.
#[derive(Debug)]
pub(crate) struct Lane {
    state: Mutex<State>,
    /// Tells the sender.
    filled: Notify,
    /// Tells the supervisor.
    watched: Notify,
    /// The way of everything that cannot be answered here.
    queue: Arc<Queue>,
    scripts: Arc<Scripts>,
    settings: Settings,
}

#[derive(Debug, Default)]
struct State {
    at: At,
    jobs: VecDeque<Job>,
    /// What is under way, by its number: what one command asks, and since when.
    flights: BTreeMap<u64, (Vec<Job>, Instant)>,
    next: u64,
    /// The sender sleeps until something comes.
    idle: bool,
    /// The supervisor sleeps until something comes.
    unwatched: bool,
    /// Nobody asks any more.
    closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    #[default]
    Opening,
    Open,
    Over,
}

/// What became of a job that was to go out here.
pub(crate) enum Pushed {
    Taken,
    /// The connection is still being made.
    NotYet(Job),
    /// There is none any more.
    Over(Job),
}

/// What the supervisor sees.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    Moving,
    Stuck,
    Over,
}

type Answered = (u64, RedisResult<Value>);

impl Lane {
    pub(crate) fn new(queue: Arc<Queue>, scripts: Arc<Scripts>, settings: Settings) -> Self {
        queue.join();
        Lane {
            state: Mutex::default(),
            filled: Notify::new(),
            watched: Notify::new(),
            queue,
            scripts,
            settings,
        }
    }

    pub(crate) fn push(&self, job: Job) -> Pushed {
        let mut state = self.lock();
        match state.at {
            At::Opening => return Pushed::NotYet(job),
            At::Over => return Pushed::Over(job),
            At::Open => {}
        }
        state.jobs.push_back(job);
        let send = std::mem::take(&mut state.idle);
        let watch = std::mem::take(&mut state.unwatched);
        drop(state);
        if send {
            self.filled.notify_one();
        }
        if watch {
            self.watched.notify_one();
        }
        Pushed::Taken
    }

    /// Nobody asks any more: what is under way is still answered.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    /// The next command, its number, and how many it asks for; nothing means that enough is under way, or that the sender
    /// is told when something comes.
    fn take(&self) -> Option<(u64, Cmd, usize)> {
        let mut state = self.lock();
        let under_way = state.flights.values().map(|(jobs, _)| jobs.len()).sum::<usize>();
        if state.flights.len() >= UNDER_WAY && under_way >= FEW {
            return None;
        }
        state.idle = state.jobs.is_empty();
        if state.idle {
            return None;
        }
        let jobs = take_together(&mut state.jobs);
        let command = batch::command(&jobs);
        let number = state.next;
        state.next += 1;
        let count = jobs.len();
        state.flights.insert(number, (jobs, Instant::now()));
        Some((number, command, count))
    }

    /// A command was answered, or will not be; false when this is the end. What was given to the store's own connection
    /// meanwhile is answered there.
    fn landed(&self, (number, answer): Answered) -> bool {
        let Some((jobs, _)) = self.lock().flights.remove(&number) else { return true };
        let value = match answer {
            Ok(Value::ServerError(error)) => {
                // It may come of one of them, and others may have been carried out.
                let alone = jobs.len() > 1;
                let jobs = jobs.into_iter().map(|job| if alone { job.alone() } else { job });
                self.queue.take_over(jobs.collect());
                return Failure::Server(error).remedy() != Remedy::Reconnect;
            }
            Ok(value) => value,
            Err(_) => {
                self.queue.take_over(jobs.into_iter().map(Job::lost).collect());
                return false;
            }
        };
        let answers = answers(value, jobs.len(), &jobs);
        let (mut next, mut elsewhere) = (Vec::new(), Vec::new());
        for (job, value) in jobs.into_iter().zip(answers) {
            match value {
                Value::ServerError(_) => elsewhere.push(job),
                value => next.extend(job.answered(value, &self.scripts, Replicas::none())),
            }
        }
        self.queue.take_over(elsewhere);
        let mut state = self.lock();
        next.into_iter().rev().for_each(|job| state.jobs.push_front(job));
        true
    }

    /// The end of this connection: all that is not answered is asked over the store's own.
    fn end(&self) {
        let (flights, jobs) = {
            let mut state = self.lock();
            if state.at == At::Over {
                return;
            }
            state.at = At::Over;
            (std::mem::take(&mut state.flights), std::mem::take(&mut state.jobs))
        };
        let sent = flights.into_values().flat_map(|(jobs, _)| jobs);
        self.queue.take_over(sent.map(Job::lost).chain(jobs).collect());
        self.queue.leave();
        self.filled.notify_one();
        self.watched.notify_one();
    }

    /// Looks whether what was asked is answered. That there is nothing is told to whoever asks next, if `last`.
    fn look(&self, now: Instant, last: bool) -> Seen {
        let mut state = self.lock();
        if state.at == At::Over {
            return Seen::Over;
        }
        let asked = state.jobs.front().map(|job| job.since(self.settings.time_limit));
        let sent = state.flights.values().map(|(_, since)| *since).min();
        match sent.or(asked) {
            Some(since) if since + PATIENCE <= now => Seen::Stuck,
            Some(_) => Seen::Moving,
            // Its runtime is not even there to end it.
            None if state.closed => Seen::Stuck,
            None => {
                state.unwatched = last;
                Seen::Nothing
            }
        }
    }

    /// Waits on `idem-io`, by its clock, until this has ended, and sees to it that it does when it stands still.
    pub(crate) async fn supervise(self: Arc<Self>) {
        let mut quiet = 0;
        loop {
            tokio::time::sleep(PATIENCE / 2).await;
            match self.look(Instant::now(), quiet >= QUIET) {
                Seen::Over => return,
                Seen::Stuck => {
                    tracing::debug!(
                        "a runtime's own connection stands still: what it was asked goes another way"
                    );
                    return self.end();
                }
                Seen::Moving => quiet = 0,
                Seen::Nothing if quiet >= QUIET => {
                    self.watched.notified().await;
                    quiet = 0;
                }
                Seen::Nothing => quiet += 1,
            }
        }
    }

    /// Connects, and sends until the end: a task of the runtime. The connection has no time limits: the runtime's clock may
    /// not be the real one.
    pub(crate) fn run(self: Arc<Self>, client: Client) -> impl Future<Output = ()> + Send + 'static {
        // A runtime that is shut down does not even begin.
        let ends = Ends(self);
        async move {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(None)
                .set_response_timeout(None)
                .set_pipeline_buffer_size(FEW * 2);
            let connecting = client.get_multiplexed_async_connection_with_config(&config);
            let lane = &*ends.0;
            tokio::select! {
                Ok(connection) = connecting => {
                    lane.opened();
                    lane.send(connection).await;
                }
                // Closed: nothing else is told before it is open.
                () = lane.filled.notified() => {}
                else => {}
            }
        }
    }

    fn opened(&self) {
        let mut state = self.lock();
        if state.at == At::Opening {
            state.at = At::Open;
        }
    }

    async fn send(&self, connection: MultiplexedConnection) {
        // Whether many ask at once.
        let mut many = false;
        let mut flights = FuturesUnordered::<Pin<Box<dyn Future<Output = Answered> + Send>>>::new();
        loop {
            while let Some((number, command, count)) = self.take() {
                many = count > 1;
                let mut connection = connection.clone();
                flights
                    .push(Box::pin(async move { (number, connection.send_packed_command(&command).await) }));
            }
            if flights.is_empty() && self.is_done() {
                return;
            }
            tokio::select! {
                biased;
                Some(answered) = flights.next() => if !self.landed(answered) { return },
                () = self.filled.notified() => if many {
                    // Whoever was woken with the one who asks asks first, too: what they ask goes out together.
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Whether nothing comes any more.
    fn is_done(&self) -> bool {
        let state = self.lock();
        state.at == At::Over || state.closed && state.jobs.is_empty()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.lock().at == At::Over
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// However it ends: also when the runtime does.
struct Ends(Arc<Lane>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.end();
    }
}
