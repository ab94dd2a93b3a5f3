mod held;

use std::pin::Pin;
use std::task::{Wake, Waker};
use std::time::Duration;

use idem_runtime::store::{Claim, Pending, Reply, Request};
use redis::{Cmd, RedisResult};

use super::supervise::{PATIENCE, SLOW, Seen};
use super::*;
use crate::flight::{Answer, Sends};
use crate::operation::Operation;
use crate::queue::Asks;
use crate::scripts;

fn lane() -> Arc<Lane> {
    Arc::new(Lane::new(Arc::default(), Arc::new(Scripts::new(false)), Settings::of_a_test()))
}

fn claim(lane: &Lane, key: u8) -> (Job, Pending) {
    let mut claim = Claim::default();
    (claim.lease, claim.ttl) = (Duration::from_secs(60), Duration::from_secs(60));
    job(lane, key, Request::Claim(Arc::new(claim)))
}

fn job(lane: &Lane, key: u8, request: Request) -> (Job, Pending) {
    let (responder, pending) = Pending::channel("redis://");
    let operation = Operation::new(request, vec![key], Settings::of_a_test(), Arc::default());
    let command = operation.start(&lane.scripts).unwrap();
    let asks = Asks::Request(Box::new(operation), responder, "redis://".into());
    let since = Instant::now();
    let until = Settings::of_a_test().until(since);
    (Job { command, asks, since, until, lost: false, alone: false, failed: None }, pending)
}

fn ask(lane: &Lane, key: u8) -> Pending {
    let (job, pending) = claim(lane, key);
    assert!(matches!(lane.push(job), Pushed::Taken));
    pending
}

/// A way whose work nobody has to do.
fn way(sends: Sends) -> Way {
    Way { sends, driver: Driver::new(None, Waker::noop().clone()) }
}

/// What was asked, and where it is answered.
type Asked = (Cmd, oneshot::Sender<RedisResult<Value>>);

/// Where the commands go, in the order in which they were asked.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Vec<Asked>>>);

impl Server {
    fn sends(&self) -> Sends {
        let server = self.clone();
        Arc::new(move |command| -> Answer {
            let (sender, receiver) = oneshot::channel();
            server.0.lock().unwrap().push((command, sender));
            Box::pin(async move { receiver.await.unwrap_or(Ok(Value::Nil)) })
        })
    }

    fn opens(lane: &Lane) -> Self {
        let server = Server::default();
        lane.opened(way(server.sends()));
        server
    }

    /// Answers the first that is not answered.
    fn answers(&self, value: Value) {
        self.0.lock().unwrap().remove(0).1.send(Ok(value)).unwrap();
    }

    /// Of how many records each command is that is not answered.
    fn asked(&self) -> Vec<usize> {
        let keys = |command: &Cmd| match command.args_iter().nth(2) {
            Some(redis::Arg::Simple(count)) => std::str::from_utf8(count).unwrap().parse().unwrap(),
            other => panic!("{other:?}"),
        };
        self.0.lock().unwrap().iter().map(|(command, _)| keys(command)).collect()
    }

    /// Whether nobody waits for the last answer any more.
    fn is_left(&self) -> bool {
        self.0.lock().unwrap().last().is_some_and(|(_, sender)| sender.is_closed())
    }
}

/// The runtime's task looks once.
fn look(lane: &Lane) -> Poll<Next> {
    lane.poll_next(&Driver::new(None, Waker::noop().clone()))
}

/// It takes an answer, and has it in hand.
fn landing(lane: &Lane) -> (Vec<Job>, Value) {
    let Poll::Ready(Next::Land(jobs, answer)) = look(lane) else { panic!("nothing was answered") };
    (jobs, answer)
}

fn land(lane: &Lane) -> bool {
    let (jobs, answer) = landing(lane);
    lane.landed(jobs, answer)
}

fn gather(lane: &Lane, server: &Server) {
    lane.gather(&way(server.sends()));
}

