use std::task::Wake;

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

/// Where the commands go, and where their answers are told, in the order in which they were asked.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Vec<oneshot::Sender<RedisResult<Value>>>>>);

impl Server {
    fn opens(lane: &Lane) -> Self {
        let server = Server::default();
        let asked = server.clone();
        let sends = move |_| -> Answer {
            let (sender, receiver) = oneshot::channel();
            asked.0.lock().unwrap().push(sender);
            Box::pin(async move { receiver.await.unwrap_or(Ok(Value::Nil)) })
        };
        lane.opened(Box::new(sends), Waker::noop().clone());
        server
    }

    /// Answers the first that is not answered.
    fn answers(&self, value: Value) {
        self.0.lock().unwrap().remove(0).send(Ok(value)).unwrap();
    }

    /// Whether nobody waits for the last answer any more.
    fn is_left(&self) -> bool {
        self.0.lock().unwrap().last().is_some_and(oneshot::Sender::is_closed)
    }
}

/// The runtime's task looks once.
fn look(lane: &Lane) -> Poll<(Job, RedisResult<Value>)> {
    lane.poll_answer(&mut Context::from_waker(Waker::noop()))
}

fn land(lane: &Lane) -> bool {
    let Poll::Ready((job, answer)) = look(lane) else { panic!("nothing was answered") };
    lane.landed(job, answer)
}

fn claimed() -> Value {
    Value::Array(vec![Value::Int(7)])
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
    let server = Server::opens(&lane);
    let mut one = ask(&lane, 1);
    let waker = Waker::from(Arc::new(Ending(Arc::clone(&lane))));
    assert!(Pin::new(&mut one).poll(&mut Context::from_waker(&waker)).is_pending());
    server.answers(claimed());
    assert!(!land(&lane), "it has ended");
    lane.queue.leave();
    assert!(lane.queue.is_closed(), "it has left the queue, once");
}

/// It finds what an older library has written: there is more to ask.
fn asks_again() -> Value {
    Value::Array(vec![Value::Array(vec![Value::Nil, Value::Int(7)])])
}

#[test]
fn what_an_answer_leads_to_is_asked_here_or_over_the_stores_own() {
    let lane = lane();
    let server = Server::opens(&lane);
    let _one = ask(&lane, 1);
    server.answers(asks_again());
    assert!(land(&lane));
    assert!(look(&lane).is_pending(), "it is asked");
    server.answers(asks_again());
    let Poll::Ready((job, answer)) = look(&lane) else { panic!("it was answered") };
    lane.end();
    assert!(lane.queue.take(9).is_empty());
    assert!(!lane.landed(job, answer));
    assert_eq!(lane.queue.take(9).len(), 1);
    lane.queue.leave();
    assert!(lane.queue.is_closed(), "it has left the queue, once");
}

#[test]
fn a_panic_while_an_answer_is_looked_at_leaves_nothing_open() {
    let lane = lane();
    let server = Server::opens(&lane);
    let _one = ask(&lane, 1);
    server.answers(claimed());
    assert!(look(&lane).is_ready());
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
    let server = Server::opens(&lane);
    assert_eq!(lane.look(later(0), false), Seen::Nothing);
    let _one = ask(&lane, 1);
    assert_eq!(lane.look(later(100), false), Seen::Moving, "the first look asks the runtime to move");
    assert_eq!(lane.look(later(50), false), Seen::Moving, "a little while is not much");
    assert_eq!(lane.look(later(100), false), Seen::Stuck);
    for _ in 0..3 {
        assert!(look(&lane).is_pending(), "it moves");
        assert_eq!(lane.look(later(900), false), Seen::Moving);
    }
    assert!(look(&lane).is_pending());
    assert_eq!(lane.look(later(1_000), false), Seen::Stuck, "the server does not answer");
    let _two = ask(&lane, 2);
    lane.end();
    assert!(server.is_left(), "what is not written need not be any more");
    assert_eq!(lane.look(later(0), false), Seen::Over);
    assert!(matches!(lane.push(claim(&lane, 3).0), Pushed::Over(_)));
    let taken_over = lane.queue.take(9);
    assert!(taken_over.len() == 2 && taken_over.iter().all(|job| job.lost), "sent, and not answered");
}

#[test]
fn who_sleeps_is_told() {
    let told = |notify: &Notify| {
        let mut told = pin!(notify.notified());
        told.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    };
    let lane = lane();
    let server = Server::opens(&lane);
    let _one = ask(&lane, 1);
    assert!(!told(&lane.told), "its answer wakes whoever looks at it");
    assert!(!told(&lane.watched), "the supervisor looks by itself");
    server.answers(claimed());
    assert!(land(&lane));
    assert_eq!(lane.look(Instant::now(), true), Seen::Nothing);
    let _two = ask(&lane, 2);
    assert!(told(&lane.watched), "the supervisor slept");
    lane.close();
    assert!(told(&lane.told) && told(&lane.watched), "it is closed");
    assert!(!lane.is_done(), "and still has something to do");
    server.answers(claimed());
    assert!(land(&lane) && lane.is_done());
}

#[test]
fn what_fails_at_once_is_looked_at_like_what_fails_later() {
    let lane = lane();
    let broken = |_| -> Answer { Box::pin(future::ready(Err(std::io::Error::other("broken").into()))) };
    lane.opened(Box::new(broken), Waker::noop().clone());
    let _one = ask(&lane, 1);
    let mut told = pin!(lane.told.notified());
    assert!(told.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert!(!land(&lane), "the end of the connection");
    assert!(matches!(&lane.queue.take(9)[..], [job] if job.lost));
}

#[test]
fn many_at_once_go_the_other_way_for_a_moment() {
    let lane = lane();
    let _server = Server::opens(&lane);
    let _pending: Vec<_> = (0..4).map(|key| ask(&lane, key)).collect();
    assert!(!lane.busy.load(Ordering::Relaxed));
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
    let server = Server::opens(&lane);
    let (one, two) = (ask(&lane, 1), ask(&lane, 2));
    server.answers(claimed());
    assert!(land(&lane) && look(&lane).is_pending());
    assert!(matches!(one.wait(None), Ok(Ok(Reply::Claimed(_)))));
    server.answers(claimed());
    assert!(land(&lane));
    assert!(matches!(two.wait(None), Ok(Ok(Reply::Claimed(_)))));
}
