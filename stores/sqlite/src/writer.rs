//! The one thread that writes. It takes all that waits, carries it out in one transaction, commits, and answers:
//! many callers share what a commit costs.

use std::sync::Arc;
use std::time::Instant;

use idem_runtime::Token;
use idem_runtime::store::{Answer, Record, Reply, Request, State, StoreError, protocol};
use rusqlite::Connection;

use crate::failure::Failure;
use crate::file::File;
use crate::queue::Job;
use crate::{busy, records, schema, walk};

/// How many requests share a commit at most: beyond that it is the requests that cost, not the commit.
const BATCH: usize = 256;
/// How many expired records are removed at once without being asked, and after how many changes.
const STEP: usize = 100;
const CHANGES: usize = 64;
/// How many fences are taken from the file at once.
const FENCES: u64 = 100;
/// How many expired records one request removes at most, so that the others are not kept waiting.
const PURGE: usize = 1_000;

/// The thread's own.
#[derive(Debug)]
pub(crate) struct Writer {
    file: Arc<File>,
    connection: Connection,
    fences: Fences,
    /// For encoding records.
    buffer: Vec<u8>,
    /// How many requests have been carried out since expired records were looked for.
    changes: usize,
    /// There may be more expired records than the last step removed.
    more: bool,
}

/// What one request of a transaction came to.
struct Outcome {
    answer: Answer,
    /// What there is now under a token that is not running any more.
    ended: Option<(Token, Option<Record>)>,
}

/// The fences that this writer may give. It takes more than it needs at once, and uses them only as long as nobody
/// else has taken any since: so fences grow, whoever gives them, and few claims write the counter.
#[derive(Debug, Clone, Copy, Default)]
struct Fences {
    /// The last one that was given.
    last: u64,
    /// The last one that may be given.
    most: u64,
}

impl Fences {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

impl Writer {
    pub(crate) fn new(file: Arc<File>, connection: Connection) -> Self {
        Writer { file, connection, fences: Fences::default(), buffer: Vec::new(), changes: 0, more: true }
    }

    /// Works until the last handle is gone and nothing is left to do.
    pub(crate) fn run(mut self) {
        let _last = Last(Arc::clone(&self.file));
        let mut batch = Vec::new();
        while self.file.queue.wait(&mut batch, BATCH) {
            self.serve(&mut batch, BATCH);
            batch.clear();
            self.tidy();
        }
    }

    /// Carries out and answers all of a batch, which may grow to `most` while the file is busy.
    fn serve(&mut self, batch: &mut Vec<Job>, most: usize) {
        loop {
            let failure = match self.together(batch) {
                Ok(outcomes) => return self.answer(batch, outcomes),
                Err(failure) => failure,
            };
            if failure.is_busy() {
                self.give_up(batch, failure);
                if batch.is_empty() {
                    return;
                }
                busy::pause();
                self.file.queue.top_up(batch, most);
            } else if batch.len() == 1 || failure.is_unknown() {
                let error = failure.explain(&self.file.name);
                return batch.drain(..).for_each(|job| job.waiting.answer(Err(error.clone())));
            } else {
                // Nothing was done: one that fails must not take the others with it.
                return batch.drain(..).for_each(|job| self.serve(&mut vec![job], 1));
            }
        }
    }

    /// Answers those whose time is up.
    fn give_up(&self, batch: &mut Vec<Job>, failure: Failure) {
        let now = Instant::now();
        let (late, left): (Vec<Job>, Vec<Job>) = batch.drain(..).partition(|job| job.until <= now);
        *batch = left;
        if !late.is_empty() {
            let error = failure.explain(&self.file.name);
            late.into_iter().for_each(|job| job.waiting.answer(Err(error.clone())));
        }
    }

    fn answer(&mut self, batch: &mut Vec<Job>, outcomes: Vec<Outcome>) {
        self.changes += batch.len();
        for (job, Outcome { answer, ended }) in batch.drain(..).zip(outcomes) {
            job.waiting.answer(answer);
            if let Some((token, record)) = ended {
                self.file.watches.wake(&job.namespace, token, record);
            }
        }
    }