fn is_told(notify: &Notify) -> bool {
    pin!(notify.notified()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
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
    assert!(matches!(look(&lane), Poll::Ready(Next::Gather)));
    gather(&lane, &server);
    assert!(look(&lane).is_pending(), "it is asked");
    server.answers(asks_again());
    let (jobs, answer) = landing(&lane);
    lane.end();
    lane.queue.leave();
    assert!(lane.queue.take(9).is_empty() && !lane.queue.is_closed(), "there is more to come");
    assert!(!lane.landed(jobs, answer));
    assert_eq!(lane.queue.take(9).len(), 1);
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
    let lane = lane();
    let server = Server::opens(&lane);
    let _one = ask(&lane, 1);
    assert!(!is_told(&lane.told), "its answer wakes whoever looks at it");
    assert!(!is_told(&lane.watched), "the supervisor looks by itself");
    server.answers(claimed());
    assert!(land(&lane));
    assert_eq!(lane.look(Instant::now(), true), Seen::Nothing);
    let _two = ask(&lane, 2);
    assert!(is_told(&lane.watched), "the supervisor slept");
    lane.close();
    assert!(is_told(&lane.told) && is_told(&lane.watched), "it is closed");
    assert!(!lane.is_done(), "and still has something to do");
    server.answers(claimed());
    assert!(land(&lane) && lane.is_done(), "now it has not");
    assert_eq!(lane.look(Instant::now(), false), Seen::Stuck, "its runtime is told, and does not end it");
}

#[test]
fn of_a_short_limit_enough_is_left_for_another_way() {
    let with = |millis| {
        let settings = Settings { time_limit: Duration::from_millis(millis), ..Settings::of_a_test() };
        Lane::new(Arc::default(), Arc::new(Scripts::new(false)), settings).patience()
    };
    assert_eq!(with(5_000), (PATIENCE, SLOW));
    assert_eq!(with(400), (Duration::from_millis(100), Duration::from_millis(100)));
    assert_eq!(with(200), (Duration::from_millis(50), Duration::from_millis(50)));
}

#[tokio::test(start_paused = true)]
async fn the_supervisor_sleeps_while_nothing_comes_and_looks_again_then() {
    let lane = lane();
    let server = Server::opens(&lane);
    let supervisor = tokio::spawn(Arc::clone(&lane).supervise());
    for key in 1..4 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(std::mem::take(&mut lane.lock().unwatched), "it sleeps");
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!std::mem::replace(&mut lane.lock().unwatched, true), "and looks no more");
        let _pending = ask(&lane, key);
        tokio::time::sleep(PATIENCE * 3 / 4).await;
        assert!(!lane.lock().unwatched && lane.lock().nudged, "it looks");
        server.answers(claimed());
        assert!(land(&lane));
    }
    // How long nothing is answered is looked up on the clock of the machine, which nobody has paused.
    let _pending = ask(&lane, 4);
    tokio::time::timeout(Duration::from_secs(100_000), supervisor).await.unwrap().unwrap();
    assert!(lane.has_ended());
}

#[test]
fn what_fails_at_once_is_looked_at_like_what_fails_later() {
    let lane = lane();
    let broken = |_| -> Answer { Box::pin(async { Err(std::io::Error::other("broken").into()) }) };
    lane.opened(way(Arc::new(broken)));
    let _one = ask(&lane, 1);
    assert!(is_told(&lane.told));
    assert!(matches!(look(&lane), Poll::Ready(Next::Break)));
    lane.end();
    assert!(matches!(&lane.queue.take(9)[..], [job] if job.lost));
}

#[test]
fn many_at_once_go_out_together() {
    let lane = lane();
    let server = Server::opens(&lane);
    assert!(look(&lane).is_pending());
    let mut pending: Vec<_> = (0..9).map(|key| ask(&lane, key)).collect();
    assert_eq!(server.asked(), [1, 1, 1, 1], "the first few by themselves");
    assert!(is_told(&lane.told) && !is_told(&lane.told), "of the others the runtime's task is told once");
    assert!(matches!(look(&lane), Poll::Ready(Next::Gather)));
    pending.extend((10..15).map(|key| ask(&lane, key)));
    assert!(!is_told(&lane.told), "it does not sleep");
    gather(&lane, &server);
    assert_eq!(server.asked(), [1, 1, 1, 1, 10]);
    pending.extend((20..33).map(|key| ask(&lane, key)));
    assert_eq!(server.asked(), [1, 1, 1, 1, 10, 12], "enough of them are sent by the last one");
    gather(&lane, &server);
    pending.extend((40..52).map(|key| ask(&lane, key)));
    assert_eq!(server.asked(), [1, 1, 1, 1, 10, 12, 1, 12], "eight are under way");
    pending.extend((60..120).map(|key| ask(&lane, key)));
    assert!(look(&lane).is_pending() && server.asked().len() == 8);
    server.answers(claimed());
    assert!(land(&lane));
    assert!(matches!(look(&lane), Poll::Ready(Next::Gather)), "there is room");
    gather(&lane, &server);
    assert_eq!(server.asked(), [1, 1, 1, 10, 12, 1, 12, 32]);
}

/// What other threads do while a batch is made.
fn meanwhile(lane: &Lane, server: &Server, does: impl Fn() + Send + Sync + 'static) {
    let sends = server.sends();
    lane.gather(&way(Arc::new(move |command| {
        does();
        sends(command)
    })));
}

/// So many wait, and nothing is under way.
fn waiting(lane: &Lane, server: &Server, count: u8) -> Vec<Pending> {
    let pending = (0..4 + count).map(|key| ask(lane, key)).collect();
    for _ in 0..4 {
        server.answers(claimed());
        assert!(land(lane));
    }
    is_told(&lane.told);
    pending
}

#[test]
fn nobody_sleeps_on_what_others_have_sent() {
    let (lane, server) = (lane(), Server::default());
    lane.opened(way(server.sends()));
    let _pending = waiting(&lane, &server, 3);
    let looks = Arc::clone(&lane);
    meanwhile(&lane, &server, move || assert!(look(&looks).is_pending(), "nothing is known of it yet"));
    assert!(is_told(&lane.told), "its answer may be there by now");
    assert!(look(&lane).is_pending());
    let _more: Vec<_> = (20..24).map(|key| ask(&lane, key)).collect();
    gather(&lane, &server);
    assert!(is_told(&lane.told) && !is_told(&lane.told), "by who asked, and by nobody else");
}

