//! A connection that does not wait for ever: for the head of a request that comes a byte at a time, for a next request
//! that does not come, for a client that does not read what it asked for.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long a connection waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From the first byte of a request's head to its last one.
    pub(crate) head: Duration,
    /// For the next request.
    pub(crate) idle: Duration,
    /// For the client to take a byte of an answer.
    pub(crate) write: Duration,
}

/// What a connection does, for whoever watches over it.
#[derive(Debug, Clone)]
pub(crate) struct Activity(Arc<Mutex<Doing>>);

#[derive(Debug, Clone, Copy)]
enum Doing {
    /// Waits for a request, since then.
    Idle(Instant),
    /// Reads the head of one, since its first byte came.
    Head(Instant),
    /// Answers one. A body has a limit of its own.
    Answering,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Activity(Arc::new(Mutex::new(Doing::Idle(Instant::now()))))
    }

    fn doing(&self) -> MutexGuard<'_, Doing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request is being answered.
    pub(crate) fn answers(&self) {
        *self.doing() = Doing::Answering;
    }

    /// It was.
    pub(crate) fn answered(&self) {
        *self.doing() = Doing::Idle(Instant::now());
    }

    /// Ends when the connection has waited too long. To be polled by the connection's own task, after the connection:
    /// what that has begun or ended is seen by the same poll.
    pub(crate) async fn too_long(&self, patience: Patience) {
        let mut timer = Timer::default();
        std::future::poll_fn(|cx| {
            let until = match *self.doing() {
                Doing::Idle(since) => since + patience.idle,
                Doing::Head(since) => since + patience.head,
                Doing::Answering => return Poll::Pending,
            };
            timer.poll(until, cx)
        })
        .await;
    }
}

/// A connection with limits.
pub(crate) struct Stream<T> {
    inner: T,
    activity: Activity,
    patience: Duration,
    writing: Timer,
}

/// A timer that is only there once something has been waited for.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready once the moment is over. A moment that is later than the last one costs nothing until that one is over: a
    /// connection that is asked again and again sets no timer each time.
    fn poll(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        if until < sleep.deadline() {
            sleep.as_mut().reset(until);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= until {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(until);
        }
        Poll::Pending
    }
}

impl<T> Stream<T> {
    pub(crate) fn new(inner: T, activity: Activity, patience: Patience) -> Self {
        Stream { inner, activity, patience: patience.write, writing: Timer::default() }
    }
}

fn late<T>(what: &'static str) -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, what)))
}

impl<T: AsyncRead + Unpin> AsyncRead for Stream<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            let mut doing = this.activity.doing();
            if matches!(*doing, Doing::Idle(_)) {
                *doing = Doing::Head(Instant::now());
            }
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> Stream<T> {
    /// Waits for what does not go on only so long.
    fn written<R>(&mut self, polled: Poll<io::Result<R>>, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        if polled.is_ready() {
            self.writing.0 = None;
            return polled;
        }
        let until = match &self.writing.0 {
            Some(timer) => timer.deadline(),
            None => Instant::now() + self.patience,
        };
        ready!(self.writing.poll(until, cx));
        late("the client does not read what it asked for")
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Stream<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.written(polled, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write_vectored(cx, bytes);
        this.written(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_flush(cx);
        this.written(polled, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.written(polled, cx)
    }
}
