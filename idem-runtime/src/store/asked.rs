//! An answer that is there, or will be.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use oneshot::{AsyncReceiver, Receiver, RecvTimeoutError, Sender};

use super::{Answer, StoreError};

/// What [`Store::ask`](super::Store::ask) gives: the operation has been started, or is over.
#[derive(Debug)]
pub enum Asked {
    /// The answer, at once.
    Now(Answer),
    /// The answer comes later, whether anybody waits for it or not.
    Later(Pending),
}

impl Asked {
    /// Blocks this thread until the answer is there, or gives the pending answer back after `limit`.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    ///
    /// ```
    /// use idem_runtime::Token;
    /// use idem_runtime::store::{MemoryStore, Reply, Request, Store};
    /// let store = MemoryStore::new();
    /// let answer = store.ask(Request::Get { token: Token::default() }).wait(None).unwrap();
    /// assert_eq!(answer.unwrap(), Reply::Record(None));
    /// ```
    pub fn wait(self, limit: Option<Duration>) -> Result<Answer, Pending> {
        match self {
            Asked::Now(answer) => Ok(answer),
            Asked::Later(pending) => pending.wait(limit),
        }
    }
}

/// Awaits the answer, wherever it comes from.
///
/// ```
/// use idem_runtime::Token;
/// use idem_runtime::store::{MemoryStore, Reply, Request, Store};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let store = MemoryStore::new();
/// let answer = store.ask(Request::Get { token: Token::default() }).await;
/// assert_eq!(answer.unwrap(), Reply::Record(None));
/// # }
/// ```
impl IntoFuture for Asked {
    type Output = Answer;
    type IntoFuture = Pending;

    fn into_future(self) -> Pending {
        match self {
            Asked::Now(answer) => {
                Pending { receiver: Half::Answered(Box::new(answer)), store: crate::Text::EMPTY, stop: None }
            }
            Asked::Later(pending) => pending,
        }
    }
}

/// An operation that has been started and not answered yet.
///
/// It can be awaited on any executor, or waited for by a thread. Dropping it cancels nothing; only a watch
/// stops watching.
///
/// ```
/// use idem_runtime::store::{Pending, Reply};
/// let (responder, pending) = Pending::channel("memory:");
/// responder.answer(Ok(Reply::Completed));
/// assert_eq!(pending.wait(None).unwrap().unwrap(), Reply::Completed);
/// ```
pub struct Pending {
    receiver: Half,
    store: crate::Text,
    stop: Option<Stop>,
}

enum Half {
    Waited(Receiver<Answer>),
    Polled(AsyncReceiver<Answer>),
    Answered(Box<Answer>),
    Over,
}

/// Runs what it holds when it is dropped.
struct Stop(Option<Box<dyn FnOnce() + Send>>);

impl Drop for Stop {
    fn drop(&mut self) {
        if let Some(stop) = self.0.take() {
            stop();
        }
    }
}

/// The end that answers a [`Pending`]. Dropped without an answer, it says that the request's fate is not known.
pub struct Responder(Sender<Answer>);

impl Responder {
    /// Answers. Nobody may be listening any more; that is no error.
    pub fn answer(self, answer: Answer) {
        let _ = self.0.send(answer);
    }

    /// Whether nobody listens any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Responder")
    }
}

impl Pending {
    /// A pending answer and the end that gives it. `store` names the store if the answer is lost.
    #[must_use]
    pub fn channel(store: impl Into<crate::Text>) -> (Responder, Pending) {
        let (sender, receiver) = oneshot::channel();
        (Responder(sender), Pending { receiver: Half::Waited(receiver), store: store.into(), stop: None })
    }

    /// Runs `stop` when this is dropped or answered: for a watch, which ends with its waiter.
    #[must_use]
    pub fn with_stop(mut self, stop: impl FnOnce() + Send + 'static) -> Self {
        self.stop = Some(Stop(Some(Box::new(stop))));
        self
    }

    /// Blocks this thread until the answer is there, or gives the pending answer back after `limit`.
    ///
    /// Not on a thread that the answer needs in order to come (an async runtime with one thread).
    ///
    /// # Errors
    /// The pending answer, if it has not come within `limit`.
    pub fn wait(mut self, limit: Option<Duration>) -> Result<Answer, Pending> {
        match std::mem::replace(&mut self.receiver, Half::Over) {
            Half::Waited(receiver) => {
                let answer = match limit {
                    Some(limit) => match receiver.recv_timeout(limit) {
                        Ok(answer) => answer,
                        Err(RecvTimeoutError::Timeout) => {
                            self.receiver = Half::Waited(receiver);
                            return Err(self);
                        }
                        Err(RecvTimeoutError::Disconnected) => self.lost(),
                    },
                    None => receiver.recv().unwrap_or_else(|_| self.lost()),
                };
                Ok(answer)
            }
            // Somebody polled it before: go on in a small executor of our own.
            Half::Polled(receiver) => {
                self.receiver = Half::Polled(receiver);
                crate::io::block_on(self, limit)
            }
            Half::Answered(answer) => Ok(*answer),
            Half::Over => Ok(self.lost()),
        }
    }

    fn lost(&self) -> Answer {
        Err(StoreError::lost(self.store.clone(), "dropped a request without an answer; ask again"))
    }
}

impl Future for Pending {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        loop {
            match &mut self.receiver {
                Half::Polled(receiver) => {
                    let answer = match Pin::new(receiver).poll(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(answer) => answer.unwrap_or_else(|_| self.lost()),
                    };
                    self.receiver = Half::Over;
                    self.stop = None;
                    return Poll::Ready(answer);
                }
                Half::Waited(_) | Half::Answered(_) | Half::Over => {
                    match std::mem::replace(&mut self.receiver, Half::Over) {
                        Half::Waited(receiver) => self.receiver = Half::Polled(receiver.into_future()),
                        Half::Answered(answer) => return Poll::Ready(*answer),
                        _ => return Poll::Ready(self.lost()),
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("store", &self.store).finish_non_exhaustive()
    }
}
