//! One request on its way: what is asked of the server, and what its answers mean.
//!
//! What happens on every call is decided by a script, in one round trip: a claim that finds nothing, and the running
//! attempt's own `complete`, `release`, `renew` and `interrupt`. A claim of what has ended, as far as it is known here, is a
//! plain `GET`. In every other case the script changes nothing and gives the record as it is, and when; the protocol's own
//! transitions decide. If they change the record, one more script writes it, provided that it is still what it was.

use std::sync::Arc;

use idem_runtime::store::protocol::{self, Change};
use idem_runtime::store::{Grant, Record, Reply, Request, State};
use idem_runtime::{LeaseTime, Now, Timestamp};
use redis::{Cmd, Value};

use crate::core::Settings;
use crate::ended::Ended;
use crate::failure::Failure;
use crate::layout::{self, HEAD, Retention};
use crate::scripts::{self, Scripts};

/// One request, and how far it has come.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) request: Request,
    key: Box<[u8]>,
    settings: Settings,
    ended: Arc<Ended>,
    /// The record is only read: it should be done.
    reads: bool,
    /// What the caller is told once what was decided here is written.
    decided: Option<Reply>,
}

/// What comes after an answer of the server.
#[derive(Debug)]
pub(crate) enum Next {
    Answer(Reply),
    Ask(Cmd),
}

