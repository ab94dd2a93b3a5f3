//! The connection to one server: a task on `idem-io` that sends what waits, as much as there is at once, and connects
//! again when the connection is gone.
//!
//! What many callers ask at the same time goes out in one write and comes back in one read, and what they ask of the
//! same script is one command. Everything goes over one connection, in the order in which it was asked. A request that
//! was sent and not answered is sent again over the next connection: the protocol answers it as the first one was.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use idem_runtime::Text;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, Pipeline, RedisResult, Value};
use tokio::time::sleep_until;

use crate::batch::{self, BATCH, answers, together};
use crate::core::Settings;
use crate::failure::{Failure, Remedy};
use crate::queue::{Job, Queue, Replicas};
use crate::scripts::Scripts;

/// How many such batches are under way at most: what comes meanwhile goes out together.
const UNDER_WAY: usize = 2;
/// How long to wait before a server is asked again that is not there or not ready.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(5);
pub(crate) const LAST_PAUSE: Duration = Duration::from_millis(250);
/// For how long a connection is being made at most.
pub(crate) const CONNECT: Duration = Duration::from_secs(2);
/// How long replicas may take to say that they have what was written.
const REPLICATE: Duration = Duration::from_secs(1);

/// Connects, and no longer than a while.
pub(crate) async fn connect(client: Client, time_limit: Duration) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT.min(time_limit)))
        // Time limits are kept here: a request that is not waited for any more goes on.
        .set_response_timeout(None)
        .set_pipeline_buffer_size(UNDER_WAY * 2);
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// Carries the queue's jobs to the server until nobody asks any more.
pub(crate) async fn run(
    queue: Arc<Queue>,
    scripts: Arc<Scripts>,
    settings: Settings,
    name: Text,
    client: Client,
    connection: MultiplexedConnection,
) {
    let _last = Last(Arc::clone(&queue));
    let line = Line::Open(connection);
    let mut link = Link {
        queue,
        scripts,
        settings,
        name,
        client,
        line,
        flights: FuturesUnordered::new(),
        batches: BTreeMap::new(),
        next: 0,
        pause: FIRST_PAUSE,
        not_before: None,
    };
    while link.turn().await {}
}

/// However it ends.
struct Last(Arc<Queue>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.die();
    }
}

struct Link {
    queue: Arc<Queue>,
    scripts: Arc<Scripts>,
    settings: Settings,
    name: Text,
    client: Client,
    line: Line,
    flights: FuturesUnordered<Flight>,
    /// What is under way, by its number.
    batches: BTreeMap<u64, Batch>,
    next: u64,
    /// How long the next pause is.
    pause: Duration,
    /// Nothing is sent before.
    not_before: Option<Instant>,
}

enum Line {
    Open(MultiplexedConnection),
    Opening(Pin<Box<dyn Future<Output = RedisResult<MultiplexedConnection>> + Send>>),
    Closed,
}

type Flight = Pin<Box<dyn Future<Output = (u64, RedisResult<Vec<Value>>)> + Send>>;

/// What went out together.
struct Batch {
    /// Those that are asked by one command, for each command. Each until it is answered, or late.
    commands: Vec<Vec<Option<Job>>>,
    /// How many replicas have what they wrote is the last answer.
    follows: bool,
    /// When the connection counts as dead if it has not answered them.
    until: Instant,
}

impl Batch {
    fn jobs(&mut self) -> impl Iterator<Item = &mut Option<Job>> {
        self.commands.iter_mut().flatten()
    }

    fn wakes_at(&self) -> Instant {
        let jobs = self.commands.iter().flatten().flatten();
        jobs.map(|job| job.until).min().map_or(self.until, |first| first.min(self.until))
    }
}

/// What woke the task.
enum Event {
    Landed(u64, RedisResult<Vec<Value>>),
    Opened(RedisResult<MultiplexedConnection>),
    Filled,
    Time,
}

