//! A connection that does not wait for ever: for the head of a request that comes a byte at a time, for a next request
//! that does not come, for a client that does not read what it asked for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// Whether a request of this connection is being answered.
#[derive(Debug, Default, Clone)]
pub(crate) struct Busy(Arc<AtomicBool>);

impl Busy {
    pub(crate) fn set(&self, busy: bool) {
        self.0.store(busy, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection with limits.
pub(crate) struct Stream<T> {
    inner: T,
    busy: Busy,
    patience: Patience,
    /// When the first byte of a head came; nothing between two requests.
    head_since: Option<Instant>,
    /// Since when the next request is waited for; nothing while one is answered.
    idle_since: Option<Instant>,
    reading: Timer,
    writing: Timer,
}

/// A timer that is only there once something has been waited for.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready once the moment is over.
    fn poll(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        if sleep.deadline() != until {
            sleep.as_mut().reset(until);
        }
        sleep.as_mut().poll(cx)
    }
}

impl<T> Stream<T> {
    pub(crate) fn new(inner: T, busy: Busy, patience: Patience) -> Self {
        let (reading, writing) = (Timer::default(), Timer::default());
        Stream { inner, busy, patience, head_since: None, idle_since: None, reading, writing }
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
        if this.busy.get() {
            // A body has a limit of its own.
            (this.head_since, this.idle_since) = (None, None);
            return read;
        }
        if read.is_ready() {
            if buffer.filled().len() > before && this.head_since.is_none() {
                this.head_since = Some(Instant::now());
            }
            return read;
        }
        let until = match this.head_since {
            Some(since) => since + this.patience.head,
            None => *this.idle_since.get_or_insert_with(Instant::now) + this.patience.idle,
        };
        ready!(this.reading.poll(until, cx));
        late("the request did not come in time")
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
            None => Instant::now() + self.patience.write,
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
