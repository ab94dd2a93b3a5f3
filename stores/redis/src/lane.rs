//! A connection on a runtime of the application's. What is asked there goes out from there: for a task no thread is woken
//! on the way to the server, and none on the way back. The first few requests are sent by those that ask; what many ask at
//! once is sent together.
//!
//! It is only a shortcut, and never the last word: what fails here, and what is not answered soon because the server or the
//! runtime stands still, is asked again over the store's own connection, on `idem-io`, which keeps time limits and connects
//! again. The protocol answers what is asked twice as it did the first time.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::FutureExt as _;
use redis::{AsyncConnectionConfig, Client, Value};
use tokio::sync::Notify;

use crate::batch::{BATCH, answers, together};
use crate::core::Settings;
use crate::drive::{self, Driver};
use crate::failure::{Failure, Remedy};
use crate::flight::{self, Flight, Way};
use crate::queue::{Job, Queue, Replicas};
use crate::scripts::Scripts;

/// How many requests are sent one by one. Of more a few commands are made, which costs the server less.
const FEW: usize = 4;
/// When so many wait, they are sent at once: the server has work while others still ask.
const ENOUGH: usize = 12;
/// How many batches are under way at most.
const UNDER_WAY: usize = 8;
/// How many requests are here at once at most: more would wait for each other.
const MANY: usize = 256;

/// One connection. Dropped or broken, it leaves what it has to the store's own.
#[derive(Debug)]
pub(crate) struct Lane {
    state: Mutex<State>,
    /// Tells the runtime's task of everything but answers.
    told: Notify,
    /// Tells the supervisor.
    watched: Notify,
    /// The way of everything that cannot be answered here.
    queue: Arc<Queue>,
    scripts: Arc<Scripts>,
    settings: Settings,
    /// Since when it is being made.
    since: Instant,
}

#[derive(Debug, Default)]
struct State {
    at: At,
    /// Nothing can be sent on this runtime.
    impossible: bool,
    /// What came back is being looked at: what it leads to is still to be asked.
    landing: bool,
    /// A batch is being made, and not yet under way.
    sending: bool,
    /// The runtime's task has looked meanwhile. What has woken it may be an answer that is not waited for yet.
    looked: bool,
    /// What it leaves is on its way to the store's own connection.
    ending: bool,
    /// It asks the store's own connection for nothing more.
    left: bool,
    /// The supervisor has asked the runtime to show that it moves.
    nudged: bool,
    flights: Vec<Flight>,
    /// What goes out next, together.
    jobs: VecDeque<Job>,
    /// The number of the last batch.
    batch: u64,
    /// The runtime's task sleeps, and has not been told of what waits.
    idle: bool,
    /// The supervisor sleeps until something comes.
    unwatched: bool,
    /// Nobody asks any more.
    closed: bool,
}

#[derive(Default)]
enum At {
    #[default]
    Opening,
    /// Commands go out this way.
    Open(Way),
    Over,
}

impl std::fmt::Debug for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            At::Opening => "Opening",
            At::Open(..) => "Open",
            At::Over => "Over",
        })
    }
}

/// What became of a job that was to go out here.
pub(crate) enum Pushed {
    Taken,
    /// The connection is still being made, or there are many others.
    NotNow(Job),
    /// There is none any more.
    Over(Job),
}

/// What the runtime's task has to do.
enum Next {
    /// These were answered.
    Land(Vec<Job>, Value),
    /// No answer comes any more.
    Break,
    /// Some wait to be sent.
    Gather,
    /// To look once more.
    Look,
}

impl Lane {
    pub(crate) fn new(queue: Arc<Queue>, scripts: Arc<Scripts>, settings: Settings) -> Self {
        queue.join();
        Lane {
            state: Mutex::default(),
            told: Notify::new(),
            watched: Notify::new(),
            queue,
            scripts,
            settings,
            since: Instant::now(),
        }
    }

    /// Sends a job from the task that asks, so that nobody else has to run before it is on its way; or, if there are more,
    /// leaves it to the runtime's task, which sends them together.
    pub(crate) fn push(&self, job: Job) -> Pushed {
        let mut state = self.lock();
        let way = match &state.at {
            At::Opening => return Pushed::NotNow(job),
            At::Over => return Pushed::Over(job),
            At::Open(way) => way.clone(),
        };
        let here = state.jobs.len() + state.flights.iter().map(|flight| flight.jobs.len()).sum::<usize>();
        if here >= MANY {
            return Pushed::NotNow(job);
        }
        let (mut tell, mut enough, mut turn) = (false, false, None);
        // What waits or is about to be sent may be about the same record: nothing overtakes it.
        if here < FEW && state.jobs.is_empty() && !state.sending {
            turn = way.driver.hold();
            let flight = Flight::begin(vec![job], state.batch + 1, &way);
            tell = flight.has_landed();
            state.batch = flight.batch;
            state.flights.push(flight);
        } else {
            state.jobs.push_back(job);
            if state.may_send() {
                if state.jobs.len() >= ENOUGH {
                    enough = true;
                } else {
                    tell = std::mem::take(&mut state.idle);
                }
            }
        }
        let watch = std::mem::take(&mut state.unwatched);
        drop(state);
        if let Some(turn) = turn {
            turn.work();
        }
        if enough {
            self.gather(&way);
        }
        if tell {
            self.told.notify_one();
        }
        if watch {
            self.watched.notify_one();
        }
        Pushed::Taken
    }

