//! The work of one connection: what is written to its socket, and read from it. Whoever asks does it, so that no other
//! thread has to be woken before a command is on its way. Otherwise the runtime's task does.

use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

use redis::aio::MultiplexedConnection;
use redis::io::tcp::socket2::SockRef;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, RedisResult};
use tokio::net::TcpStream;
use tokio::task::unconstrained;

/// Ends when the connection does.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Somebody is at work.
const HELD: u8 = 1;
/// There is work that he may not have seen.
const WORK: u8 = 2;
/// There is an answer that the runtime's task may not have seen. Whoever works does not look at answers.
const ANSWER: u8 = 4;

/// Who does it.
pub(crate) struct Driver {
    bell: Arc<Bell>,
    for_work: Waker,
    for_answers: Waker,
    work: Mutex<Option<Work>>,
}

/// Wakes the runtime's task when there is something to do, unless somebody is at work: he looks when he is through.
struct Bell {
    state: AtomicU8,
    task: Waker,
}

/// Rings it for one of both.
struct Rings<const WHAT: u8>(Arc<Bell>);

impl<const WHAT: u8> Wake for Rings<WHAT> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let Bell { state, task } = &*self.0;
        if state.fetch_or(WHAT, Ordering::AcqRel) & HELD == 0 {
            task.wake_by_ref();
        }
    }
}

impl Driver {
    /// Without work, if redis-rs has it done elsewhere.
    pub(crate) fn new(work: Option<Work>, task: Waker) -> Arc<Self> {
        let bell = Arc::new(Bell { state: AtomicU8::new(0), task });
        let for_work = Waker::from(Arc::new(Rings::<WORK>(Arc::clone(&bell))));
        let for_answers = Waker::from(Arc::new(Rings::<ANSWER>(Arc::clone(&bell))));
        Arc::new(Driver { bell, for_work, for_answers, work: Mutex::new(work) })
    }

    /// The runtime's task.
    pub(crate) fn task(&self) -> &Waker {
        &self.bell.task
    }

    /// What an answer wakes.
    pub(crate) fn for_answers(&self) -> &Waker {
        &self.for_answers
    }

    /// The task looks at all answers that have come.
    pub(crate) fn looks(&self) {
        self.bell.state.fetch_and(!ANSWER, Ordering::AcqRel);
    }

    /// Nobody else is at work until this is dropped. What comes meanwhile wakes the task then.
    pub(crate) fn hold(&self) -> Option<Turn<'_>> {
        let held = self.bell.state.fetch_or(HELD, Ordering::AcqRel) & HELD != 0;
        (!held).then(|| Turn(self))
    }
}

/// Somebody's turn to work.
pub(crate) struct Turn<'a>(&'a Driver);

impl Turn<'_> {
    /// Writes what is to be sent, and reads what has come, as far as that goes without waiting.
    pub(crate) fn work(&self) {
        let Turn(driver) = self;
        driver.bell.state.fetch_and(!WORK, Ordering::AcqRel);
        let mut held = driver.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(work) = held.as_mut() else { return };
        let mut context = Context::from_waker(&driver.for_work);
        // However long the task that asks has been running.
        let works = || pin!(unconstrained(work.as_mut())).poll(&mut context).is_pending();
        // A panic is the end of the connection, and has nothing to do with whoever asks.
        if !std::panic::catch_unwind(AssertUnwindSafe(works)).unwrap_or_default() {
            *held = None;
        }
    }

    /// Whether something has come since.
    pub(crate) fn is_woken(&self) -> bool {
        self.0.bell.state.load(Ordering::Acquire) & (WORK | ANSWER) != 0
    }

    /// The task ends its turn, and will be back: it need not be woken.
    pub(crate) fn pause(self) {
        self.0.bell.state.fetch_and(!HELD, Ordering::AcqRel);
        std::mem::forget(self);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Bell { state, task } = &*self.0.bell;
        if state.fetch_and(!HELD, Ordering::AcqRel) & (WORK | ANSWER) != 0 {
            task.wake_by_ref();
        }
    }
}

/// Connects. The work is left to whoever asks, but with TLS, where redis-rs alone can make a connection: it has a task do it.
pub(crate) async fn connect(
    client: &Client,
    config: AsyncConnectionConfig,
) -> RedisResult<(MultiplexedConnection, Option<Work>)> {
    let info = client.get_connection_info();
    match info.addr() {
        ConnectionAddr::Tcp(host, port) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            set(&stream, info)?;
            open(info, stream, config).await
        }
        #[cfg(unix)]
        ConnectionAddr::Unix(path) => open(info, tokio::net::UnixStream::connect(path).await?, config).await,
        _ => Ok((client.get_multiplexed_async_connection_with_config(&config).await?, None)),
    }
}