impl Link {
    /// One step; false when there is nothing more to do.
    async fn turn(&mut self) -> bool {
        let now = Instant::now();
        if self.not_before.is_some_and(|at| at <= now) {
            self.not_before = None;
        }
        if matches!(self.line, Line::Closed) && self.not_before.is_none() && !self.queue.is_empty() {
            let (client, limit) = (self.client.clone(), self.settings.time_limit);
            self.line = Line::Opening(Box::pin(async move { connect(client, limit).await }));
        }
        let mut wants = false;
        if self.not_before.is_none() && matches!(self.line, Line::Open(_)) {
            while self.batches.len() < UNDER_WAY {
                let jobs = self.queue.take(BATCH);
                if jobs.is_empty() {
                    wants = true;
                    break;
                }
                self.send(jobs);
            }
        } else if self.queue.is_empty() {
            // Asked for once more, so that the next one is told.
            wants = self.queue.take(0).is_empty();
        }
        if self.batches.is_empty() && self.queue.is_empty() && self.queue.is_closed() {
            return false;
        }
        let event = self.event(wants).await;
        match event {
            Event::Landed(number, answer) => self.landed(number, answer),
            Event::Opened(Ok(connection)) => {
                self.line = Line::Open(connection);
                self.pause = FIRST_PAUSE;
            }
            Event::Opened(Err(error)) => {
                self.line = Line::Closed;
                self.failed(Failure::from(error));
            }
            Event::Filled => {}
            Event::Time => self.time(),
        }
        true
    }

