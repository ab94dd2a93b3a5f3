//! From a row to a record.

use std::time::Duration;

use idem_runtime::store::{
    Arguments, AttemptId, Head, Kind, OnInterrupt, Payload, Record, Request, State, StoreError,
};
use idem_runtime::{LeaseTime, Now, Text, Timestamp, Token};

use crate::value::{Columns, Values, micros};

/// The record under a token as a statement has found it, expired or not.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) record: Record,
    /// Which version of the row it was.
    pub(crate) version: String,
}

/// What the server's clock shows, for retention and for leases: it has no other one.
pub(crate) fn now(wall: Timestamp) -> Now {
    Now { wall, lease: LeaseTime { run: 0, micros: wall.as_micros() } }
}

/// Reads the row's version and what decides.
pub(crate) fn deciding(columns: &mut Columns<'_>) -> Result<Found, String> {
    let version = columns.text()?.to_owned();
    let state = match columns.text()? {
        "running" => State::Running,
        "free" => State::Free,
        "interrupted" => State::Interrupted,
        "done" => State::Done,
        other => return Err(format!("its state is `{other}`")),
    };
    let kind = match columns.text()? {
        "none" => Kind::None,
        "value" => Kind::Value,
        "error" => Kind::Error,
        other => return Err(format!("its kind is `{other}`")),
    };
    let on_interrupt = match columns.text()? {
        "retry" => OnInterrupt::Retry,
        "reject" => OnInterrupt::Reject,
        other => return Err(format!("its on_interrupt is `{other}`")),
    };
    let mut head = Head::default();
    (head.state, head.kind, head.on_interrupt) = (state, kind, on_interrupt);
    head.tombstone = columns.flag()?;
    head.attempt = AttemptId::from_bytes(columns.array()?);
    head.number = columns.count()?;
    head.unended = columns.count()?;
    head.fence = bits(columns.number()?);
    head.generation = bits(columns.number()?);
    head.lease = now(columns.time()?).lease;
    head.ttl = Duration::from_micros(u64::try_from(columns.number()?).unwrap_or(0));
    head.first_at = columns.time()?;
    head.began_at = columns.time()?;
    head.ended_at = columns.time()?;
    head.expires = columns.time()?;
    let mut record = Record::default();
    record.head = head;
    record.digest = columns.bytes()?;
    record.result = Payload::from(columns.bytes()?);
    Ok(Found { record, version })
}

/// The same, and the rest of the record.
pub(crate) fn whole(columns: &mut Columns<'_>) -> Result<Found, String> {
    let mut found = deciding(columns)?;
    rest(columns, &mut found.record)?;
    Ok(found)
}

fn rest(columns: &mut Columns<'_>, record: &mut Record) -> Result<(), String> {
    record.scope = Text::from(columns.text()?.to_owned());
    record.function = Text::from(columns.text()?.to_owned());
    let (key, verified) = (columns.maybe_bytes()?, columns.maybe_bytes()?);
    record.arguments = match (key, verified) {
        (None, None) => None,
        (key, verified) => Some(Arguments::new(key.unwrap_or_default(), verified.unwrap_or_default())),
    };
    record.by = columns.maybe_text()?.map(|by| Text::from(by.to_owned())).unwrap_or_default();
    Ok(())
}

pub(crate) fn state(state: State) -> &'static str {
    match state {
        State::Running => "running",
        State::Free => "free",
        State::Interrupted => "interrupted",
        State::Done => "done",
        _ => "unknown",
    }
}

pub(crate) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::None => "none",
        Kind::Value => "value",
        Kind::Error => "error",
        _ => "unknown",
    }
}

pub(crate) fn on_interrupt(policy: OnInterrupt) -> &'static str {
    match policy {
        OnInterrupt::Retry => "retry",
        OnInterrupt::Reject => "reject",
        _ => "unknown",
    }
}

