//! Who waits for a record to be no longer running.
//!
//! For each token that somebody waits for there is one task on the library's thread. It looks at the record, which
//! notes in the row that somebody waits, and again when the end of the attempt is told. Where nobody tells (a proxy
//! in between, `notify=off`, the listening connection lost) it looks now and then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use idem_runtime::store::{Answer, Asked, Fault, Pending, Reply, Request, Responder, State};
use idem_runtime::{Text, Token};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::shared::Shared;

/// How long after the first look the second one is, and the longest pause between two, where nobody tells.
const FIRST: Duration = Duration::from_millis(5);
const LAST: Duration = Duration::from_millis(250);
/// How long it is between two looks where the end is told: what is told can be lost.
const TOLD: Duration = Duration::from_secs(5);

type Key = (Text, Token);

/// The waiters of one store.
#[derive(Debug, Default)]
pub(crate) struct Watches(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    watched: HashMap<Key, Watched>,
    /// What the next waiter is known by.
    next: u64,
}

#[derive(Debug)]
struct Watched {
    waiters: Vec<Waiter>,
    /// Look again.
    woken: Arc<Notify>,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    /// Until when; nothing is for ever.
    until: Option<Instant>,
    responder: Responder,
}

/// Answers with the record once it is not running, or after `limit`.
pub(crate) fn watch(shared: &Arc<Shared>, namespace: &Text, token: Token, limit: Duration) -> Asked {
    if limit.is_zero() {
        return Asked::Later(shared.ask(namespace, Request::Get { token }));
    }
    let (responder, pending) = Pending::channel(shared.name.clone());
    let key = (namespace.clone(), token);
    // First wait, then look: what is told in between is noticed twice, and not never.
    let until = Instant::now().checked_add(limit);
    let (id, woken) = shared.watches.add(&key, until, responder);
    if let Some(woken) = woken {
        shared.spawn(attend(Arc::clone(shared), key.clone(), woken));
    }
    let shared = Arc::clone(shared);
    Asked::Later(pending.with_stop(move || shared.watches.remove(&key, id)))
}

impl Watches {
    /// Gives what the task of a token is woken by, if it is a new one.
    fn add(&self, key: &Key, until: Option<Instant>, responder: Responder) -> (u64, Option<Arc<Notify>>) {
        let mut table = self.lock();
        let id = table.next;
        table.next += 1;
        let waiter = Waiter { id, until, responder };
        if let Some(watched) = table.watched.get_mut(key) {
            watched.waiters.push(waiter);
            watched.woken.notify_one();
            return (id, None);
        }
        let woken = Arc::new(Notify::new());
        table.watched.insert(key.clone(), Watched { waiters: vec![waiter], woken: Arc::clone(&woken) });
        (id, Some(woken))
    }

    /// Nobody waits any more, or it has been answered.
    fn remove(&self, key: &Key, id: u64) {
        let mut table = self.lock();
        let Some(watched) = table.watched.get_mut(key) else { return };
        watched.waiters.retain(|waiter| waiter.id != id);
        if watched.waiters.is_empty() {
            watched.woken.notify_one();
            table.watched.remove(key);
        }
    }

    /// The end of an attempt of this token was told, in whatever namespace.
    pub(crate) fn told(&self, token: Token) {
        let table = self.lock();
        let of_token = table.watched.iter().filter(|((_, watched), _)| *watched == token);
        of_token.for_each(|(_, watched)| watched.woken.notify_one());
    }

    /// Something may have been told that was not heard.
    pub(crate) fn all(&self) {
        self.lock().watched.values().for_each(|watched| watched.woken.notify_one());
    }

    /// Whether the task is still the one of the token, and until when the first waiter waits.
    fn first(&self, key: &Key, woken: &Arc<Notify>) -> Option<Option<Instant>> {
        let table = self.lock();
        let watched = table.watched.get(key).filter(|watched| Arc::ptr_eq(&watched.woken, woken))?;
        Some(watched.waiters.iter().filter_map(|waiter| waiter.until).min())
    }

    /// Answers those of a token whom `which` names. Says whether others go on waiting.
    fn answer(
        &self,
        key: &Key,
        woken: &Arc<Notify>,
        answer: &Answer,
        which: impl Fn(&Waiter) -> bool,
    ) -> bool {
        let mut table = self.lock();
        let Some(watched) = table.watched.get_mut(key).filter(|watched| Arc::ptr_eq(&watched.woken, woken))
        else {
            return false;
        };
        let (over, left) = std::mem::take(&mut watched.waiters).into_iter().partition(which);
        watched.waiters = left;
        let goes_on = !watched.waiters.is_empty();
        if !goes_on {
            table.watched.remove(key);
        }
        drop(table);
        let over: Vec<Waiter> = over;
        over.into_iter().for_each(|waiter| waiter.responder.answer(answer.clone()));
        goes_on
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at one record until nobody waits for it any more.
async fn attend(shared: Arc<Shared>, key: Key, woken: Arc<Notify>) {
    let (mut pause, mut begins) = (FIRST, true);
    loop {
        let told = shared.listens(std::mem::take(&mut begins)).await;
        let (namespace, token) = &key;
        let answer = shared.ask(namespace, Request::Watch { token: *token, limit: Duration::ZERO }).await;
        let is_over = match &answer {
            Ok(Reply::Record(Some(record))) => record.head.state != State::Running,
            Ok(_) => true,
            Err(error) => error.fault() == Fault::Refused,
        };
        let now = Instant::now();
        let which = |waiter: &Waiter| is_over || waiter.until.is_some_and(|until| until <= now);
        if !shared.watches.answer(&key, &woken, &answer, which) {
            return;
        }
        let Some(first) = shared.watches.first(&key, &woken) else { return };
        let rest = if told && answer.is_ok() { TOLD } else { pause };
        let rest = first.map_or(rest, |first| first.saturating_duration_since(now).min(rest));
        if timeout(rest, woken.notified()).await.is_ok() {
            pause = FIRST;
        } else {
            pause = pause.mul_f32(1.5).min(LAST);
        }
    }
}
