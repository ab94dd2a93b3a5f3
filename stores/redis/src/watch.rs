//! Who waits for a record to be no longer running.
//!
//! One task for each store: it subscribes to what is waited for, then looks, and looks again when it is told that
//! something has ended. Messages may get lost, so it looks now and then all the same; and where it cannot subscribe it
//! looks more often.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use idem_runtime::store::{Answer, Pending, Reply, Request, Responder, State};
use idem_runtime::{Text, Token, io};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel};
use tokio::time::sleep_until;

use crate::core::{Core, deadline};
use crate::failure::Failure;
use crate::options::Servers;
use crate::subscriber::{self, Subscriber};

/// How often it is looked at what ends with a message.
const LOOK: Duration = Duration::from_secs(2);
/// How often where there are no messages: at first, and at last.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LAST_LOOK: Duration = Duration::from_millis(250);
/// When a connection for messages is tried again.
const AGAIN: Duration = Duration::from_millis(250);

type Key = Arc<[u8]>;

/// What goes on beside.
type Doing<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The way to the task.
#[derive(Debug)]
pub(crate) struct Watches {
    sender: UnboundedSender<Message>,
    next: AtomicU64,
}

/// What the task is told.
#[derive(Debug)]
pub(crate) enum Message {
    Watch(Key, Token, Text, Waiter),
    /// One who waited has gone away.
    Left(Key, u64),
    /// Somebody has ended what this key holds.
    Published(Vec<u8>),
    /// No more messages come from this connection.
    Disconnected(u64),
}

#[derive(Debug)]
pub(crate) struct Waiter {
    id: u64,
    until: Instant,
    responder: Responder,
}

impl Watches {
    pub(crate) fn start(core: Arc<Core>, servers: &Servers, name: Text) -> Self {
        let (sender, receiver) = unbounded_channel();
        let hub = Hub::new(core, servers.clone(), name.clone(), sender.downgrade(), receiver);
        drop(io().spawn(name, async move {
            hub.run().await;
            Ok(Reply::Record(None))
        }));
        Watches { sender, next: AtomicU64::new(0) }
    }

    /// Answers with the record once it is not running, or after `limit`.
    pub(crate) fn watch(&self, key: Vec<u8>, token: Token, name: &Text, limit: Duration) -> Pending {
        let (responder, pending) = Pending::channel(name.clone());
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let key = Key::from(key);
        let waiter = Waiter { id, until: deadline(limit), responder };
        let _ = self.sender.send(Message::Watch(Arc::clone(&key), token, name.clone(), waiter));
        let sender = self.sender.clone();
        pending.with_stop(move || drop(sender.send(Message::Left(key, id))))
    }
}

/// The task's own.
struct Hub {
    core: Arc<Core>,
    servers: Servers,
    name: Text,
    sender: WeakUnboundedSender<Message>,
    receiver: UnboundedReceiver<Message>,
    watched: HashMap<Key, Watched>,
    /// When what is looked at next.
    due: BTreeSet<(Instant, Key)>,
    looks: FuturesUnordered<Doing<(Key, Answer)>>,
    subscribed: FuturesUnordered<Doing<Subscribed>>,
    line: Line,
    /// How many connections for messages there were.
    connections: u64,
}

/// Which key, on which connection; nothing where the subscription was ended.
type Subscribed = Option<(Key, u64, Result<(), Failure>)>;

/// One record that somebody waits for.
struct Watched {
    token: Token,
    name: Text,
    waiters: Vec<Waiter>,
    /// Messages come.
    listening: bool,
    /// It is being looked at; and has to be once more after that.
    looking: bool,
    again: bool,
    /// When it is looked at next, and how long the pause after that is.
    look_at: Option<Instant>,
    pause: Duration,
}

/// The connection that messages come over.
enum Line {
    /// There is none; it is tried again then, or when somebody waits.
    Closed(Option<Instant>),
    Opening(Doing<Result<Subscriber, Failure>>),
    Open(Subscriber),
    /// The user may not subscribe.
    Denied,
}

enum Event {
    Message(Option<Message>),
    Looked(Key, Answer),
    Subscribed(Subscribed),
    Opened(Result<Subscriber, Failure>),
    Time,
}

impl Hub {
    fn new(
        core: Arc<Core>,
        servers: Servers,
        name: Text,
        sender: WeakUnboundedSender<Message>,
        receiver: UnboundedReceiver<Message>,
    ) -> Self {
        Hub {
            core,
            servers,
            name,
            sender,
            receiver,
            watched: HashMap::new(),
            due: BTreeSet::new(),
            looks: FuturesUnordered::new(),
            subscribed: FuturesUnordered::new(),
            line: Line::Closed(None),
            connections: 0,
        }
    }