#[test]
fn one_at_a_time_makes_a_batch() {
    let lane = lane();
    let server = Server::opens(&lane);
    let _pending = waiting(&lane, &server, 3);
    let (jobs, _more): (Vec<_>, Vec<_>) = (20..33).map(|key| claim(&lane, key)).unzip();
    let (other, jobs, sends) = (Arc::clone(&lane), Mutex::new(jobs), server.sends());
    let asked = server.clone();
    meanwhile(&lane, &server, move || {
        for job in jobs.lock().unwrap().drain(..) {
            assert!(matches!(other.push(job), Pushed::Taken));
        }
        other.gather(&way(Arc::clone(&sends)));
        assert!(asked.asked().is_empty(), "what is being sent is first");
    });
    assert_eq!(server.asked(), [3]);
    assert!(matches!(look(&lane), Poll::Ready(Next::Gather)));
    gather(&lane, &server);
    assert_eq!(server.asked(), [3, 13]);
}

#[test]
fn more_than_many_go_the_other_way() {
    let lane = lane();
    let server = Server::opens(&lane);
    let _pending: Vec<_> = (0..=255).map(|key| ask(&lane, key)).collect();
    assert!(matches!(lane.push(claim(&lane, 0).0), Pushed::NotNow(_)));
    server.answers(claimed());
    assert!(land(&lane));
    assert!(matches!(lane.push(claim(&lane, 0).0), Pushed::Taken));
}

#[test]
fn nothing_overtakes_what_waits_or_is_about_to_be_sent() {
    let release = |lane: &Lane| {
        let claim = Claim::default();
        let (token, attempt, lease) = (claim.token, claim.attempt, claim.lease);
        let (job, pending) = job(lane, 4, Request::Release { token, attempt, lease });
        assert!(matches!(lane.push(job), Pushed::Taken));
        pending
    };
    for while_it_waits in [true, false] {
        let lane = lane();
        let server = Server::opens(&lane);
        let _pending = waiting(&lane, &server, 5);
        let released = Mutex::new(while_it_waits.then(|| release(&lane)));
        let releases = Arc::clone(&lane);
        meanwhile(&lane, &server, move || {
            released.lock().unwrap().get_or_insert_with(|| release(&releases));
        });
        gather(&lane, &server);
        let commands: Vec<_> = server.0.lock().unwrap().drain(..).map(|(command, _)| command).collect();
        let scripts = Scripts::new(false);
        let expected = [scripts.claim.call(&[4], 0, 0), scripts.sign.call(&[4], 0, 0)];
        let name = |command: &Cmd| match command.args_iter().nth(1) {
            Some(redis::Arg::Simple(hash)) => hash.to_vec(),
            other => panic!("{other:?}"),
        };
        assert!(commands.iter().map(name).eq(expected.iter().map(name)), "the claim, then the release");
    }
}

#[test]
fn what_is_about_to_be_sent_is_asked_though_the_lane_ends_meanwhile() {
    let lane = lane();
    let server = Server::opens(&lane);
    let _pending = waiting(&lane, &server, 3);
    let ends = Arc::clone(&lane);
    meanwhile(&lane, &server, move || ends.end());
    let jobs = lane.queue.take(9);
    assert!(jobs.len() == 3 && jobs.iter().all(|job| job.lost));
    assert!(server.is_left(), "what is not written need not be any more");
    lane.queue.leave();
    assert!(lane.queue.is_closed(), "it has left the queue, once");
}

#[test]
fn what_waits_is_asked_over_the_stores_own_after_what_was_sent() {
    let lane = lane();
    let _server = Server::opens(&lane);
    let _pending: Vec<_> = (0..7).map(|key| ask(&lane, key)).collect();
    lane.end();
    let jobs = lane.queue.take(9);
    let sent: Vec<_> = jobs.iter().map(|job| (scripts::key(&job.command).unwrap()[0], job.lost)).collect();
    let expected = [(0, true), (1, true), (2, true), (3, true), (4, false), (5, false), (6, false)];
    assert_eq!(sent, expected);
}

#[test]
fn of_a_batch_that_failed_each_is_asked_alone() {
    let lane = lane();
    let server = Server::opens(&lane);
    let _pending = waiting(&lane, &server, 5);
    gather(&lane, &server);
    assert_eq!(server.asked(), [5]);
    let error = redis::parse_redis_value(b"-OOM no room\r\n").unwrap();
    server.answers(error);
    assert!(land(&lane));
    let jobs = lane.queue.take(9);
    assert!(jobs.len() == 5 && jobs.iter().all(|job| job.alone && !job.lost));
    let _one = ask(&lane, 20);
    server.answers(redis::parse_redis_value(b"-OOM no room\r\n").unwrap());
    assert!(land(&lane));
    assert!(matches!(&lane.queue.take(9)[..], [job] if !job.alone && !job.lost), "it was alone");
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
