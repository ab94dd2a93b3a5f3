//! A connection on a runtime of the application's. What its tasks ask goes out from there: no thread is woken on the way
//! to the server, and none on the way back.
//!
//! It is only a shortcut, and never the last word: what fails here, and what is not answered soon because the server or the
//! runtime stands still, is asked again over the store's own connection, on `idem-io`, which keeps time limits and connects
//! again. The protocol answers what is asked twice as it did the first time.

use std::future::{self, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
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
    /// Tells the runtime's task of everything but answers.
    told: Notify,
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
    flights: Vec<Flight>,
    /// The supervisor sleeps until something comes.
    unwatched: bool,
    /// Nobody asks any more.
    closed: bool,
}

#[derive(Default)]
enum At {
    #[default]
    Opening,
    /// Commands go out this way, and the task that looks at the answers is woken by this.
    Open(Sends, Waker),
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

/// Sends a command, and waits for its answer.
type Sends = Box<dyn Fn(Cmd) -> Answer + Send>;
type Answer = Pin<Box<dyn Future<Output = RedisResult<Value>> + Send>>;

/// What is under way.
struct Flight {
    job: Job,
    since: Instant,
    answer: Answer,
}

impl std::fmt::Debug for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Flight").field(&self.job).field(&self.since).finish()
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

/// What the supervisor sees.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    Moving,
    Stuck,
    Over,
}

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
            told: Notify::new(),
            watched: Notify::new(),
            queue,
            scripts,
            settings,
            busy,
            since: Instant::now(),
        }
    }

    /// Sends a job from the task that asks: nobody else has to run before the command is on its way.
    pub(crate) fn push(&self, job: Job) -> Pushed {
        let mut state = self.lock();
        let (sends, waker) = match &state.at {
            At::Opening => return Pushed::NotNow(job),
            At::Over => return Pushed::Over(job),
            At::Open(sends, waker) => (sends, waker),
        };
        if state.flights.len() >= FEW {
            self.busy.store(true, Ordering::Relaxed);
            return Pushed::NotNow(job);
        }
        let flight = self.send(sends, waker, job);
        state.flights.push(flight);
        let watch = std::mem::take(&mut state.unwatched);
        drop(state);
        if watch {
            self.watched.notify_one();
        }
        Pushed::Taken
    }

    /// Sends a job; whoever looks at the answers is woken by its own.
    fn send(&self, sends: &Sends, waker: &Waker, job: Job) -> Flight {
        let mut answer = sends(job.command.clone());
        if let Poll::Ready(already) = answer.as_mut().poll(&mut Context::from_waker(waker)) {
            answer = Box::pin(future::ready(already));
            self.told.notify_one();
        }
        Flight { job, since: Instant::now(), answer }
    }

    /// Nobody asks any more: what is under way is still answered.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.told.notify_one();
        self.watched.notify_one();
    }

    /// The next answer that is there.
    fn poll_answer(&self, context: &mut Context<'_>) -> Poll<(Job, RedisResult<Value>)> {
        let mut state = self.lock();
        state.nudged = false;
        for at in 0..state.flights.len() {
            if let Poll::Ready(answer) = state.flights[at].answer.as_mut().poll(context) {
                state.landing = true;
                return Poll::Ready((state.flights.remove(at).job, answer));
            }
        }
        Poll::Pending
    }

    /// A command was answered, or will not be; false when this is the end. What was given to the store's own connection
    /// meanwhile is answered there.
    fn landed(&self, job: Job, answer: RedisResult<Value>) -> bool {
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
        let At::Open(sends, waker) = &state.at else {
            // The supervisor has ended it meanwhile.
            drop(state);
            self.queue.take_over(next.into_iter().collect());
            self.leave();
            return false;
        };
        if let Some(next) = next {
            let flight = self.send(sends, waker, next);
            state.flights.push(flight);
        }
        goes_on
    }

    /// The end of this connection: all that is not answered is asked over the store's own. What is not yet written is not
    /// written any more.
    fn end(&self) {
        let (at, flights) = {
            let mut state = self.lock();
            if matches!(state.at, At::Over) {
                return;
            }
            // Nobody looks here any more.
            self.busy.store(false, Ordering::Relaxed);
            (std::mem::replace(&mut state.at, At::Over), std::mem::take(&mut state.flights))
        };
        drop(at);
        self.queue.take_over(flights.into_iter().map(|flight| flight.job.lost()).collect());
        self.leave();
        self.told.notify_one();
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
        match state.at {
            At::Over => return Seen::Over,
            At::Opening if self.since + CONNECT <= now => return Seen::Stuck,
            At::Opening => return Seen::Moving,
            At::Open(..) => {}
        }
        match state.flights.iter().map(|flight| flight.since).min() {
            Some(since) if since + slow <= now || state.nudged && since + patience <= now => Seen::Stuck,
            Some(_) => {
                state.nudged = true;
                drop(state);
                self.told.notify_one();
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

    /// Connects, and looks at the answers until the end: a task of the runtime. The connection has no time limits: the runtime's clock may
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
                        lane.opened(sends(connection), poll_fn(|context| Poll::Ready(context.waker().clone())).await);
                        lane.answer().await;
                    }
                    Ok(Err(error)) => tracing::debug!(%error, "a runtime gets no connection of its own"),
                    Err(_) => lane.lock().impossible = true,
                },
                // Closed: nothing else is told before it is open.
                () = lane.told.notified() => {}
            }
        }
    }

    fn opened(&self, sends: Sends, waker: Waker) {
        let mut state = self.lock();
        if matches!(state.at, At::Opening) {
            state.at = At::Open(sends, waker);
        }
    }

    /// Answers what was asked, until the end.
    async fn answer(&self) {
        while !self.is_done() {
            let mut told = pin!(self.told.notified());
            let answered = poll_fn(|context| match self.poll_answer(context) {
                Poll::Ready(answered) => Poll::Ready(Some(answered)),
                Poll::Pending => told.as_mut().poll(context).map(|()| None),
            });
            let Some((job, answer)) = answered.await else { continue };
            if !self.landed(job, answer) {
                return;
            }
        }
    }

    /// Whether nothing comes any more.
    fn is_done(&self) -> bool {
        let state = self.lock();
        matches!(state.at, At::Over) || state.closed && state.flights.is_empty()
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

fn sends(connection: MultiplexedConnection) -> Sends {
    Box::new(move |command| {
        let mut connection = connection.clone();
        Box::pin(async move { connection.send_packed_command(&command).await })
    })
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