    /// Works until nobody waits and nobody can.
    async fn run(mut self) {
        loop {
            let event = self.event().await;
            match event {
                Event::Message(None) => return,
                Event::Message(Some(message)) => self.told(message),
                Event::Looked(key, answer) => self.looked(&key, answer),
                Event::Subscribed(Some((key, number, result))) => self.subscribed(&key, number, result),
                Event::Subscribed(None) => {}
                Event::Opened(opened) => self.opened(opened),
                Event::Time => self.time(),
            }
        }
    }

    async fn event(&mut self) -> Event {
        let reopen = match self.line {
            Line::Closed(Some(at)) if !self.watched.is_empty() => Some(at),
            _ => None,
        };
        let wakes_at = self.due.first().map(|(at, _)| *at).into_iter().chain(reopen).min();
        let pause = async {
            match wakes_at {
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
            message = self.receiver.recv() => Event::Message(message),
            Some((key, answer)) = self.looks.next() => Event::Looked(key, answer),
            Some(subscribed) = self.subscribed.next() => Event::Subscribed(subscribed),
            opened = opening => Event::Opened(opened),
            () = pause => Event::Time,
        }
    }

    fn told(&mut self, message: Message) {
        match message {
            Message::Watch(key, token, name, waiter) => self.watch(key, token, name, waiter),
            Message::Left(key, id) => {
                let Some(watched) = self.watched.get_mut(&key) else { return };
                watched.waiters.retain(|waiter| waiter.id != id);
                if watched.waiters.is_empty() {
                    self.forget(&key);
                }
            }
            Message::Published(key) => {
                let Some((key, _)) = self.watched.get_key_value(key.as_slice()) else { return };
                let key = Arc::clone(key);
                self.look(&key);
            }
            Message::Disconnected(number) if number == self.connections => self.disconnected(),
            Message::Disconnected(_) => {}
        }
    }

    fn watch(&mut self, key: Key, token: Token, name: Text, waiter: Waiter) {
        if let Some(watched) = self.watched.get_mut(&key) {
            watched.waiters.push(waiter);
            return self.look_soon(&key);
        }
        let watched = Watched {
            token,
            name,
            waiters: vec![waiter],
            listening: false,
            looking: false,
            again: false,
            look_at: None,
            pause: FIRST_LOOK,
        };
        self.watched.insert(Arc::clone(&key), watched);
        match &self.line {
            // A connection that has fallen silent may never say that it listens: the record is looked at all the same.
            Line::Open(_) => {
                self.subscribe(Arc::clone(&key));
                self.plan(&key, AGAIN);
            }
            Line::Opening(_) => self.plan(&key, AGAIN),
            Line::Closed(at) if at.is_none_or(|at| at <= Instant::now()) => {
                self.open();
                self.plan(&key, AGAIN);
            }
            Line::Closed(_) | Line::Denied => self.look(&key),
        }
    }

    fn subscribe(&mut self, key: Key) {
        let Line::Open(subscriber) = &self.line else { return };
        let (mut subscriber, number) = (subscriber.clone(), self.connections);
        self.subscribed.push(Box::pin(async move {
            let result = subscriber.subscribe(&key).await;
            Some((key, number, result))
        }));
    }

    fn subscribed(&mut self, key: &Key, number: u64, result: Result<(), Failure>) {
        if number != self.connections {
            return;
        }
        match result {
            Ok(()) => {
                if let Some(watched) = self.watched.get_mut(key) {
                    // Only now: what ends before is seen by the look, what ends after is told.
                    watched.listening = true;
                    self.look(key);
                }
            }
            Err(Failure::Server(error)) => {
                if !matches!(self.line, Line::Denied) {
                    tracing::warn!(
                        store = %self.name, %error,
                        "it does not let this user subscribe (`&idem:*`, `+subscribe`, `+ssubscribe`): those who wait look \
                         again and again instead of being told"
                    );
                }
                self.line = Line::Denied;
                self.all(|watched| watched.listening = false);
            }
            Err(_) => self.disconnected(),
        }
    }

    fn open(&mut self) {
        self.connections += 1;
        let (servers, sender, number) = (self.servers.clone(), self.sender.clone(), self.connections);
        let limit = self.core.settings.time_limit;
        self.line =
            Line::Opening(Box::pin(async move { subscriber::open(servers, sender, number, limit).await }));
    }

    fn opened(&mut self, opened: Result<Subscriber, Failure>) {
        match opened {
            Ok(subscriber) => {
                self.line = Line::Open(subscriber);
                let keys: Vec<Key> = self.watched.keys().cloned().collect();
                keys.into_iter().for_each(|key| self.subscribe(key));
            }
            Err(failure) => {
                tracing::debug!(store = %self.name, ?failure, "no connection for messages; it is tried again");
                self.disconnected();
            }
        }
    }

    /// No messages come any more: everything is looked at until they do.
    fn disconnected(&mut self) {
        self.line = Line::Closed(Some(Instant::now() + AGAIN));
        self.connections += 1;
        self.all(|watched| watched.listening = false);
    }

    fn all(&mut self, change: impl Fn(&mut Watched)) {
        self.watched.values_mut().for_each(change);
        let keys: Vec<Key> = self.watched.keys().cloned().collect();
        keys.iter().for_each(|key| self.look(key));
    }

    /// Looks at a record, once more if that is being done.
    fn look(&mut self, key: &Key) {
        let Some(watched) = self.watched.get_mut(key) else { return };
        if let Some(at) = watched.look_at.take() {
            self.due.remove(&(at, Arc::clone(key)));
        }
        if std::mem::replace(&mut watched.looking, true) {
            watched.again = true;
            return;
        }
        let asked = self.core.ask(Request::Get { token: watched.token }, key.to_vec(), &watched.name);
        let key = Arc::clone(key);
        self.looks.push(Box::pin(async move { (key, asked.await) }));
    }

    fn looked(&mut self, key: &Key, answer: Answer) {
        let Some(watched) = self.watched.get_mut(key) else { return };
        watched.looking = false;
        let now = Instant::now();
        let running =
            matches!(&answer, Ok(Reply::Record(Some(record))) if record.head.state == State::Running);
        let ended = answer.is_ok() && !running;
        let (told, left) = std::mem::take(&mut watched.waiters)
            .into_iter()
            .partition::<Vec<_>, _>(|waiter| ended || waiter.until <= now);
        watched.waiters = left;
        for waiter in told {
            waiter.responder.answer(answer.clone());
        }
        if watched.waiters.is_empty() {
            return self.forget(key);
        }
        let again = std::mem::take(&mut watched.again);
        let failed = answer.is_err();
        if again && !failed {
            return self.look(key);
        }
        self.look_soon(key);
        // What the one connection does not reach the other one may not reach any more either.
        if failed && matches!(self.line, Line::Open(_)) {
            self.disconnected();
        }
    }

    /// Plans the next look.
    fn look_soon(&mut self, key: &Key) {
        let Some(watched) = self.watched.get_mut(key).filter(|watched| !watched.looking) else { return };
        let pause = if watched.listening {
            LOOK
        } else {
            let pause = watched.pause;
            watched.pause = (pause * 2).min(LAST_LOOK);
            pause
        };
        self.plan(key, pause);
    }

    /// Plans a look for after this pause, or for when the first of those who wait has waited long enough.
    fn plan(&mut self, key: &Key, pause: Duration) {
        let Some(watched) = self.watched.get_mut(key) else { return };
        if watched.looking {
            return;
        }
        let now = Instant::now();
        let first = watched.waiters.iter().map(|waiter| waiter.until).min();
        let at = first.map_or(now + pause, |first| first.min(now + pause));
        let at = watched.look_at.map_or(at, |planned| planned.min(at));
        if let Some(planned) = watched.look_at.replace(at) {
            self.due.remove(&(planned, Arc::clone(key)));
        }
        self.due.insert((at, Arc::clone(key)));
    }

    /// Nobody waits for it any more.
    fn forget(&mut self, key: &Key) {
        let Some(watched) = self.watched.remove(key) else { return };
        if let Some(at) = watched.look_at {
            self.due.remove(&(at, Arc::clone(key)));
        }
        if let Line::Open(subscriber) = &self.line {
            let (mut subscriber, key) = (subscriber.clone(), Arc::clone(key));
            self.subscribed.push(Box::pin(async move {
                subscriber.unsubscribe(&key).await;
                None
            }));
        }
    }

    fn time(&mut self) {
        let now = Instant::now();
        while let Some((at, _)) = self.due.first() {
            if *at > now {
                break;
            }
            let Some((_, key)) = self.due.pop_first() else { break };
            if let Some(watched) = self.watched.get_mut(&key) {
                watched.look_at = None;
            }
            self.look(&key);
        }
        if matches!(self.line, Line::Closed(Some(at)) if at <= now) && !self.watched.is_empty() {
            self.open();
        }
    }
}

#[cfg(test)]
mod tests;
