//! A connection on a runtime of the application's. What its tasks ask goes out from there: no thread is woken on the way
//! to the server, and none on the way back.
//!
//! It is only a shortcut, and never the last word: what fails here, and what is not answered soon because the server or the
//! runtime stands still, is asked again over the store's own connection, on `idem-io`, which keeps time limits and connects
//! again. The protocol answers what is asked twice as it did the first time.

use std::collections::{BTreeMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, RedisResult, Value};
use tokio::sync::Notify;

use crate::batch::answers;
use crate::core::Settings;
use crate::failure::{Failure, Remedy};
use crate::link::CONNECT;
use crate::queue::{Job, Queue, Replicas};
use crate::scripts::Scripts;

/// How many requests go this way at once at most. Of more the store's own connection makes a few commands, which costs less
/// than being woken.
const FEW: usize = 4;
/// How long a request may wait here while the runtime stands still, more or less.
const PATIENCE: Duration = Duration::from_millis(100);
/// And for how long the server may take.
const SLOW: Duration = Duration::from_secs(1);
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
    /// There were too many: for a moment everything goes the other way.
    busy: Arc<AtomicBool>,
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
    /// It asks the store's own connection for nothing more.
    left: bool,
    /// The supervisor has asked the runtime to show that it moves.
    nudged: bool,
    jobs: VecDeque<Job>,
    /// What is under way, by its number, and since when.
    flights: BTreeMap<u64, (Job, Instant)>,
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
    /// The connection is still being made, or there are many others.
    NotNow(Job),
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
    pub(crate) fn new(
        queue: Arc<Queue>,
        scripts: Arc<Scripts>,
        settings: Settings,
        busy: Arc<AtomicBool>,
    ) -> Self {
        queue.join();
        Lane {
            state: Mutex::default(),
            filled: Notify::new(),
            watched: Notify::new(),
            queue,
            scripts,
            settings,
            busy,
            since: Instant::now(),
        }
    }

    pub(crate) fn push(&self, job: Job) -> Pushed {
        let mut state = self.lock();
        match state.at {
            At::Opening => return Pushed::NotNow(job),
            At::Over => return Pushed::Over(job),
            At::Open => {}
        }
        if state.jobs.len() + state.flights.len() >= FEW {
            self.busy.store(true, Ordering::Relaxed);
            return Pushed::NotNow(job);
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
        self.watched.notify_one();
    }

    /// The next command, and its number; nothing means that the sender is told when something comes.
    fn take(&self) -> Option<(u64, Cmd)> {
        let mut state = self.lock();
        state.nudged = false;
        let job = state.jobs.pop_front();
        state.idle = job.is_none();
        let job = job?;
        let command = job.command.clone();
        let number = state.next;
        state.next += 1;
        state.flights.insert(number, (job, Instant::now()));
        Some((number, command))
    }

    /// A command was answered, or will not be; false when this is the end. What was given to the store's own connection
    /// meanwhile is answered there.
    fn landed(&self, (number, answer): Answered) -> bool {
        let job = {
            let mut state = self.lock();
            let Some((job, _)) = state.flights.remove(&number) else { return true };
            state.landing = true;
            job
        };
        let (next, goes_on) = match answer {
            Ok(Value::ServerError(error)) => {
                let goes_on = Failure::Server(error).remedy() != Remedy::Reconnect;
                self.queue.take_over(vec![job]);
                (None, goes_on)
            }
            Ok(value) => {
                let value = answers(value, 1, [&job]).pop().unwrap_or(Value::Nil);
                (job.answered(value, &self.scripts, Replicas::none()), true)
            }
            Err(_) => {
                self.queue.take_over(vec![job.lost()]);
                (None, false)
            }
        };
        let mut state = self.lock();
        state.landing = false;
        if state.at == At::Over {
            // The supervisor has ended it meanwhile.
            drop(state);
            self.queue.take_over(next.into_iter().collect());
            self.leave();
            return false;
        }
        state.jobs.extend(next);
        goes_on
    }

    /// The end of this connection: all that is not answered is asked over the store's own.
    fn end(&self) {
        let (flights, jobs) = {
            let mut state = self.lock();
            if state.at == At::Over {
                return;
            }
            state.at = At::Over;
            // Nobody looks here any more.
            self.busy.store(false, Ordering::Relaxed);
            (std::mem::take(&mut state.flights), std::mem::take(&mut state.jobs))
        };
        let sent = flights.into_values().map(|(job, _)| job);
        self.queue.take_over(sent.map(Job::lost).chain(jobs).collect());
        self.leave();
        self.filled.notify_one();
        self.watched.notify_one();
    }

    /// Asks for nothing more, unless something is still being looked at.
    fn leave(&self) {
        let mut state = self.lock();
        if !state.landing && !std::mem::replace(&mut state.left, true) {
            drop(state);
            self.queue.leave();
        }
    }

    /// Looks whether what was asked is answered. That there is nothing is told to whoever asks next, if `last`.
    fn look(&self, now: Instant, last: bool) -> Seen {
        let (patience, slow) = self.patience();
        self.busy.store(false, Ordering::Relaxed);
        let mut state = self.lock();
        if state.at == At::Over {
            return Seen::Over;
        }
        if state.at == At::Opening {
            return if self.since + CONNECT <= now { Seen::Stuck } else { Seen::Moving };
        }
        let asked = state.jobs.front().map(|job| job.since);
        let sent = state.flights.values().map(|(_, since)| *since).min();
        match sent.into_iter().chain(asked).min() {
            Some(since) if since + slow <= now || state.nudged && since + patience <= now => Seen::Stuck,
            Some(_) => {
                state.nudged = true;
                drop(state);
                self.filled.notify_one();
                Seen::Moving
            }
            // Its runtime is not even there to end it.
            None if state.closed => Seen::Stuck,
            None => {
                state.unwatched = last;
                Seen::Nothing
            }
        }
    }

    /// How long a request may wait here for the runtime, and for the server. Enough is left for another way.
    fn patience(&self) -> (Duration, Duration) {
        let most = self.settings.time_limit / 4;
        (PATIENCE.min(most), SLOW.min(most))
    }

    /// Waits on `idem-io`, by its clock, until this has ended, and sees to it that it does when it stands still.
    pub(crate) async fn supervise(self: Arc<Self>) {
        let mut quiet = 0;
        loop {
            tokio::time::sleep(self.patience().0 / 2).await;
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
                // Nothing says beforehand that a runtime can do no I/O.
                connected = AssertUnwindSafe(connecting).catch_unwind() => match connected {
                    Ok(Ok(connection)) => {
                        lane.opened();
                        lane.send(connection).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%error, "a runtime gets no connection of its own"),
                    Err(_) => lane.lock().impossible = true,
                },
                // Closed: nothing else is told before it is open.
                () = lane.filled.notified() => {}
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
        let mut flights = FuturesUnordered::<Pin<Box<dyn Future<Output = Answered> + Send>>>::new();
        loop {
            while let Some((number, command)) = self.take() {
                let mut connection = connection.clone();
                flights
                    .push(Box::pin(async move { (number, connection.send_packed_command(&command).await) }));
            }
            // What is not yet written need not be any more.
            if self.has_ended() || flights.is_empty() && self.is_done() {
                return;
            }
            tokio::select! {
                biased;
                Some(answered) = flights.next() => if !self.landed(answered) { return },
                () = self.filled.notified() => {}
            }
        }
    }

    /// Whether nothing comes any more.
    fn is_done(&self) -> bool {
        let state = self.lock();
        state.closed && state.jobs.is_empty()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.lock().at == At::Over
    }

    /// Whether another one would fare no better.
    pub(crate) fn is_impossible(&self) -> bool {
        self.lock().impossible
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests;