impl Operation {
    /// A request about one record.
    pub(crate) fn new(request: Request, key: Vec<u8>, settings: Settings, ended: Arc<Ended>) -> Self {
        let reads = matches!(&request, Request::Claim(claim) if ended.has(claim.token));
        Operation { request, key: key.into(), settings, ended, reads, decided: None }
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The first command.
    pub(crate) fn start(&self, scripts: &Scripts) -> Result<Cmd, Failure> {
        self.fitting(self.first(scripts))
    }

    /// A command that the server takes: one that is too large for it would end the connection, for all others too.
    fn fitting(&self, command: Cmd) -> Result<Cmd, Failure> {
        let too_large = |part: redis::Arg<&[u8]>| matches!(part, redis::Arg::Simple(bytes) if bytes.len() > self.settings.largest);
        let fits = !command.args_iter().any(too_large);
        if fits { Ok(command) } else { Err(Failure::TooLarge { most: self.settings.largest }) }
    }

    fn first(&self, scripts: &Scripts) -> Cmd {
        let key = &self.key;
        match &self.request {
            Request::Claim(_) if self.reads => scripts::read(key),
            Request::Claim(claim) => {
                let template = layout::template(claim);
                let mut command = scripts.claim.call(key, 4, template.len() + 60);
                command.arg(layout::lease(claim.lease));
                command.arg(layout::kept(claim.ttl, Retention::running(claim)).as_bytes());
                command.arg(&template[..layout::FRONT]).arg(&template[layout::FRONT..]);
                command
            }
            Request::Complete(complete) => {
                let (digest, result, function) = (&complete.digest, &complete.result, &complete.function);
                let same = [digest.as_slice(), function.as_bytes()].concat();
                let mut command = scripts.complete.call(key, 7, same.len() + result.len() + 120);
                command.arg(layout::done(complete.kind, digest.len()).as_bytes());
                command.arg(layout::kept(complete.ttl, Retention::after(complete.ttl)).as_bytes());
                command.arg(&complete.attempt.to_bytes());
                command.arg(&layout::lengths::<3, 18>([digest.len(), 0, function.len()])).arg(same);
                command.arg(&layout::lengths::<2, 12>([digest.len(), result.len()])).arg(&**result);
                command
            }
            Request::Release { attempt, .. } | Request::Interrupt { attempt, .. } => {
                self.sign(scripts, &attempt.to_bytes(), 0)
            }
            Request::Renew { attempt, lease, .. } => {
                self.sign(scripts, &attempt.to_bytes(), layout::lease(*lease))
            }
            _ => scripts.look.call(key, 0, 0),
        }
    }

    fn sign(&self, scripts: &Scripts, attempt: &[u8; 16], lease: u64) -> Cmd {
        let mut command = scripts.sign.call(&self.key, 3, 60);
        command.arg(self.request.operation()).arg(lease).arg(attempt);
        command
    }

    /// What an answer of the server leads to.
    pub(crate) fn answered(&mut self, value: Value, scripts: &Scripts) -> Result<Next, Failure> {
        if std::mem::take(&mut self.reads)
            && !matches!(&value, Value::BulkString(found) if layout::is_done(found))
        {
            self.remember(false);
            return self.start(scripts).map(Next::Ask);
        }
        match value {
            Value::Int(now) => Ok(Next::Answer(self.written(now.unsigned_abs()))),
            // It is done, and the time does not matter.
            Value::BulkString(found) => self.decide(Some(&found), 0, scripts),
            Value::Array(parts) => match <[Value; 2]>::try_from(parts) {
                Ok([Value::BulkString(found), Value::Int(now)]) => self.decide(Some(&found), now, scripts),
                Ok([Value::Nil, Value::Int(now)]) => self.decide(None, now, scripts),
                _ => Err(Failure::Unexpected("an array that is none of ours")),
            },
            _ => Err(Failure::Unexpected("something else than its script returns")),
        }
    }

    /// Whether the record has ended is known now.
    fn remember(&self, ended: bool) {
        match self.request.token() {
            Some(token) if ended => self.ended.remember(token),
            Some(token) => self.ended.forget(token),
            None => {}
        }
    }

    /// A script has written what was asked of it.
    fn written(&mut self, now: u64) -> Reply {
        self.remember(matches!(self.request, Request::Complete(_)));
        if let Some(decided) = self.decided.take() {
            return decided;
        }
        match self.request {
            Request::Claim(_) => Reply::Claimed(Grant::new(now, now, 1)),
            Request::Complete(_) => Reply::Completed,
            Request::Release { .. } => Reply::Released,
            Request::Renew { .. } => Reply::Renewed,
            _ => Reply::Stopped,
        }
    }

    fn decide(&mut self, found: Option<&[u8]>, now: i64, scripts: &Scripts) -> Result<Next, Failure> {
        let micros = now.unsigned_abs();
        let mut now = Now { wall: Timestamp::from_micros(micros), lease: LeaseTime { run: 0, micros } };
        let record = found.map(Record::decode).transpose();
        let record = record.map_err(|error| Failure::Unreadable(self.key.clone(), error))?;
        if record.as_ref().is_some_and(|record| record.head.state == State::Done) {
            // What is done is there until the server removes its key, which it does by whole milliseconds.
            now.wall = Timestamp::from_micros(0);
            self.remember(true);
        }
        let view = record.as_ref().map(Record::view);
        let decision = protocol::decide(view, &self.request, &now, || micros);
        let record = record.filter(|record| !protocol::expired(&record.head, &now));
        let reply = protocol::reply(decision.verdict, record.as_ref());
        let (what, after) = match decision.change {
            Change::Nothing => return Ok(Next::Answer(reply)),
            Change::Remove => ("gone", None),
            Change::Head(head) => {
                let record = record.map(|mut record| {
                    record.head = head;
                    record
                });
                ("head", record)
            }
            Change::Whole(head) => ("whole", Some(protocol::carried(record, head, &self.request))),
        };
        let mut bytes = Vec::new();
        if let Some(after) = &after {
            after.encode(&mut bytes);
        }
        let retention = after.as_ref().map(|after| Retention::until(after.head.expires, now.wall));
        let running = after.as_ref().is_some_and(|after| after.head.state == State::Running);
        if what == "head" {
            bytes.truncate(HEAD);
        }
        let before = found.map_or(&[][..], |found| &found[..HEAD.min(found.len())]);
        // What was decided so long ago may have been asked again, and a person may have acted on that since.
        let not_after =
            micros.saturating_add(layout::micros(self.settings.time_limit / 4)).min(layout::NEVER);
        let mut command = scripts.swap.call(&self.key, 6, HEAD + bytes.len() + 80);
        command.arg(what).arg(retention.map_or(0, Retention::millis));
        command.arg(before).arg(bytes).arg(if running { "0" } else { "1" });
        command.arg(not_after);
        self.decided = Some(reply);
        self.fitting(command).map(Next::Ask)
    }
}
