//! Carries requests out on one connection.
//!
//! What happens most is decided by one statement: a claim of what is not there, a completion, a release, a sign of
//! life. Everything else is decided by the protocol's own functions on the row that was read, and written only if the
//! row is still the version that was read; else it is read and decided again.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use idem_runtime::store::{
    Answer, AttemptId, Claim, Complete, Grant, Record, Reply, Request, State, protocol,
};
use idem_runtime::{Text, Timestamp, Token};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Error, SqlStr};
use tokio::time::sleep;

use crate::failure::Failure;
use crate::parameters::{many_claims, many_completes, many_renews, one_claim, one_complete};
use crate::queue::Job;
use crate::row::{self, Fences, Found};
use crate::shared::Shared;
use crate::value::{Columns, Values, micros, written};

/// Not a namespace: no URL can name it. Stands for all of them, where expired records are removed.
pub(crate) const EVERYWHERE: Text = Text::from_static("\0");

/// What is asked together: all of one kind. What has been answered is in it no more.
pub(crate) struct Batch(VecDeque<Job>);

impl Batch {
    pub(crate) fn new(jobs: Vec<Job>) -> Self {
        Batch(jobs.into())
    }

    /// Since when the first one waits.
    pub(crate) fn since(&self) -> Instant {
        self.0.front().map_or_else(Instant::now, |job| job.since)
    }

    /// What has not been answered. It may have been carried out, unless the server would have none of it.
    pub(crate) fn left(mut self, refused: bool) -> Vec<Job> {
        self.0.iter_mut().for_each(|job| job.sent |= !refused);
        self.0.into()
    }
}

/// A request that a statement has not decided, and the row that it found, if it says so.
type Open = Option<Box<(Timestamp, Option<Found>)>>;

/// Carries out and answers all of a batch. An error is one of the connection.
pub(crate) async fn out(
    shared: &Shared,
    connection: &mut PgConnection,
    batch: &mut Batch,
) -> Result<(), Error> {
    let mut link = Link { shared, connection };
    // What the first statement has not decided, in the order of the batch.
    let mut open: VecDeque<Open> = batch.0.iter().map(|_| None).collect();
    if batch.0.len() > 1 {
        match link.together(&batch.0).await {
            Ok(outcomes) => {
                open.clear();
                let jobs = std::mem::take(&mut batch.0);
                for (job, outcome) in jobs.into_iter().zip(outcomes) {
                    match outcome {
                        Outcome::Answer(answer) => shared.answer(job, answer),
                        Outcome::Open(found) => {
                            batch.0.push_back(job);
                            open.push_back(found);
                        }
                    }
                }
            }
            Err(Failure::Broken(error)) => return Err(error),
            // Nothing was done: one that fails must not take the others with it.
            Err(_) => {}
        }
    }
    while let Some(job) = batch.0.front() {
        let found = open.pop_front().flatten();
        let answer = match link.alone(job, found).await {
            Ok(reply) => Ok(reply),
            Err(Failure::Broken(error)) => return Err(error),
            Err(failure) => Err(failure.explain(&shared.name)),
        };
        if let Some(job) = batch.0.pop_front() {
            shared.answer(job, answer);
        }
    }
    Ok(())
}

/// What a statement made of one request.
enum Outcome {
    Answer(Answer),
    Open(Open),
}

/// One connection at work.
pub(crate) struct Link<'a> {
    pub(crate) shared: &'a Shared,
    connection: &'a mut PgConnection,
}

