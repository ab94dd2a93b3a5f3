use std::task::{Context, Poll, Wake, Waker};

use idem_runtime::store::{Claim, Pending, Reply, Request};

use super::*;
use crate::operation::Operation;
use crate::queue::Asks;

fn settings() -> Settings {
    Settings { time_limit: Duration::from_secs(5), wait_replicas: 0, largest: usize::MAX }
}

fn lane() -> Arc<Lane> {
    Arc::new(Lane::new(Arc::default(), Arc::new(Scripts::new(false)), settings(), Arc::default()))
}

fn claim(lane: &Lane, key: u8) -> (Job, Pending) {
    let (responder, pending) = Pending::channel("redis://");
    let mut claim = Claim::default();
    (claim.lease, claim.ttl) = (Duration::from_secs(60), Duration::from_secs(60));
    let operation = Operation::new(Request::Claim(Arc::new(claim)), vec![key], settings());
    let command = operation.start(&lane.scripts).unwrap();
    let asks = Asks::Request(Box::new(operation), responder, "redis://".into());
    let since = Instant::now();
    let until = settings().until(since);
    (Job { command, asks, since, until, lost: false, alone: false, failed: None }, pending)
}

fn ask(lane: &Lane, key: u8) -> Pending {
    let (job, pending) = claim(lane, key);
    assert!(matches!(lane.push(job), Pushed::Taken));
    pending
}

struct Ending(Arc<Lane>);

impl Wake for Ending {
    fn wake(self: Arc<Self>) {
        self.0.end();
    }
}

#[test]
fn what_an_answer_leads_to_is_asked_though_the_lane_ends_meanwhile() {
    let lane = lane();
    lane.opened();
    let (mut one, _two) = (ask(&lane, 1), ask(&lane, 2));
    let (number, _) = lane.take().unwrap();
    assert!(lane.take().is_some());
    let waker = Waker::from(Arc::new(Ending(Arc::clone(&lane))));
    assert!(Pin::new(&mut one).poll(&mut Context::from_waker(&waker)).is_pending());
    // The second one finds what an older library has written: there is more to ask.
    let again = Value::Array(vec![Value::Nil, Value::Int(7)]);
    assert!(!lane.landed((number, Ok(Value::Array(vec![Value::Int(7), again])))), "it has ended");
    assert_eq!((lane.lock().jobs.len(), lane.queue.take(9).len()), (0, 1));
    lane.queue.leave();
    assert!(lane.queue.is_closed(), "it has left the queue, once");
}

#[test]
fn a_panic_while_an_answer_is_looked_at_leaves_nothing_open() {
    let lane = lane();
    lane.opened();
    lane.lock().landing = true;
    drop(Ends(Arc::clone(&lane)));
    lane.queue.leave();
    assert!(lane.queue.is_closed());
}

#[test]
fn looks_tell_a_runtime_that_stands_still_from_a_server_that_is_slow() {
    let lane = lane();
    let later = |millis| Instant::now() + Duration::from_millis(millis);
    assert!(matches!(lane.push(claim(&lane, 1).0), Pushed::NotNow(_)));
    assert_eq!((lane.look(later(0), false), lane.look(later(2_000), false)), (Seen::Moving, Seen::Stuck));
    lane.opened();
    assert_eq!(lane.look(later(0), false), Seen::Nothing);
    let _one = ask(&lane, 1);
    assert_eq!(lane.look(later(100), false), Seen::Moving, "the first look asks the runtime to move");
    assert_eq!(lane.look(later(50), false), Seen::Moving, "a little while is not much");
    assert_eq!(lane.look(later(100), false), Seen::Stuck);
    assert!(lane.take().is_some(), "it moves");
    for _ in 0..3 {
        assert_eq!(lane.look(later(900), false), Seen::Moving);
        assert!(lane.take().is_none());
    }
    assert_eq!(lane.look(later(1_000), false), Seen::Stuck, "the server does not answer");
    let _two = ask(&lane, 2);
    assert!(lane.take().is_some());
    lane.end();
    assert_eq!(lane.look(later(0), false), Seen::Over);
    assert!(matches!(lane.push(claim(&lane, 3).0), Pushed::Over(_)));
    assert!(lane.queue.take(9).iter().all(|job| job.lost), "sent, and not answered");
}

#[test]
fn who_sleeps_is_told() {
    let told = |notify: &Notify| {
        let mut told = std::pin::pin!(notify.notified());
        told.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    };
    let lane = lane();
    lane.opened();
    assert!(lane.take().is_none() && !told(&lane.filled));
    let _one = ask(&lane, 1);
    assert!(told(&lane.filled) && !told(&lane.watched), "the supervisor looks by itself");
    assert!(lane.take().is_some());
    assert!(lane.landed((0, Ok(Value::Array(vec![Value::Int(7)])))));
    assert_eq!(lane.look(Instant::now(), true), Seen::Nothing);
    let _two = ask(&lane, 2);
    assert!(told(&lane.watched), "the supervisor slept");
    lane.close();
    assert!(told(&lane.filled) && told(&lane.watched), "it is closed");
    assert!(!lane.is_done(), "and still has something to do");
}

#[test]
fn many_at_once_go_the_other_way_for_a_moment() {
    let lane = lane();
    lane.opened();
    let _pending: Vec<_> = (0..4).map(|key| ask(&lane, key)).collect();
    assert!(lane.take().is_some() && !lane.busy.load(Ordering::Relaxed));
    assert!(matches!(lane.push(claim(&lane, 5).0), Pushed::NotNow(_)));
    assert!(lane.busy.load(Ordering::Relaxed));
    lane.look(Instant::now(), false);
    assert!(!lane.busy.load(Ordering::Relaxed), "until the supervisor looks");
    assert!(matches!(lane.push(claim(&lane, 6).0), Pushed::NotNow(_)));
    lane.end();
    assert!(!lane.busy.load(Ordering::Relaxed), "or does so no more");
}

#[test]
fn what_came_back_is_answered() {
    let lane = lane();
    lane.opened();
    let one = ask(&lane, 1);
    let (number, _) = lane.take().unwrap();
    assert!(lane.landed((number, Ok(Value::Array(vec![Value::Int(7)])))));
    assert!(matches!(one.wait(None), Ok(Ok(Reply::Claimed(_)))));
    assert!(lane.landed((number, Ok(Value::Nil))), "nobody asked for that any more");
}