    async fn event(&mut self, wants: bool) -> Event {
        let until = self.wakes_at(wants);
        let pause = async {
            match until {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        let opening = async {
            match &mut self.line {
                Line::Opening(opening) => opening.await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some((number, answer)) = self.flights.next() => Event::Landed(number, answer),
            opened = opening => Event::Opened(opened),
            () = self.queue.filled(), if wants => Event::Filled,
            () = pause => Event::Time,
        }
    }

    /// When something is to be done even if nothing happens.
    fn wakes_at(&self, wants: bool) -> Option<Instant> {
        let answers = self.batches.values().map(Batch::wakes_at).min();
        let waits = if wants { None } else { self.queue.first_until() };
        [answers, waits, self.not_before].into_iter().flatten().min()
    }

    /// Sends these together.
    fn send(&mut self, jobs: Vec<Job>) {
        let Line::Open(connection) = &self.line else { return };
        let now = Instant::now();
        let follows = self.settings.wait_replicas > 0 && jobs.iter().any(Job::writes);
        let commands = together(jobs);
        let mut pipeline = Pipeline::with_capacity(commands.len() + 1);
        for jobs in &commands {
            pipeline.add_command(batch::command(jobs));
        }
        if follows {
            pipeline.add_command(wait(self.settings.wait_replicas, self.settings.time_limit));
        }
        let number = self.next;
        self.next += 1;
        let mut connection = connection.clone();
        self.flights.push(Box::pin(async move {
            let count = pipeline.len();
            (number, connection.send_packed_commands(&pipeline, 0, count).await)
        }));
        // A connection that is silent for half of the time leaves the other half for another one.
        let until = now + self.settings.time_limit / 2;
        let commands = commands.into_iter().map(|jobs| jobs.into_iter().map(Some).collect()).collect();
        self.batches.insert(number, Batch { commands, follows, until });
    }

    /// A batch was answered, or will not be.
    fn landed(&mut self, number: u64, answer: RedisResult<Vec<Value>>) {
        let Some(batch) = self.batches.remove(&number) else { return };
        let mut values = match answer {
            Ok(values) => values,
            Err(error) => {
                self.batches.insert(number, batch);
                return self.hang_up(Failure::from(error));
            }
        };
        let have = if batch.follows { values.pop() } else { None };
        let replicas = Replicas::new(self.settings.wait_replicas, have.as_ref());
        if values.len() != batch.commands.len() {
            self.batches.insert(number, batch);
            return self.hang_up(Failure::Unexpected("a number of answers that is not that of the commands"));
        }
        let mut again = Vec::new();
        let mut trouble = None;
        for (jobs, value) in batch.commands.into_iter().zip(values) {
            // It may come of one of them, and others may have been carried out.
            if jobs.len() > 1 && matches!(value, Value::ServerError(_)) {
                again.extend(jobs.into_iter().flatten().map(Job::alone));
                continue;
            }
            let answers = answers(value, jobs.len(), jobs.iter().flatten());
            for (job, value) in jobs.into_iter().zip(answers) {
                let Some(job) = job else { continue };
                match value {
                    Value::ServerError(error) => {
                        let failure = Failure::Server(error);
                        if let Some((job, remedy)) = retry(job, failure, &self.scripts) {
                            if remedy != Remedy::SendSource {
                                trouble = Some(remedy);
                            }
                            again.push(job);
                        }
                    }
                    value => again.extend(job.answered(value, &self.scripts, replicas)),
                }
            }
        }
        self.queue.put_back(again.into_iter());
        match trouble {
            None => self.pause = FIRST_PAUSE,
            Some(Remedy::Reconnect) => {
                // What else is under way is answered first, so that the order stays.
                if self.batches.is_empty() {
                    self.line = Line::Closed;
                }
                self.wait();
            }
            Some(_) => self.wait(),
        }
    }

    /// Gives the connection up: what was under way is sent again over the next one.
    fn hang_up(&mut self, failure: Failure) {
        self.line = Line::Closed;
        self.flights.clear();
        let jobs = std::mem::take(&mut self.batches)
            .into_values()
            .flat_map(|batch| batch.commands)
            .flatten()
            .flatten();
        let jobs: Vec<Job> = jobs.map(Job::lost).collect();
        self.queue.put_back(jobs.into_iter());
        self.failed(failure);
    }

    /// There is no connection now: those who wait are told why when their time is up.
    fn failed(&mut self, failure: Failure) {
        tracing::debug!(store = %self.name, ?failure, "no connection; it is tried again");
        self.queue.note(&failure);
        self.wait();
    }

    fn wait(&mut self) {
        self.not_before = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LAST_PAUSE);
    }

    /// Time has passed.
    fn time(&mut self) {
        let now = Instant::now();
        for slot in self.batches.values_mut().flat_map(Batch::jobs) {
            if let Some(job) = slot.take_if(|job| job.until <= now) {
                job.lost().late(self.settings.time_limit);
            }
        }
        if self.batches.values().any(|batch| batch.until <= now) {
            self.hang_up(Failure::Silent(self.settings.time_limit / 2));
        }
        for job in self.queue.take_late(now) {
            job.late(self.settings.time_limit);
        }
    }
}

/// Waits until so many replicas have what was written.
pub(crate) fn wait(replicas: u32, time_limit: Duration) -> Cmd {
    let mut wait = redis::cmd("WAIT");
    // No time at all would be for ever.
    let limit = REPLICATE.min(time_limit / 4).as_millis().max(1);
    wait.arg(replicas).arg(u64::try_from(limit).unwrap_or(u64::MAX));
    wait
}

/// What becomes of a job that the server has refused: it is asked again, or its caller is told.
pub(crate) fn retry(mut job: Job, failure: Failure, scripts: &Scripts) -> Option<(Job, Remedy)> {
    let remedy = failure.remedy();
    match remedy {
        Remedy::Tell => {
            job.give_up(failure);
            None
        }
        Remedy::SendSource => match scripts.with_source(&job.command) {
            Some(command) => {
                job.command = command;
                Some((job, remedy))
            }
            None => {
                job.give_up(failure);
                None
            }
        },
        Remedy::Wait | Remedy::Reconnect => {
            job.failed = Some(failure);
            Some((job, remedy))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Asks;

    #[test]
    fn nobody_waits_for_a_task_that_has_ended() {
        let queue = Arc::new(Queue::default());
        let ask = || {
            let (sender, receiver) = oneshot::channel();
            queue.push(Job {
                command: redis::cmd("GET"),
                asks: Asks::Command(sender, None),
                since: Instant::now(),
                until: Instant::now(),
                lost: false,
                alone: false,
                failed: None,
            });
            receiver
        };
        let before = ask();
        drop(Last(Arc::clone(&queue)));
        for asked in [before, ask()] {
            assert!(matches!(asked.recv(), Ok(Err(Failure::Gone))));
        }
    }
}
