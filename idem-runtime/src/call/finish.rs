//! `on_cancel = finish`: a body that has begun runs on in a task of its own.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::outcome;
use super::{Converts, Judges, Keeps, Outcome, Run};
use crate::Error;

pin_project! {
    /// The future of a call whose body runs on when its caller goes away.
    ///
    /// The claim is made in the caller's own task, so that a duplicate spawns nothing.
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct Finish<R, F, D, X, M> {
        run: Option<Run<R, F, D, X, M>>,
        task: Option<JoinHandle<R>>,
    }
}

impl<R, F, D, X, M> Finish<R, F, D, X, M> {
    pub(super) fn new(run: Run<R, F, D, X, M>) -> Self {
        Finish { run: Some(run), task: None }
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
            // Guard, body and settling go on together, on the caller's runtime.
            *this.task = this.run.take().map(|run| runtime.spawn(run));
        }
        let task = this.task.as_mut().expect("a call is not polled after it was over");
        match ready!(Pin::new(task).poll(cx)) {
            Ok(result) => Poll::Ready(result),
            Err(error) => match error.try_into_panic() {
                Ok(payload) => std::panic::resume_unwind(payload),
                // The runtime is shut down, and so is the task that would be answered.
                Err(_) => Poll::Pending,
            },
        }
    }
}

impl<R, F, D, X, M> std::fmt::Debug for Finish<R, F, D, X, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Finish").field("run", &self.run).finish_non_exhaustive()
    }
}