async fn open(
    info: &ConnectionInfo,
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    config: AsyncConnectionConfig,
) -> RedisResult<(MultiplexedConnection, Option<Work>)> {
    let opened = MultiplexedConnection::new_with_config(info.redis_settings(), stream, config);
    let (connection, work) = opened.await?;
    Ok((connection, Some(Box::pin(work))))
}

/// As the application has set it, but for `SO_LINGER`, which redis-rs does not tell: what is under way when it is closed is asked
/// again over the store's own connection.
fn set(stream: &TcpStream, info: &ConnectionInfo) -> RedisResult<()> {
    let settings = info.tcp_settings();
    stream.set_nodelay(settings.nodelay())?;
    let socket = SockRef::from(stream);
    if let Some(keepalive) = settings.keepalive() {
        socket.set_tcp_keepalive(keepalive)?;
    }
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    socket.set_tcp_user_timeout(settings.user_timeout())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Poll;
    use std::time::Duration;

    use redis::io::tcp::TcpSettings;
    use redis::io::tcp::socket2::TcpKeepalive;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Count {
        fn of(self: &Arc<Self>) -> usize {
            self.0.swap(0, Ordering::Relaxed)
        }
    }

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Work, and how often somebody was at it and the task was woken.
    fn driver(mut polls: impl FnMut(&Waker) -> Poll<()> + Send + 'static) -> (Arc<Driver>, [Arc<Count>; 2]) {
        let [polled, woken] = [Arc::<Count>::default(), Arc::default()];
        let counts = Arc::clone(&polled);
        let work = std::future::poll_fn(move |context| {
            counts.0.fetch_add(1, Ordering::Relaxed);
            polls(context.waker())
        });
        (Driver::new(Some(Box::pin(work)), Waker::from(Arc::clone(&woken))), [polled, woken])
    }

    #[test]
    fn who_asks_works_and_wakes_nobody() {
        let (driver, [polled, woken]) = driver(|_| Poll::Pending);
        let turn = driver.hold().unwrap();
        driver.for_work.wake_by_ref();
        assert!(turn.is_woken());
        turn.work();
        assert!(!turn.is_woken());
        drop(turn);
        assert_eq!((polled.of(), woken.of()), (1, 0));
        driver.for_work.wake_by_ref();
        assert_eq!((polled.of(), woken.of()), (0, 1), "nobody is at it");
    }

    #[test]
    fn an_answer_waits_for_the_task_whoever_works() {
        let (driver, [_, woken]) = driver(|_| Poll::Pending);
        for _ in 0..2 {
            let turn = driver.hold().unwrap();
            driver.for_answers().wake_by_ref();
            turn.work();
            assert!(turn.is_woken() && woken.of() == 0);
            drop(turn);
            assert_eq!(woken.of(), 1);
        }
        driver.looks();
        driver.hold().unwrap().work();
        assert_eq!(woken.of(), 0, "it has seen it");
    }

    #[test]
    fn what_comes_while_somebody_works_wakes_the_task_when_he_is_through() {
        let (driver, [polled, woken]) = driver(|waker| {
            waker.wake_by_ref();
            Poll::Pending
        });
        let turn = driver.hold().unwrap();
        turn.work();
        assert!(driver.hold().is_none(), "one at a time");
        assert!(turn.is_woken() && woken.of() == 0);
        drop(turn);
        assert_eq!((polled.of(), woken.of()), (1, 1));
        drop(driver.hold().unwrap());
        assert_eq!(woken.of(), 1, "he has not worked");
        let turn = driver.hold().unwrap();
        turn.work();
        turn.pause();
        assert_eq!(woken.of(), 0, "the task is there");
        assert!(driver.hold().is_some());
    }

    #[test]
    fn work_that_has_ended_is_done_no_more() {
        for panics in [false, true] {
            let (driver, [polled, _]) =
                driver(move |_| if panics { panic!("at work") } else { Poll::Ready(()) });
            for _ in 0..2 {
                driver.hold().unwrap().work();
            }
            assert_eq!(polled.of(), 1);
            assert!(driver.work.lock().is_ok_and(|work| work.is_none()), "its connection is closed");
        }
    }

    #[tokio::test]
    async fn a_socket_is_set_as_the_application_has_said() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let info = Client::open("redis://127.0.0.1").unwrap().get_connection_info().clone();
        let limit = Duration::from_secs(7);
        let keepalive = TcpKeepalive::new().with_time(limit);
        let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
        set(&stream, &info.set_tcp_settings(settings.set_user_timeout(limit))).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), limit);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(limit));
    }
}
