//! What is in somebody's hands while others look, ask, end the lane, or panic.

use tokio::runtime::Builder;
use tokio::sync::mpsc;

use super::*;

#[test]
fn the_supervisor_does_not_fall_asleep_on_what_is_in_hand() {
    let lane = lane();
    let server = Server::opens(&lane);
    let _one = ask(&lane, 1);
    server.answers(asks_again());
    let (jobs, answer) = landing(&lane);
    assert_eq!(lane.look(Instant::now(), true), Seen::Moving, "there may be more to ask");
    assert!(lane.landed(jobs, answer));
    gather(&lane, &server);
    server.answers(claimed());
    assert!(land(&lane));
    let _pending = waiting(&lane, &server, 5);
    let looks = Arc::clone(&lane);
    meanwhile(&lane, &server, move || assert_eq!(looks.look(Instant::now(), true), Seen::Moving));
}

#[test]
fn a_look_wakes_a_task_that_lets_others_run_first() {
    struct Woken(Mutex<bool>);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            *self.0.lock().unwrap() = true;
        }
    }
    let (lane, server, woken) = (lane(), Server::default(), Arc::new(Woken(Mutex::new(false))));
    lane.opened(Way { sends: server.sends(), driver: Driver::new(None, Waker::from(Arc::clone(&woken))) });
    let _one = ask(&lane, 1);
    assert_eq!(lane.look(Instant::now(), false), Seen::Moving);
    assert!(*woken.0.lock().unwrap());
}

/// As with TLS, where a task of redis-rs' own reads the answers.
#[test]
fn an_answer_that_comes_while_somebody_sends_wakes_the_task() {
    struct Woken(Mutex<usize>);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let (lane, server, woken) = (lane(), Server::default(), Arc::new(Woken(Mutex::new(0))));
    let driver = Driver::new(None, Waker::from(Arc::clone(&woken)));
    let (sends, answers) = (server.sends(), server.clone());
    let sends: Sends = Arc::new(move |command| {
        if !answers.0.lock().unwrap().is_empty() {
            answers.answers(claimed());
        }
        sends(command)
    });
    lane.opened(Way { sends, driver: Arc::clone(&driver) });
    let _one = ask(&lane, 1);
    assert!(lane.poll_work(&driver).is_pending() && *woken.0.lock().unwrap() == 0);
    let _two = ask(&lane, 2);
    assert_eq!(*woken.0.lock().unwrap(), 1, "the first is answered");
    assert!(matches!(lane.poll_work(&driver), Poll::Ready(Next::Land(..))));
}

#[test]
fn what_others_ask_while_a_batch_is_made_does_not_wait_for_its_answer() {
    let lane = lane();
    let server = Server::opens(&lane);
    let _pending = waiting(&lane, &server, 5);
    let (job, _more) = claim(&lane, 20);
    let (other, job) = (Arc::clone(&lane), Mutex::new(Some(job)));
    lane.lock().idle = true;
    meanwhile(&lane, &server, move || {
        assert!(matches!(other.push(job.lock().unwrap().take().unwrap()), Pushed::Taken));
    });
    assert!(is_told(&lane.told));
}

/// Sends as redis-rs does: over a channel.
fn channel(lane: &Lane) -> mpsc::Receiver<Cmd> {
    let (sender, receiver) = mpsc::channel(MANY);
    let sends = move |command| -> Answer {
        let sender = sender.clone();
        Box::pin(async move {
            sender.send(command).await.map_err(std::io::Error::other)?;
            std::future::pending().await
        })
    };
    lane.opened(way(Arc::new(sends)));
    receiver
}

#[test]
fn a_task_that_has_run_for_long_sends_all_the_same() {
    let lane = lane();
    let mut commands = channel(&lane);
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let asks = Arc::clone(&lane);
    let asks = async move {
        // Uses up what a task may do before it lets others run.
        let (sender, mut receiver) = mpsc::unbounded_channel();
        (0..1_000).for_each(|number| sender.send(number).unwrap());
        poll_fn(|context| {
            while receiver.poll_recv(context).is_ready() {}
            Poll::Ready(())
        })
        .await;
        assert!(!receiver.is_empty());
        Some(ask(&asks, 1))
    };
    let _pending = runtime.block_on(runtime.spawn(asks)).unwrap();
    assert!(commands.try_recv().is_ok(), "nothing can overtake it");
}

#[test]
fn the_queue_is_left_after_all_was_given_to_it() {
    struct Dropped(Option<Box<dyn FnOnce() + Send>>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.take().unwrap()();
        }
    }
    let (lane, server) = (lane(), Server::default());
    let meanwhile = Arc::new(Mutex::new(None::<Box<dyn FnOnce() + Send>>));
    let (sends, runs) = (server.sends(), Arc::clone(&meanwhile));
    let sends = move |command| -> Answer {
        let (answer, runs) = (sends(command), Arc::clone(&runs));
        let dropped = Dropped(Some(Box::new(move || {
            let run = runs.lock().unwrap().take();
            run.into_iter().for_each(|run| run());
        })));
        Box::pin(async move {
            let _dropped = dropped;
            answer.await
        })
    };
    lane.opened(way(Arc::new(sends)));
    let (_one, _two) = (ask(&lane, 1), ask(&lane, 2));
    server.answers(claimed());
    let (jobs, answer) = landing(&lane);
    lane.queue.leave();
    let lands = Arc::clone(&lane);
    // Between the end and what it leaves, the lane's task is done with what it had.
    *meanwhile.lock().unwrap() = Some(Box::new(move || {
        assert!(!lands.landed(jobs, answer));
        assert!(!lands.queue.is_closed(), "there is more to come");
    }));
    lane.end();
    assert!(meanwhile.lock().unwrap().is_none() && lane.queue.is_closed());
    assert_eq!(lane.queue.take(9).len(), 1);
}

#[test]
fn a_caller_that_panics_when_it_is_woken_takes_nobody_with_it() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("woken");
        }
    }
    let lane = lane();
    let server = Server::opens(&lane);
    let mut pending = waiting(&lane, &server, 5).split_off(4);
    gather(&lane, &server);
    let waker = Waker::from(Arc::new(Panics));
    assert!(Pin::new(&mut pending[0]).poll(&mut Context::from_waker(&waker)).is_pending());
    server.answers(Value::Array(vec![Value::Int(7); 5]));
    assert!(land(&lane));
    assert!(pending.into_iter().all(|one| matches!(one.wait(None), Ok(Ok(Reply::Claimed(_))))));
}

#[test]
fn others_send_after_one_that_panicked() {
    let lane = lane();
    let server = Server::opens(&lane);
    let _pending = waiting(&lane, &server, 5);
    let panics = || meanwhile(&lane, &server, || panic!("while it sends"));
    assert!(std::panic::catch_unwind(AssertUnwindSafe(panics)).is_err());
    let _more: Vec<_> = (20..25).map(|key| ask(&lane, key)).collect();
    gather(&lane, &server);
    assert_eq!(server.asked(), [1, 1, 1, 1, 1]);
    lane.end();
    lane.queue.leave();
    assert!(lane.queue.is_closed());
}
