//! Who waits for a record to be no longer running.
//!
//! What this process's writer commits wakes its waiters at once. For what other processes commit somebody has to
//! look: a thread that is there only while somebody waits asks SQLite whether anything has changed, at first every
//! 2 ms, later every 50.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use idem_runtime::store::{Answer, Asked, Pending, Record, Reply, Responder, State, StoreError};
use idem_runtime::{Text, Token};
use rusqlite::Connection;

use crate::failure::Failure;
use crate::file::File;
use crate::{connect, records};

/// How long the first look lies back before the second one, and the last before the last but one.
const FIRST: Duration = Duration::from_millis(2);
const LAST: Duration = Duration::from_millis(50);

/// The waiters of one file.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    table: Mutex<Table>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Table {
    watched: HashMap<Token, Vec<Watcher>>,
    /// What the next one is known by.
    next: u64,
    /// Whether the thread that looks is there.
    looking: bool,
}

#[derive(Debug)]
struct Watcher {
    id: u64,
    namespace: Text,
    /// Until when; nothing is for ever.
    until: Option<Instant>,
    /// Nobody has looked since it came.
    fresh: bool,
    responder: Responder,
}

/// Answers with the record once it is not running, or after `limit`.
pub(crate) fn watch(file: &Arc<File>, namespace: &Text, token: Token, limit: Duration) -> Asked {
    let look = || file.look(namespace, token);
    if limit.is_zero() {
        return Asked::Now(answer(look(), file));
    }
    let (responder, pending) = Pending::channel(file.name.clone());
    // First wait, then look: what is committed in between is noticed twice, and not never.
    let id = file.watches.add(token, namespace, Instant::now().checked_add(limit), responder);
    match look() {
        Ok(Some(record)) if record.head.state == State::Running => {}
        Err(failure) if failure.is_busy() => {}
        ended => {
            file.watches.remove(token, id);
            return Asked::Now(answer(ended, file));
        }
    }
    if let Err(error) = start(file) {
        file.watches.remove(token, id);
        let error = StoreError::unavailable(file.name.clone(), "could not start the thread that waits")
            .with_source(error);
        return Asked::Now(Err(error));
    }
    let file = Arc::clone(file);
    Asked::Later(pending.with_stop(move || file.watches.remove(token, id)))
}

fn answer(found: Result<Option<Record>, Failure>, file: &File) -> Answer {
    match found {
        Ok(record) => Ok(Reply::Record(record.map(Arc::new))),
        Err(failure) => Err(failure.explain(&file.name)),
    }
}

/// Sees to it that somebody looks.
fn start(file: &Arc<File>) -> std::io::Result<()> {
    let mut table = file.watches.lock();
    if table.looking {
        drop(table);
        file.watches.changed.notify_one();
        return Ok(());
    }
    let shared = Arc::clone(file);
    thread::Builder::new().name("idem-sqlite-watch".into()).spawn(move || look_on(&shared))?;
    table.looking = true;
    Ok(())
}

impl Watches {
    fn add(&self, token: Token, namespace: &Text, until: Option<Instant>, responder: Responder) -> u64 {
        let mut table = self.lock();
        let id = table.next;
        table.next += 1;
        let watcher = Watcher { id, namespace: namespace.clone(), until, fresh: true, responder };
        table.watched.entry(token).or_default().push(watcher);
        id
    }

    /// Nobody waits any more, or it has been answered.
    fn remove(&self, token: Token, id: u64) {
        let mut table = self.lock();
        table.take(token, |watcher| watcher.id == id);
        let over = table.watched.is_empty() && table.looking;
        drop(table);
        if over {
            self.changed.notify_one();
        }
    }