/// A fence as PostgreSQL counts. Sequences give no negative ones; what a request carries comes back as it was.
pub(crate) fn bits(number: i64) -> u64 {
    u64::from_ne_bytes(number.to_ne_bytes())
}

pub(crate) fn number(bits: u64) -> i64 {
    i64::from_ne_bytes(bits.to_ne_bytes())
}

/// How much longer than it lives a row may stand, so that its indexes can be left alone: a sixteenth of its life.
pub(crate) fn slack(ttl: Duration) -> i64 {
    if ttl < Duration::from_secs(60) { 0 } else { micros(ttl) / 16 }
}

/// What a record's fence and generation become.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fences {
    /// The statement takes a new one from the sequence, if that is higher.
    pub(crate) fresh: bool,
    /// Which begins a generation.
    pub(crate) generation: bool,
}

/// The parameters of `insert` and `replace`.
pub(crate) fn put(
    values: &mut Values,
    namespace: &str,
    token: Token,
    record: &Record,
    fences: Fences,
) -> Result<(), sqlx::Error> {
    let head = &record.head;
    values.text(namespace)?;
    values.bytes(token.as_bytes())?;
    values.flag(fences.fresh)?;
    values.number(number(head.fence))?;
    values.flag(fences.generation)?;
    values.number(number(head.generation))?;
    values.text(state(head.state))?;
    values.text(kind(head.kind))?;
    values.text(on_interrupt(head.on_interrupt))?;
    values.flag(head.tombstone)?;
    values.bytes(&head.attempt.to_bytes())?;
    values.count(head.number)?;
    values.count(head.unended)?;
    values.time(Timestamp::from_micros(head.lease.micros))?;
    values.number(micros(head.ttl))?;
    values.time(head.first_at)?;
    values.time(head.began_at)?;
    values.maybe_time(head.ended_at)?;
    values.time(head.expires)?;
    values.bytes(&record.digest)?;
    values.bytes(&record.result)?;
    values.text(&record.scope)?;
    values.text(&record.function)?;
    values.maybe_bytes(record.arguments.as_ref().map(|arguments| &*arguments.key))?;
    values.maybe_bytes(record.arguments.as_ref().map(|arguments| &*arguments.verified))?;
    values.maybe_text((!record.by.is_empty()).then_some(&*record.by))
}

/// How many bytes a record holds beside its head: a statement with that much in it, written out, is still one that
/// PostgreSQL reads.
const LARGEST: usize = 256 << 20;

/// What PostgreSQL does not hold.
pub(crate) fn check(store: &Text, request: &Request) -> Result<(), StoreError> {
    let texts: [&str; 2] = match request {
        Request::Claim(claim) => [&claim.scope, &claim.function],
        Request::Complete(complete) => [&complete.function, ""],
        Request::Reopen(reopen) => [&reopen.by, ""],
        Request::Resolve(resolve) => [&resolve.by, ""],
        _ => return Ok(()),
    };
    if texts.iter().any(|text| text.contains('\0')) {
        let message = "keeps no text with a zero character in it: give another `scope` or `name`";
        return Err(StoreError::refused(store.clone(), message));
    }
    if size(request) > LARGEST {
        let message = "keeps no record of more than 256 MiB: lower `max_result`, or give smaller arguments";
        return Err(StoreError::too_large(store.clone(), message));
    }
    Ok(())
}

/// How many bytes a request carries, but for those that all carry.
pub(crate) fn size(request: &Request) -> usize {
    match request {
        Request::Claim(claim) => {
            let arguments = claim.arguments.as_ref().filter(|_| claim.record_arguments);
            let kept = arguments.map_or(0, |arguments| arguments.key.len() + arguments.verified.len());
            claim.digest.len() + claim.scope.len() + claim.function.len() + kept
        }
        Request::Complete(complete) => {
            complete.digest.len() + complete.function.len() + complete.result.len()
        }
        Request::Resolve(resolve) => resolve.result.len(),
        _ => 0,
    }
}