    /// Carries out a batch in one transaction. After an error nothing of it was done, unless that is not known.
    fn together(&mut self, batch: &[Job]) -> Result<Vec<Outcome>, Failure> {
        self.file.queue.begin();
        self.file.check()?;
        if !self.connection.is_autocommit() {
            // The last one failed, and could not be rolled back then.
            self.execute("ROLLBACK")?;
        }
        self.execute("BEGIN IMMEDIATE")?;
        let done = self.inside(batch).and_then(|outcomes| {
            self.execute("COMMIT").map_err(Failure::Commit)?;
            Ok(outcomes)
        });
        if done.is_err() {
            // What was taken in a transaction that failed is not ours.
            self.fences = Fences::default();
            if !self.connection.is_autocommit() {
                let _ = self.execute("ROLLBACK");
            }
        }
        done
    }

    fn inside(&mut self, batch: &[Job]) -> Result<Vec<Outcome>, Failure> {
        let version = records::version(&self.connection)?;
        if version > schema::VERSION {
            return Err(Failure::Newer(version));
        }
        if batch.iter().any(|job| matches!(job.request, Request::Claim(_))) {
            self.take_fences(batch.len() as u64)?;
        }
        let mut outcomes = Vec::with_capacity(batch.len());
        for job in batch {
            outcomes.push(match self.carry_out(job) {
                Ok(outcome) => outcome,
                // SQLite has given up the whole transaction.
                Err(failure) if self.connection.is_autocommit() => return Err(failure),
                Err(failure) => Outcome { answer: Err(failure.explain(&self.file.name)), ended: None },
            });
        }
        Ok(outcomes)
    }

    /// Sees to it that there are so many fences to give.
    fn take_fences(&mut self, count: u64) -> Result<(), Failure> {
        let taken = records::fence(&self.connection)?;
        let Fences { last, most } = self.fences;
        if most != taken || last + count > most {
            // Somebody else's fences lie between ours and the next ones, or there are too few left.
            let last = if most == taken { last } else { taken };
            let most = taken + FENCES.max(count);
            records::set_fence(&self.connection, most)?;
            self.fences = Fences { last, most };
        }
        Ok(())
    }

    /// Carries out one request. What has failed has changed nothing.
    fn carry_out(&mut self, job: &Job) -> Result<Outcome, Failure> {
        let now = self.file.clock.now();
        let (connection, namespace) = (&self.connection, &*job.namespace);
        let token = match (&job.request, job.request.token()) {
            (_, Some(token)) => token,
            (Request::List(query), None) => {
                return Ok(Outcome::only(Reply::Page(walk::list(connection, namespace, query, &now)?)));
            }
            (Request::Purge { limit }, None) => {
                let removed = walk::purge(connection, Some(namespace), (*limit).min(PURGE), &now)?;
                return Ok(Outcome::only(Reply::Purged(removed)));
            }
            (request, None) => {
                let message =
                    format!("does not know the operation `{}`: update idem-sqlite", request.operation());
                let error = StoreError::refused(self.file.name.clone(), message);
                return Ok(Outcome { answer: Err(error), ended: None });
            }
        };
        let found = records::find(connection, namespace, token, &now)?;
        let fences = &mut self.fences;
        let view = found.record.as_ref().map(Record::view);
        let decision = protocol::decide(view, &job.request, &now, || fences.next());
        let reply = protocol::reply(decision.verdict, found.record.as_ref());
        let after = match decision.change {
            protocol::Change::Nothing => return Ok(Outcome::only(reply)),
            protocol::Change::Remove => None,
            protocol::Change::Head(head) => found.record.map(|mut record| {
                record.head = head;
                record
            }),
            protocol::Change::Whole(head) => Some(protocol::carried(found.record, head, &job.request)),
        };
        match &after {
            Some(record) => records::put(connection, namespace, token, record, found.row, &mut self.buffer)?,
            None => records::remove(connection, namespace, token)?,
        }
        let running = after.as_ref().is_some_and(|record| record.head.state == State::Running);
        Ok(Outcome { answer: Ok(reply), ended: (!running).then_some((token, after)) })
    }

    /// Removes a few expired records, now and then.
    fn tidy(&mut self) {
        let due = self.changes >= CHANGES || (self.more && self.file.queue.is_empty());
        if !due {
            return;
        }
        self.changes = 0;
        // Whatever fails here is tried again later; what is asked for fails loudly on its own.
        self.more = self.purge().is_ok_and(|removed| removed == STEP);
    }

