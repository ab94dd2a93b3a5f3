//! `on_cancel = finish`: a body that has begun runs on in a task of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::outcome;
use super::policy::sealed::Sealed;
use super::under;
use super::{Call, Converts, Judges, Keeps, Outcome, Run};
use crate::{Error, Timestamp};

pin_project! {
    /// The future of a call whose body runs on when its caller goes away.
    ///
    /// The claim is made in the caller's own task, so that a duplicate spawns nothing.
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct Finish<R, F, D, X, M> {
        run: Option<Run<R, F, D, X, Shared<M>>>,
        task: Option<JoinHandle<R>>,
        convert: Shared<M>,
        lost: Option<Error>,
    }
}

impl<R, F, D, X, M> Finish<R, F, D, X, M> {
    pub(super) fn new<C>(call: Call<D, X, M, C>, body: F) -> Self
    where
        R: Outcome,
        D: Keeps<R::Ok>,
    {
        let Call { prepared, on_error, convert, other } = call;
        let convert = Shared(Arc::new(Mutex::new(Some(convert))));
        let run = Run::new(Call { prepared, on_error, convert: convert.clone(), other }, body);
        Finish { run: Some(run), task: None, convert, lost: None }
    }
}

/// How a refusal becomes the function's own error, for the task and for whoever waits for it: one of them refuses.
pub struct Shared<M>(Arc<Mutex<Option<M>>>);

impl<M> Clone for Shared<M> {
    fn clone(&self) -> Self {
        Shared(Arc::clone(&self.0))
    }
}

impl<M> Sealed for Shared<M> {}

#[diagnostic::do_not_recommend]
impl<E, M: Converts<E>> Converts<E> for Shared<M> {
    fn convert(self, error: Error) -> E {
        let convert = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        convert.expect("a call is refused once").convert(error)
    }
}

impl<R, F, D, X, M> Future for Finish<R, F, D, X, M>
where
    F: Future<Output = R> + Send + 'static,
    R: Outcome + Send + 'static,
    D: Keeps<R::Ok> + Send + 'static,
    X: Judges<R::Err> + Send + 'static,
    M: Converts<R::Err> + Send + 'static,
{
    type Output = R;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let this = self.project();
        if let Some(run) = this.run {
            let runtime = match Handle::try_current() {
                Ok(runtime) => runtime,
                Err(_) => {
                    let convert = run.take_convert();
                    let error = Error::misuse(
                        run.guard.text().clone(),
                        "`on_cancel = finish` runs the body in a task of its own, and this call is not in a tokio \
                         runtime: call it in one, or leave the option out",
                    );
                    let answered = outcome::refuse(&mut run.guard, error, convert);
                    *this.run = None;
                    return Poll::Ready(answered);
                }
            };
            if let Some(answered) = ready!(run.poll_claim(cx)) {
                *this.run = None;
                return Poll::Ready(answered);
            }
            *this.lost = Some(Error::Interrupted {
                function: run.guard.text().clone(),
                token: run.guard.token_now(),
                since: Timestamp::now(),
                attempts: run.guard.progress.grant.map_or(0, |grant| grant.number),
            });
            // Guard, body and settling go on together, on the caller's runtime.
            *this.task = this.run.take().map(|run| {
                let put = run.guard.progress.put.clone();
                let task = runtime.spawn(under::carried(&put, run));
                put.spawned(&task);
                task
            });
        }
        let task = this.task.as_mut().expect("a call is not polled after it was over");
        match ready!(Pin::new(task).poll(cx)) {
            Ok(result) => Poll::Ready(result),
            Err(error) => match error.try_into_panic() {
                Ok(payload) => std::panic::resume_unwind(payload),
                // The runtime was shut down, and the body with it; its guard tells the store.
                Err(_) => {
                    let error = this.lost.take().expect("a call is not polled after it was over");
                    Poll::Ready(R::join(Err(this.convert.clone().convert(error))))
                }
            },
        }
    }
}

impl<R, F, D, X, M> std::fmt::Debug for Finish<R, F, D, X, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Finish").field("run", &self.run).finish_non_exhaustive()
    }
}
