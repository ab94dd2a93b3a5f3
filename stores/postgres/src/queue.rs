//! What waits for a connection.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use idem_runtime::Text;
use idem_runtime::store::{AttemptId, Request, Responder};
use tokio::sync::Notify;

use crate::row;

/// How many bytes go out together at most: large results are not to keep small ones waiting.
const TOGETHER: usize = 1 << 20;

/// One request on its way.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) namespace: Text,
    pub(crate) request: Request,
    pub(crate) responder: Responder,
    pub(crate) since: Instant,
    /// It was sent, and may have been carried out.
    pub(crate) sent: bool,
}

impl Job {
    /// Whose requests are carried out in the order in which they were asked.
    pub(crate) fn attempt(&self) -> Option<AttemptId> {
        match &self.request {
            Request::Claim(claim) => Some(claim.attempt),
            Request::Complete(complete) => Some(complete.attempt),
            Request::Release { attempt, .. }
            | Request::Renew { attempt, .. }
            | Request::Interrupt { attempt, .. } => Some(*attempt),
            _ => None,
        }
    }
}

/// The queue of a store. Whoever has a free connection takes from it: several claims, several completions, several
/// renewals, or one of anything else. Requests of one attempt are never out at the same time.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    /// Somebody may take something.
    filled: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    claims: VecDeque<Job>,
    completes: VecDeque<Job>,
    renews: VecDeque<Job>,
    others: VecDeque<Job>,
    /// The attempts of which a request is out or waits above, and what waits for the end of that.
    attempts: HashMap<AttemptId, VecDeque<Job>>,
    closed: bool,
}

impl Waiting {
    fn line(&mut self, job: &Job) -> &mut VecDeque<Job> {
        match &job.request {
            Request::Claim(_) => &mut self.claims,
            Request::Complete(_) => &mut self.completes,
            Request::Renew { .. } => &mut self.renews,
            _ => &mut self.others,
        }
    }

    fn ready(&mut self, job: Job) {
        self.line(&job).push_back(job);
    }

    fn lines(&mut self) -> [&mut VecDeque<Job>; 4] {
        [&mut self.completes, &mut self.claims, &mut self.renews, &mut self.others]
    }

    /// The line whose first request has waited longest.
    fn oldest(&mut self) -> Option<&mut VecDeque<Job>> {
        self.lines()
            .into_iter()
            .filter(|line| !line.is_empty())
            .min_by_key(|line| line.front().map(|job| job.since))
    }

    /// A request of this attempt is over: the next one may go out.
    fn over(&mut self, attempt: AttemptId) -> bool {
        let Some(behind) = self.attempts.get_mut(&attempt) else { return false };
        match behind.pop_front() {
            Some(job) => {
                self.ready(job);
                true
            }
            None => {
                self.attempts.remove(&attempt);
                false
            }
        }
    }
}

impl Queue {
    pub(crate) fn push(&self, job: Job) {
        let mut waiting = self.lock();
        match job.attempt().map(|attempt| waiting.attempts.entry(attempt)) {
            Some(std::collections::hash_map::Entry::Occupied(mut behind)) => {
                return behind.get_mut().push_back(job);
            }
            Some(std::collections::hash_map::Entry::Vacant(place)) => {
                place.insert(VecDeque::new());
            }
            None => {}
        }
        waiting.ready(job);
        drop(waiting);
        self.filled.notify_last();
    }

    /// The next ones, at most so many. Nothing once the queue is closed and empty.
    pub(crate) async fn take(&self, most: usize) -> Option<Vec<Job>> {
        loop {
            let filled = self.filled.notified();
            {
                let mut waiting = self.lock();
                if let Some(line) = waiting.oldest() {
                    let alone = !matches!(
                        line.front().map(|job| &job.request),
                        Some(Request::Claim(_) | Request::Complete(_) | Request::Renew { .. })
                    );
                    let most = if alone { 1 } else { most };
                    let mut size = 0;
                    let fits = |job: &&Job| {
                        size += row::size(&job.request);
                        size <= TOGETHER
                    };
                    // One goes out, however large it is.
                    let count = line.iter().take(most).take_while(fits).count().max(1);
                    let batch = line.drain(..count).collect();
                    if waiting.oldest().is_some() {
                        self.filled.notify_last();
                    }
                    return Some(batch);
                }
                if waiting.closed && waiting.attempts.is_empty() {
                    drop(waiting);
                    // The others, too.
                    self.filled.notify_last();
                    return None;
                }
            }
            filled.await;
        }
    }

    /// Takes back what could not be asked.
    pub(crate) fn put_back(&self, batch: Vec<Job>) {
        if batch.is_empty() {
            return;
        }
        let mut waiting = self.lock();
        for job in batch.into_iter().rev() {
            waiting.line(&job).push_front(job);
        }
        drop(waiting);
        self.filled.notify_last();
    }

    /// A request of this attempt has been answered.
    pub(crate) fn over(&self, attempt: Option<AttemptId>) {
        if attempt.is_some_and(|attempt| self.lock().over(attempt)) {
            self.filled.notify_last();
        }
    }

    /// Takes what has waited for longer than `limit`.
    pub(crate) fn late(&self, limit: Duration) -> Vec<Job> {
        let now = Instant::now();
        let is_late = |job: &Job| now.saturating_duration_since(job.since) >= limit;
        let mut late = Vec::new();
        let mut waiting = self.lock();
        for line in waiting.lines() {
            if !line.iter().any(is_late) {
                continue;
            }
            let (over, left) = std::mem::take(line).into_iter().partition(is_late);
            *line = left;
            late.extend::<VecDeque<Job>>(over);
        }
        late
    }

    /// Nothing more will be asked.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_last();
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().lines().iter().all(|line| line.is_empty())
    }

    pub(crate) fn is_closed(&self) -> bool {
        let waiting = self.lock();
        waiting.closed && waiting.attempts.is_empty() && waiting.others.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