    /// A record is not running any more, or gone: its waiters are answered.
    pub(crate) fn wake(&self, namespace: &str, token: Token, record: Option<Record>) {
        let woken = self.lock().take(token, |watcher| &*watcher.namespace == namespace);
        if woken.is_empty() {
            return;
        }
        let record = record.map(Arc::new);
        for watcher in woken {
            watcher.responder.answer(Ok(Reply::Record(record.clone())));
        }
        if self.lock().watched.is_empty() {
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn take(&mut self, token: Token, which: impl Fn(&Watcher) -> bool) -> Vec<Watcher> {
        let Some(watchers) = self.watched.get_mut(&token) else {
            return Vec::new();
        };
        let (taken, left) = std::mem::take(watchers).into_iter().partition(which);
        *watchers = left;
        if watchers.is_empty() {
            self.watched.remove(&token);
        }
        taken
    }

    /// What is watched by those whom `which` names, each once.
    fn keys(&self, which: impl Fn(&Watcher) -> bool) -> Vec<(Text, Token)> {
        let mut keys = Vec::new();
        for (token, watchers) in &self.watched {
            let from = keys.len();
            for watcher in watchers.iter().filter(|watcher| which(watcher)) {
                if keys[from..].iter().all(|(namespace, _)| *namespace != watcher.namespace) {
                    keys.push((watcher.namespace.clone(), *token));
                }
            }
        }
        keys
    }
}

/// Looks at what is watched for as long as anything is.
fn look_on(file: &File) {
    let mut eyes = None;
    let mut seen = None;
    let mut pause = FIRST;
    while let Some(fresh) = wait(file, pause) {
        let began = Instant::now();
        if let Err(failure) = round(file, &mut eyes, &mut seen, &fresh) {
            // A busy moment passes; anything else is told to everybody who waits.
            if !failure.is_busy() {
                give_up(file, failure);
            }
        }
        pause = if fresh.is_empty() { pause.mul_f32(1.5).min(LAST) } else { FIRST };
        pause = pause.max(began.elapsed() * 4);
    }
}

/// Waits until the next look; gives what has not been looked at yet. Nothing when nobody waits any more.
fn wait(file: &File, pause: Duration) -> Option<Vec<(Text, Token)>> {
    let mut table = file.watches.lock();
    let now = Instant::now();
    let is_new = |table: &Table| table.watched.values().flatten().any(|watcher| watcher.fresh);
    if !table.watched.is_empty() && !is_new(&table) {
        let first = table.watched.values().flatten().filter_map(|watcher| watcher.until).min();
        let left = first.map_or(pause, |first| first.saturating_duration_since(now).min(pause));
        table = file.watches.changed.wait_timeout(table, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    if table.watched.is_empty() {
        table.looking = false;
        return None;
    }
    let fresh = table.keys(|watcher| watcher.fresh);
    table.watched.values_mut().flatten().for_each(|watcher| watcher.fresh = false);
    Some(fresh)
}

/// Answers those whose limit is reached, and those whose record has ended.
fn round(
    file: &File,
    eyes: &mut Option<Connection>,
    seen: &mut Option<i64>,
    fresh: &[(Text, Token)],
) -> Result<(), Failure> {
    file.check()?;
    let connection = match eyes {
        Some(connection) => connection,
        None => eyes.insert(connect::reader(file.path())?),
    };
    // The version first: what changes after it is seen the next time.
    let version = records::data_version(connection)?;
    let changed = *seen != Some(version);
    let keys = if changed { file.watches.lock().keys(|_| true) } else { fresh.to_vec() };
    for (namespace, token) in keys {
        let found = records::find(connection, &namespace, token, &file.clock.now())?.record;
        if found.as_ref().is_none_or(|record| record.head.state != State::Running) {
            file.watches.wake(&namespace, token, found);
        }
    }
    // Not before: what could not be read is looked at again.
    *seen = Some(version);
    let now = Instant::now();
    let late = |watcher: &Watcher| watcher.until.is_some_and(|until| until <= now);
    let keys = file.watches.lock().keys(late);
    for (namespace, token) in keys {
        let found = records::find(connection, &namespace, token, &file.clock.now())?.record.map(Arc::new);
        let over = file.watches.lock().take(token, |watcher| watcher.namespace == namespace && late(watcher));
        for watcher in over {
            watcher.responder.answer(Ok(Reply::Record(found.clone())));
        }
    }
    Ok(())
}

/// The file cannot be looked at.
fn give_up(file: &File, failure: Failure) {
    let watchers = std::mem::take(&mut file.watches.lock().watched);
    let error = failure.explain(&file.name);
    for watcher in watchers.into_values().flatten() {
        watcher.responder.answer(Err(error.clone()));
    }
}

#[cfg(test)]
mod tests {
    use idem_runtime::store::{Claim, Complete, Request};

    use super::*;
    use crate::file::Open;
    use crate::options::SqliteStoreBuilder;

    const LONG: Duration = Duration::from_secs(60);

    fn ask(open: &Open, request: Request) -> Reply {
        match open.file.write(&"".into(), request) {
            Asked::Later(pending) => pending.wait(Some(LONG)).unwrap().unwrap(),
            Asked::Now(answer) => panic!("{answer:?}"),
        }
    }

    #[test]
    fn the_writer_wakes_without_anybody_looking() {
        let folder = tempfile::tempdir().unwrap();
        let (file, connection) = File::open(&SqliteStoreBuilder::new(folder.path().join("a.db"))).unwrap();
        let open = Open::start(file, connection).unwrap();
        let mut claim = Claim::default();
        (claim.lease, claim.ttl) = (LONG, LONG);
        let Reply::Claimed(_) = ask(&open, Request::Claim(Arc::new(claim.clone()))) else { panic!() };

        let (responder, pending) = Pending::channel("sqlite:a.db");
        open.file.watches.add(claim.token, &"".into(), None, responder);
        // A renewed lease wakes nobody.
        let renew = Request::Renew { token: claim.token, attempt: claim.attempt, lease: LONG };
        assert_eq!(ask(&open, renew), Reply::Renewed);
        let pending = pending.wait(Some(Duration::ZERO)).expect_err("still running");

        let mut complete = Complete::default();
        (complete.token, complete.attempt, complete.ttl) = (claim.token, claim.attempt, LONG);
        assert_eq!(ask(&open, Request::Complete(Arc::new(complete))), Reply::Completed);
        match pending.wait(Some(LONG)).unwrap() {
            Ok(Reply::Record(Some(record))) => assert_eq!(record.head.state, State::Done),
            other => panic!("{other:?}"),
        }
        assert!(!open.file.watches.lock().looking);
    }
}
