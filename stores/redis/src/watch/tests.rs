use std::sync::atomic::AtomicUsize;

use idem_runtime::store::{Record, StoreError};
use redis::Value;
use tracing::span;

use super::*;
use crate::core::{Settings, Way};
use crate::scripts::Scripts;

const LONG: Duration = Duration::from_secs(3_600);

/// One that nobody answers, and that may not subscribe.
fn hub() -> Hub {
    let settings = Settings { time_limit: LONG, ..Settings::of_a_test() };
    let scripts = Arc::new(Scripts::new(false));
    let (way, place) = (Way::One(Arc::default(), None), String::new());
    let core = Core { way, scripts, ended: Arc::default(), settings, place };
    let (sender, receiver) = unbounded_channel();
    let servers = Servers::One(redis::Client::open("redis://a").unwrap());
    let mut hub = Hub::new(Arc::new(core), servers, "redis://a".into(), sender.downgrade(), receiver);
    hub.line = Line::Denied;
    hub
}

/// Somebody waits, and it is being looked.
fn watch(hub: &mut Hub, limit: Duration) -> (Key, Instant, Pending) {
    let (responder, pending) = Pending::channel("redis://a");
    let (key, until) = (Key::from(*b"a"), deadline(limit));
    let waiter = Waiter { id: 0, until, responder };
    hub.told(Message::Watch(Arc::clone(&key), Token::default(), "redis://a".into(), waiter));
    assert_eq!(hub.looks.len(), 1);
    (key, until, pending)
}

fn running() -> Answer {
    let mut record = Record::default();
    record.head.state = State::Running;
    Ok(Reply::Record(Some(record.into())))
}

#[test]
fn who_is_told_while_it_looks_looks_once_more() {
    let mut hub = hub();
    let (key, _, _pending) = watch(&mut hub, LONG);
    hub.looked(&key, running());
    assert_eq!((hub.looks.len(), hub.due.len()), (1, 1), "nothing was told: later");
    for _ in 0..3 {
        hub.told(Message::Published(key.to_vec()));
        assert_eq!((hub.looks.len(), hub.due.len()), (2, 0));
    }
    hub.looked(&key, running());
    assert_eq!((hub.looks.len(), hub.due.len()), (3, 0), "what was told came after this look");
    hub.told(Message::Published(key.to_vec()));
    hub.looked(&key, Err(StoreError::unavailable("redis://a", "is gone")));
    assert_eq!((hub.looks.len(), hub.due.len()), (3, 1), "what cannot be looked at is not asked at once");
}

#[test]
fn the_next_look_is_after_a_pause_or_when_the_first_has_waited_long_enough() {
    let mut patient = hub();
    let (key, ..) = watch(&mut patient, LONG);
    let before = Instant::now();
    patient.looked(&key, running());
    let (at, _) = patient.due.first().expect("it is looked again");
    assert!(before + FIRST_LOOK <= *at && *at <= Instant::now() + FIRST_LOOK);

    let mut short = hub();
    let (key, until, _pending) = watch(&mut short, Duration::from_secs(1));
    short.watched.get_mut(&key).unwrap().listening = true;
    short.looked(&key, running());
    assert_eq!(short.due.first(), Some(&(until, key)), "before the usual look");
}

#[test]
fn only_the_end_of_the_last_connection_is_one() {
    let mut hub = hub();
    hub.connections = 2;
    hub.told(Message::Disconnected(1));
    assert!(matches!(hub.line, Line::Denied));
    hub.told(Message::Disconnected(2));
    assert!(matches!(hub.line, Line::Closed(Some(_))));
}

/// Counts what is logged.
struct Lines(Arc<AtomicUsize>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[test]
fn that_it_may_not_subscribe_is_said_once() {
    let lines = Arc::new(AtomicUsize::new(0));
    let refused = redis::parse_redis_value(b"-NOPERM it may not\r\n");
    let Ok(Value::ServerError(error)) = refused else { panic!("{refused:?}") };
    let mut hub = hub();
    hub.line = Line::Closed(None);
    let key = Key::from(*b"a");
    tracing::subscriber::with_default(Lines(Arc::clone(&lines)), || {
        for _ in 0..3 {
            hub.subscribed(&key, 0, Err(Failure::Server(error.clone())));
            assert!(matches!(hub.line, Line::Denied));
            assert_eq!(lines.load(Ordering::Relaxed), 1);
        }
    });
}