    fn purge(&mut self) -> Result<usize, Failure> {
        self.file.queue.begin();
        self.file.check()?;
        self.execute("BEGIN IMMEDIATE")?;
        let removed = walk::purge(&self.connection, None, STEP, &self.file.clock.now());
        match removed {
            Ok(_) => self.execute("COMMIT")?,
            Err(_) if self.connection.is_autocommit() => {}
            Err(_) => self.execute("ROLLBACK")?,
        }
        removed
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }
}

impl Outcome {
    fn only(reply: Reply) -> Self {
        Outcome { answer: Ok(reply), ended: None }
    }
}

/// Whatever ends the writer: nobody waits for it in vain.
struct Last(Arc<File>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.queue.die();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use idem_runtime::store::{Asked, AttemptId, Claim, Complete, Fault, Payload};

    use super::*;
    use crate::file::Open;
    use crate::options::SqliteStoreBuilder;

    /// A file that may not grow beyond so many pages, which is for SQLite what a full disk is.
    fn full_after(pages: i64) -> (tempfile::TempDir, Open) {
        let folder = tempfile::tempdir().unwrap();
        let builder = SqliteStoreBuilder::new(folder.path().join("a.db")).time_limit(Duration::from_secs(60));
        let (file, connection) = File::open(&builder).unwrap();
        connection.pragma_update(None, "max_page_count", pages).unwrap();
        (folder, Open::start(file, connection).unwrap())
    }

    fn ask(open: &Open, request: Request) -> Asked {
        open.file.write(&"".into(), request)
    }

    fn answer(asked: Asked) -> Answer {
        match asked {
            Asked::Now(answer) => answer,
            Asked::Later(pending) => pending.wait(None).unwrap(),
        }
    }

    fn complete(number: u8, size: usize) -> Request {
        let mut complete = Complete::default();
        complete.token = Token::from_bytes([number; 32]);
        complete.attempt = AttemptId::random();
        complete.ttl = Duration::from_secs(3_600);
        complete.result = Payload::from(vec![number; size]);
        Request::Complete(Arc::new(complete))
    }

    #[test]
    fn on_a_full_disk_what_finds_no_room_is_refused_and_the_rest_is_kept() {
        let (_folder, open) = full_after(40);
        assert_eq!(answer(ask(&open, complete(0, 10))).unwrap(), Reply::Completed);
        // While somebody else writes, all of these gather to one transaction.
        let beside = Connection::open(open.file.path()).unwrap();
        beside.execute_batch("BEGIN IMMEDIATE").unwrap();
        let large: Vec<_> = (1..=3).map(|number| ask(&open, complete(number, 100_000))).collect();
        let small: Vec<_> = (10..20).map(|number| ask(&open, complete(number, 10))).collect();
        beside.execute_batch("ROLLBACK").unwrap();

        let large: Vec<_> = large.into_iter().map(answer).collect();
        assert_eq!(large[0].as_ref().unwrap(), &Reply::Completed);
        for refused in &large[1..] {
            let error = refused.as_ref().unwrap_err();
            assert_eq!(error.fault(), Fault::Refused);
            assert!(error.to_string().contains("has no room left on its disk"), "{error}");
        }
        for kept in small {
            assert_eq!(answer(kept).unwrap(), Reply::Completed);
        }
        for (number, there) in [(0, true), (1, true), (2, false), (3, false), (10, true), (19, true)] {
            let found = open.file.look("", Token::from_bytes([number; 32])).unwrap();
            assert_eq!(found.is_some(), there, "{number}");
        }
    }

    #[test]
    fn fences_are_taken_a_hundred_at_a_time_and_grow() {
        let (_folder, open) = full_after(1_000);
        let mut last = 0;
        for number in 0..=250 {
            let mut claim = Claim::default();
            claim.token = Token::from_bytes([number; 32]);
            claim.attempt = AttemptId::random();
            let request = Request::Claim(Arc::new(claim));
            match answer(ask(&open, request)) {
                Ok(Reply::Claimed(grant)) => {
                    assert_eq!(std::mem::replace(&mut last, grant.fence) + 1, grant.fence)
                }
                other => panic!("{other:?}"),
            }
        }
        let beside = Connection::open(open.file.path()).unwrap();
        assert_eq!(records::fence(&beside).unwrap(), 300);
    }

    #[test]
    fn a_writer_that_has_ended_is_reported() {
        let (_folder, open) = full_after(1_000);
        open.file.queue.die();
        let error = answer(ask(&open, complete(0, 10))).unwrap_err();
        assert_eq!(error.fault(), Fault::Refused);
        assert!(error.to_string().contains("open the store again"), "{error}");
    }
}