impl Link<'_> {
    pub(crate) fn values(&self) -> Values {
        Values::new(self.shared.builder.pooled)
    }

    /// Sends one statement, and waits for its rows.
    pub(crate) async fn run(&mut self, sql: &SqlStr, values: Values) -> Result<Vec<PgRow>, Error> {
        match values {
            Values::Bound(arguments) => {
                sqlx::query_with(sql.clone(), *arguments).fetch_all(&mut *self.connection).await
            }
            Values::Written(values) => {
                let text = written(sql.as_str(), &values);
                sqlx::raw_sql(AssertSqlSafe(text)).fetch_all(&mut *self.connection).await
            }
        }
    }

    /// All of a batch by one statement.
    async fn together(&mut self, jobs: &VecDeque<Job>) -> Result<Vec<Outcome>, Failure> {
        let sql = &self.shared.sql;
        let claims: Vec<_> = jobs.iter().filter_map(|job| Some((&job.namespace, as_claim(job)?))).collect();
        let completes: Vec<_> =
            jobs.iter().filter_map(|job| Some((&job.namespace, as_complete(job)?))).collect();
        if claims.len() == jobs.len() {
            let rows = self.run(&sql.claims, many_claims(&claims)?).await?;
            self.claimed(&rows, &jobs.iter().collect::<Vec<_>>())
        } else if completes.len() == jobs.len() {
            let rows = self.run(&sql.completes, many_completes(&completes)?).await?;
            Ok(done(&rows, completes.len(), Reply::Completed))
        } else if jobs.iter().all(|job| matches!(job.request, Request::Renew { .. })) {
            let renews: Vec<_> = jobs.iter().map(|job| (&job.namespace, &job.request)).collect();
            let rows = self.run(&sql.renews, many_renews(&renews)?).await?;
            Ok(done(&rows, renews.len(), Reply::Renewed))
        } else {
            Ok(jobs.iter().map(|_| Outcome::Open(None)).collect())
        }
    }

    /// One request, until it is decided.
    async fn alone(&mut self, job: &Job, mut found: Open) -> Result<Reply, Failure> {
        let mut pause = Duration::from_millis(1);
        // Before the caller gives up: so it is known that nothing was done.
        let limit = self.shared.builder.time_limit / 4 * 3;
        loop {
            match self.once(job, found.take()).await {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(failure) if failure.is_passing() && job.since.elapsed() < limit => {
                    sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(100));
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// One request; nothing if somebody else came between, and it is to be asked again.
    async fn once(&mut self, job: &Job, found: Open) -> Result<Option<Reply>, Failure> {
        let namespace = &job.namespace;
        let token = match (&job.request, job.request.token()) {
            (_, Some(token)) => token,
            (Request::List(query), None) => return self.list(namespace, query).await.map(Some),
            (Request::Purge { limit }, None) => return self.purge(namespace, *limit).await.map(Some),
            (request, None) => {
                let what = request.operation();
                return Err(Failure::Unknown(what));
            }
        };
        if let Some(seen) = found {
            let (now, found) = *seen;
            return self.decide(job, token, now, found).await;
        }
        let first = match &job.request {
            Request::Claim(claim) => {
                let sql = &self.shared.sql.claim;
                let rows = self.run(sql, one_claim(self.values(), namespace, claim)?).await?;
                self.claimed(&rows, &[job])?.pop()
            }
            Request::Complete(complete) => {
                let sql = &self.shared.sql.complete;
                let rows = self.run(sql, one_complete(self.values(), namespace, complete)?).await?;
                done(&rows, 1, Reply::Completed).pop()
            }
            Request::Release { .. } | Request::Renew { .. } | Request::Interrupt { .. } => {
                self.mine(namespace, token, &job.request).await?.map(|reply| Outcome::Answer(Ok(reply)))
            }
            _ => None,
        };
        match first {
            Some(Outcome::Answer(answer)) => return answer.map(Some).map_err(Failure::Said),
            Some(Outcome::Open(Some(seen))) => {
                let (now, found) = *seen;
                return self.decide(job, token, now, found).await;
            }
            // Nothing was there, and nothing could be made: somebody came between.
            Some(Outcome::Open(None)) if matches!(job.request, Request::Claim(_)) => return Ok(None),
            _ => {}
        }
        let (now, found) = match &job.request {
            Request::Watch { .. } => match self.look(namespace, token).await? {
                Some(seen) => seen,
                None => return Ok(None),
            },
            _ => self.read(namespace, token).await?,
        };
        self.decide(job, token, now, found).await
    }

    /// What the rows of a claiming statement say, for each claim in its place.
    fn claimed(&self, rows: &[PgRow], claims: &[&Job]) -> Result<Vec<Outcome>, Failure> {
        let mut outcomes: Vec<_> = claims.iter().map(|_| Outcome::Open(None)).collect();
        for row in rows {
            let mut columns = Columns::new(row);
            let (place, now) =
                (columns.maybe_number().map_err(unreadable)?, columns.time().map_err(unreadable)?);
            if let Some(fence) = columns.maybe_number().map_err(unreadable)? {
                let place = match claims {
                    [_] => Some(0),
                    claims => {
                        columns.skip(5);
                        let attempt = AttemptId::from_bytes(columns.array().map_err(unreadable)?);
                        claims.iter().position(|job| job.attempt() == Some(attempt))
                    }
                };
                if let Some(place) = place {
                    let fence = row::bits(fence);
                    outcomes[place] = Outcome::Answer(Ok(Reply::Claimed(Grant::new(fence, fence, 1))));
                    self.shared.made.fetch_add(1, Ordering::Relaxed);
                }
                continue;
            }
            if columns.is_null() {
                continue;
            }
            let place = place.and_then(|place| usize::try_from(place - 1).ok());
            let Some((place, job)) = place.and_then(|place| Some((place, claims.get(place)?))) else {
                continue;
            };
            outcomes[place] = match row::deciding(&mut columns) {
                Ok(found) => duplicate(&job.request, now, found),
                Err(cause) => {
                    let token = job.request.token().unwrap_or_default();
                    Outcome::Answer(Err(Failure::Damaged(token, cause).explain(&self.shared.name)))
                }
            };
        }
        Ok(outcomes)
    }

    /// What an attempt says of itself while it runs.
    async fn mine(
        &mut self,
        namespace: &str,
        token: Token,
        request: &Request,
    ) -> Result<Option<Reply>, Failure> {
        let shared = self.shared;
        let (sql, attempt, reply) = match request {
            Request::Release { attempt, .. } => (&shared.sql.release, attempt, Reply::Released),
            Request::Renew { attempt, .. } => (&shared.sql.renew, attempt, Reply::Renewed),
            Request::Interrupt { attempt, .. } => (&shared.sql.interrupt, attempt, Reply::Stopped),
            _ => return Ok(None),
        };
        let mut values = self.values();
        values.text(namespace)?;
        values.bytes(token.as_bytes())?;
        values.bytes(&attempt.to_bytes())?;
        if let Request::Renew { lease, .. } = request {
            values.number(micros(*lease))?;
        }
        Ok((!self.run(sql, values).await?.is_empty()).then_some(reply))
    }

    async fn read(&mut self, namespace: &str, token: Token) -> Result<(Timestamp, Option<Found>), Failure> {
        let mut values = self.values();
        values.text(namespace)?;
        values.bytes(token.as_bytes())?;
        let rows = self.run(&self.shared.sql.read, values).await?;
        one(&rows, token).map(|(now, _, found)| (now, found))
    }

    /// Reads, and notes that somebody waits; nothing if that is not sure, and it is to be looked at again.
    async fn look(
        &mut self,
        namespace: &str,
        token: Token,
    ) -> Result<Option<(Timestamp, Option<Found>)>, Failure> {
        if !self.shared.notifies() {
            return self.read(namespace, token).await.map(Some);
        }
        let mut values = self.values();
        values.text(namespace)?;
        values.bytes(token.as_bytes())?;
        let rows = self.run(&self.shared.sql.mark, values).await?;
        let (now, watched, found) = one(&rows, token)?;
        let runs = found.as_ref().is_some_and(|found| found.record.head.state == State::Running);
        Ok((watched || !runs).then_some((now, found)))
    }

    /// Decides on the row that was found, and writes what the decision changes.
    async fn decide(
        &mut self,
        job: &Job,
        token: Token,
        now: Timestamp,
        found: Option<Found>,
    ) -> Result<Option<Reply>, Failure> {
        let (namespace, now) = (&job.namespace, row::now(now));
        let mut fresh = false;
        // Which one it is, the statement that takes it says.
        let fence = || {
            fresh = true;
            0
        };
        let view = found.as_ref().map(|found| found.record.view());
        let decision = protocol::decide(view, &job.request, &now, fence);
        let there =
            found.as_ref().map(|found| &found.record).filter(|record| !protocol::expired(&record.head, &now));
        let reply = protocol::reply(decision.verdict, there);
        let (before, version) = match found {
            Some(Found { record, version }) => {
                (Some(record).filter(|record| !protocol::expired(&record.head, &now)), Some(version))
            }
            None => (None, None),
        };
        let after = match decision.change {
            protocol::Change::Nothing => return Ok(Some(reply)),
            protocol::Change::Remove => {
                let Some(version) = version else { return Ok(Some(reply)) };
                return Ok(self.remove(namespace, token, &version).await?.then_some(reply));
            }
            protocol::Change::Head(head) => match (before, &job.request) {
                // What a claim has found is not all of the record.
                (Some(_), Request::Claim(_)) => {
                    let (again, found) = self.read(namespace, token).await?;
                    return match found {
                        Some(Found { record, version: same }) if Some(&same) == version.as_ref() => {
                            let mut record = record;
                            record.head = head;
                            self.put(namespace, token, &record, Some(&same), fresh, reply).await
                        }
                        found => Box::pin(self.decide(job, token, again, found)).await,
                    };
                }
                (Some(mut record), _) => {
                    record.head = head;
                    record
                }
                (None, _) => return Ok(Some(reply)),
            },
            protocol::Change::Whole(head) => protocol::carried(before, head, &job.request),
        };
        self.put(namespace, token, &after, version.as_deref(), fresh, reply).await
    }

    /// Writes a record in the place of the version that was read, or of nothing; nothing if that is not there any more.
    async fn put(
        &mut self,
        namespace: &str,
        token: Token,
        record: &Record,
        version: Option<&str>,
        fresh: bool,
        reply: Reply,
    ) -> Result<Option<Reply>, Failure> {
        let head = &record.head;
        let fences = Fences { fresh, generation: fresh && head.generation == head.fence };
        let mut values = self.values();
        row::put(&mut values, namespace, token, record, fences)?;
        let sql = match version {
            Some(version) => {
                values.text(version)?;
                &self.shared.sql.replace
            }
            None => &self.shared.sql.insert,
        };
        let rows = self.run(sql, values).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut columns = Columns::new(row);
        let fence = row::bits(columns.number().map_err(unreadable)?);
        let generation = row::bits(columns.number().map_err(unreadable)?);
        Ok(Some(match reply {
            // Another attempt of what is running has the fence that it has.
            Reply::Claimed(grant) => Reply::Claimed(Grant::new(fence, generation, grant.number)),
            reply => reply,
        }))
    }

    async fn remove(&mut self, namespace: &str, token: Token, version: &str) -> Result<bool, Failure> {
        let mut values = self.values();
        values.text(namespace)?;
        values.bytes(token.as_bytes())?;
        values.text(version)?;
        Ok(!self.run(&self.shared.sql.remove, values).await?.is_empty())
    }
}

fn as_claim(job: &Job) -> Option<&Claim> {
    match &job.request {
        Request::Claim(claim) => Some(claim),
        _ => None,
    }
}

fn as_complete(job: &Job) -> Option<&Complete> {
    match &job.request {
        Request::Complete(complete) => Some(complete),
        _ => None,
    }
}

/// What is said of a row that is not what the statement gives.
pub(crate) fn unreadable(cause: String) -> Failure {
    Failure::Refused(Error::Decode(cause.into()))
}

/// A duplicate is answered by what was found; what changes the record is still open.
fn duplicate(request: &Request, now: Timestamp, found: Found) -> Outcome {
    let now_there = row::now(now);
    let decision = protocol::decide(Some(found.record.view()), request, &now_there, || 0);
    if decision.change != protocol::Change::Nothing {
        return Outcome::Open(Some(Box::new((now, Some(found)))));
    }
    Outcome::Answer(Ok(protocol::reply(decision.verdict, Some(&found.record))))
}

/// The time, whether somebody who waits is noted, and the record of a row.
fn one(rows: &[PgRow], token: Token) -> Result<(Timestamp, bool, Option<Found>), Failure> {
    let Some(row) = rows.first() else { return Err(unreadable("it is no row".into())) };
    let mut columns = Columns::new(row);
    let now = columns.time().map_err(unreadable)?;
    let watched = columns.maybe_flag().map_err(unreadable)?.unwrap_or(false);
    if columns.is_null() {
        return Ok((now, watched, None));
    }
    let found = row::whole(&mut columns).map_err(|cause| Failure::Damaged(token, cause))?;
    Ok((now, watched, Some(found)))
}

/// Which of so many completions were done.
fn done(rows: &[PgRow], count: usize, reply: Reply) -> Vec<Outcome> {
    let mut outcomes: Vec<_> = (0..count).map(|_| Outcome::Open(None)).collect();
    for row in rows {
        let place = Columns::new(row).number().ok().and_then(|place| usize::try_from(place - 1).ok());
        if let Some(outcome) = place.and_then(|place| outcomes.get_mut(place)) {
            *outcome = Outcome::Answer(Ok(reply.clone()));
        }
    }
    outcomes
}