    /// Nobody asks any more: what is under way is still answered.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.told.notify_one();
        self.watched.notify_one();
    }

    /// Works, unless somebody else does, who wakes the runtime's task for what comes of it.
    fn poll_work(&self, driver: &Driver) -> Poll<Next> {
        let Some(turn) = driver.hold() else { return self.poll_next(driver) };
        loop {
            turn.work();
            if let Poll::Ready(next) = self.poll_next(driver) {
                turn.pause();
                return Poll::Ready(next);
            }
            // The answers that have come ring, too.
            if !turn.is_woken() {
                return Poll::Pending;
            }
        }
    }

    /// What there is to do.
    fn poll_next(&self, driver: &Driver) -> Poll<Next> {
        driver.looks();
        let mut context = Context::from_waker(driver.for_answers());
        let mut state = self.lock();
        (state.nudged, state.idle, state.looked) = (false, false, state.sending);
        for at in 0..state.flights.len() {
            match state.flights[at].poll(&mut context) {
                Poll::Ready(Ok(answer)) => {
                    state.landing = true;
                    return Poll::Ready(Next::Land(state.flights.remove(at).jobs, answer));
                }
                // All that is under way is asked again, in its order.
                Poll::Ready(Err(_)) => return Poll::Ready(Next::Break),
                Poll::Pending => {}
            }
        }
        if !state.jobs.is_empty() && state.may_send() {
            return Poll::Ready(Next::Gather);
        }
        state.idle = true;
        Poll::Pending
    }

    /// Sends what waits together, if that may be.
    fn gather(&self, way: &Way) {
        let (jobs, batch) = {
            let mut state = self.lock();
            if state.jobs.is_empty() || !state.may_send() {
                return;
            }
            state.sending = true;
            state.batch += 1;
            let count = state.jobs.len().min(BATCH);
            (state.jobs.drain(..count).collect(), state.batch)
        };
        let sending = Sending(self);
        let turn = way.driver.hold();
        let (mut flights, mut unsent) = (Vec::new(), Vec::new());
        for jobs in together(jobs) {
            // Whatever has held this thread up: nothing is sent after the end.
            if self.has_ended() {
                unsent.extend(jobs);
            } else {
                flights.push(Flight::begin(jobs, batch, way));
            }
        }
        if let Some(turn) = turn.filter(|_| !self.has_ended()) {
            turn.work();
        }
        std::mem::forget(sending);
        let mut state = self.lock();
        state.sending = false;
        if matches!(state.at, At::Over) {
            // It has been ended meanwhile.
            drop(state);
            self.take_over(unsent, flights);
            return self.leave();
        }
        let landed = flights.iter().any(Flight::has_landed);
        state.flights.extend(flights);
        let looked = std::mem::take(&mut state.looked);
        // What others have asked meanwhile.
        let more = !state.jobs.is_empty() && state.may_send() && std::mem::take(&mut state.idle);
        drop(state);
        if landed || looked || more {
            self.told.notify_one();
        }
    }

    /// A command was answered; false when this is the end. What was given to the store's own connection meanwhile is answered
    /// there.
    fn landed(&self, jobs: Vec<Job>, answer: Value) -> bool {
        let (next, goes_on) = match answer {
            Value::ServerError(error) => {
                let goes_on = Failure::Server(error).remedy() != Remedy::Reconnect;
                // It may come of one of them, and others may have been carried out.
                let several = jobs.len() > 1;
                let jobs = jobs.into_iter().map(|job| if several { job.alone() } else { job });
                self.queue.take_over(jobs.collect());
                (Vec::new(), goes_on)
            }
            value => {
                let answers = answers(value, jobs.len(), &jobs);
                let next = jobs.into_iter().zip(answers).filter_map(|(job, value)| {
                    let answered = || job.answered(value, &self.scripts, Replicas::none());
                    // A caller that panics when it is woken has nothing to do with the others.
                    std::panic::catch_unwind(AssertUnwindSafe(answered)).ok().flatten()
                });
                (next.collect(), true)
            }
        };
        let mut state = self.lock();
        state.landing = false;
        if matches!(state.at, At::Over) {
            // The supervisor has ended it meanwhile.
            drop(state);
            self.queue.take_over(next);
            self.leave();
            return false;
        }
        for job in next.into_iter().rev() {
            state.jobs.push_front(job);
        }
        goes_on
    }

    /// The end of this connection: all that is not answered is asked over the store's own. What is not yet written is not
    /// written any more.
    fn end(&self) {
        let (at, flights, jobs) = {
            let mut state = self.lock();
            if matches!(state.at, At::Over) {
                return;
            }
            state.ending = true;
            let at = std::mem::replace(&mut state.at, At::Over);
            (at, std::mem::take(&mut state.flights), std::mem::take(&mut state.jobs))
        };
        drop(at);
        self.take_over(jobs.into(), flights);
        self.lock().ending = false;
        self.leave();
        self.told.notify_one();
        self.watched.notify_one();
    }

    /// Leaves these to the store's own connection.
    fn take_over(&self, jobs: Vec<Job>, flights: Vec<Flight>) {
        let sent = flights.into_iter().flat_map(|flight| flight.jobs);
        self.queue.take_over(sent.map(Job::lost).chain(jobs).collect());
    }

    /// Asks for nothing more, unless something is still in somebody's hands.
    fn leave(&self) {
        let mut state = self.lock();
        let held = state.landing || state.sending || state.ending;
        if !held && !std::mem::replace(&mut state.left, true) {
            drop(state);
            self.queue.leave();
        }
    }

    /// Connects, and looks at the answers until the end: a task of the runtime. The connection has no time limits: the
    /// runtime's clock may not be the real one.
    pub(crate) fn run(self: Arc<Self>, client: Client) -> impl Future<Output = ()> + Send + 'static {
        // A runtime that is shut down does not even begin.
        let ends = Ends(self);
        async move {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(None)
                .set_response_timeout(None)
                // Nothing that was sent waits for room: it would be overtaken.
                .set_pipeline_buffer_size(MANY);
            let connecting = drive::connect(&client, config);
            let lane = &*ends.0;
            tokio::select! {
                // Nothing says beforehand that a runtime can do no I/O.
                connected = AssertUnwindSafe(connecting).catch_unwind() => match connected {
                    Ok(Ok((connection, work))) => {
                        let task = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
                        let way = Way { sends: flight::sends(connection), driver: Driver::new(work, task) };
                        lane.opened(way.clone());
                        lane.answer(&way).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%error, "a runtime gets no connection of its own"),
                    Err(_) => lane.lock().impossible = true,
                },
                // Closed: nothing else is told before it is open.
                () = lane.told.notified() => {}
            }
        }
    }

    fn opened(&self, way: Way) {
        let mut state = self.lock();
        if matches!(state.at, At::Opening) {
            state.at = At::Open(way);
        }
    }

    /// Answers what was asked, until the end.
    async fn answer(&self, way: &Way) {
        while !self.is_done() {
            let mut told = pin!(self.told.notified());
            let next = poll_fn(|context| match self.poll_work(&way.driver) {
                Poll::Ready(next) => Poll::Ready(next),
                Poll::Pending => told.as_mut().poll(context).map(|()| Next::Look),
            });
            match next.await {
                Next::Land(jobs, answer) => {
                    if !self.landed(jobs, answer) {
                        return;
                    }
                }
                Next::Break => return,
                Next::Gather => {
                    // Others who are about to ask do so first.
                    tokio::task::yield_now().await;
                    self.gather(way);
                }
                Next::Look => {}
            }
        }
    }

    /// Whether nothing comes any more.
    fn is_done(&self) -> bool {
        let state = self.lock();
        let nothing = state.flights.is_empty() && state.jobs.is_empty();
        matches!(state.at, At::Over) || state.closed && nothing
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.lock().at, At::Over)
    }

    /// Whether another one would fare no better.
    pub(crate) fn is_impossible(&self) -> bool {
        self.lock().impossible
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether one more batch may be made.
    fn may_send(&self) -> bool {
        if self.sending {
            return false;
        }
        let mut flights = self.flights.iter();
        let mut last = flights.next().map(|flight| flight.batch);
        let mut batches = usize::from(last.is_some());
        for flight in flights {
            batches += usize::from(last.replace(flight.batch) != Some(flight.batch));
        }
        batches < UNDER_WAY
    }
}

/// Whatever happens: others may send after it.
struct Sending<'a>(&'a Lane);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.lock().sending = false;
        if self.0.has_ended() {
            self.0.leave();
        }
    }
}

/// However it ends: also when the runtime does.
struct Ends(Arc<Lane>);

impl Drop for Ends {
    fn drop(&mut self) {
        let landing = std::mem::take(&mut self.0.lock().landing);
        self.0.end();
        if landing {
            // A panic has interrupted it.
            self.0.leave();
        }
    }
}

mod supervise;
#[cfg(test)]
mod tests;
