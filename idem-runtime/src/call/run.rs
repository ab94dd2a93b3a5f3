//! The asynchronous call.

use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::guard::Guard;
use super::machine::{Entry, Wait};
use super::outcome;
use super::settle::{Ended, PANIC_LIMIT, Settled, Told};
use super::{Call, Converts, Judges, Keeps, OnRunning, Outcome};
use crate::io::{caught, io};

pin_project! {
    /// The future of a call. It holds the body once, and little beside it.
    ///
    /// The body comes before the guard, so that it is dropped before the store is told.
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct Run<R, F, D, X, M> {
        #[pin]
        body: Option<F>,
        pub(super) guard: Guard,
        policy: Option<(X, M)>,
        stage: Stage<R>,
        keeps: PhantomData<fn() -> D>,
    }

    impl<R, F, D, X, M> PinnedDrop for Run<R, F, D, X, M> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // What a body does while it is dropped in its middle, it does in its attempt.
            if let Stage::Body = this.stage {
                this.guard.within(|| this.body.set(None));
            }
        }
    }
}

/// How far the call is. What is large is boxed: it is there only while a store answers.
enum Stage<R> {
    Claim,
    Begin,
    Body,
    Settle(Box<R>),
    Panic(Box<Thrown>),
    Over,
}

struct Thrown {
    payload: Box<dyn Any + Send>,
    limit: crate::store::Pending,
}

impl<R, F, D, X, M> Run<R, F, D, X, M> {
    pub(super) fn take_convert(&mut self) -> M {
        take(&mut self.policy).1
    }

    pub(super) fn new<C>(call: Call<D, X, M, C>, body: F) -> Self
    where
        R: Outcome,
        D: Keeps<R::Ok>,
    {
        let Call { mut prepared, on_error, convert, .. } = call;
        if !D::REPLAYS {
            // Nothing would come of waiting.
            prepared.progress.untold = Some(OnRunning::Reject);
        }
        Run {
            body: Some(body),
            guard: Guard::new(prepared),
            policy: Some((on_error, convert)),
            stage: Stage::Claim,
            keeps: PhantomData,
        }
    }
}

impl<R, F, D, X, M> Run<R, F, D, X, M>
where
    R: Outcome,
    D: Keeps<R::Ok>,
    X: Judges<R::Err>,
    M: Converts<R::Err>,
{
    /// Drives the call up to its body; what it is answered with instead.
    pub(super) fn poll_entry(
        guard: &mut Guard,
        policy: &mut Option<(X, M)>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<R>> {
        let entry = ready!(guard.poll_entry(cx));
        Poll::Ready(match entry {
            Entry::Body => None,
            Entry::Replay(finished) => Some(outcome::replay::<R, D, X, M>(guard, &finished, take(policy).1)),
            Entry::Refuse(error) => Some(outcome::refuse(guard, error, take(policy).1)),
        })
    }

    pub(super) fn poll_claim(&mut self, cx: &mut Context<'_>) -> Poll<Option<R>> {
        let answered = ready!(Self::poll_entry(&mut self.guard, &mut self.policy, cx));
        self.stage = if answered.is_some() { Stage::Over } else { Stage::Begin };
        Poll::Ready(answered)
    }
}

/// What an error means and how a refusal becomes one: each is used once.
fn take<X, M>(policy: &mut Option<(X, M)>) -> (X, M) {
    policy.take().expect("a call ends once")
}

impl<R, F, D, X, M> Future for Run<R, F, D, X, M>
where
    F: Future<Output = R>,
    R: Outcome,
    D: Keeps<R::Ok>,
    X: Judges<R::Err>,
    M: Converts<R::Err>,
{
    type Output = R;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let mut this = self.project();
        loop {
            match this.stage {
                Stage::Claim => {
                    let answered = ready!(Run::<R, F, D, X, M>::poll_entry(this.guard, this.policy, cx));
                    if let Some(answered) = answered {
                        *this.stage = Stage::Over;
                        return Poll::Ready(answered);
                    }
                    *this.stage = Stage::Begin;
                }
                Stage::Begin => {
                    *this.stage = if this.guard.begin_body() { Stage::Body } else { Stage::Claim };
                }
                Stage::Body => {
                    let (put, token) = (this.guard.progress.put.clone(), this.guard.token_now());
                    if !put.may_go_on(token, cx) {
                        return Poll::Pending;
                    }
                    let mut body = this.body.as_mut();
                    let polled = this.guard.within(|| {
                        caught(|| body.as_mut().as_pin_mut().expect("a body runs until it ends").poll(cx))
                    });
                    match polled {
                        Ok(Poll::Pending) => {
                            put.suspended(token);
                            return Poll::Pending;
                        }
                        Ok(Poll::Ready(result)) => {
                            let policy = this.policy.as_ref().expect("a call ends once");
                            let within = this.guard.progress.within.clone();
                            let (ended, result) =
                                within.enter(|| outcome::ended::<R, D, X>(this.guard, &policy.0, result));
                            let told = this.guard.settle(ended);
                            this.body.set(None);
                            match told {
                                Told::Over(settled) => {
                                    *this.stage = Stage::Over;
                                    return Poll::Ready(outcome::given::<R, D, X>(
                                        this.guard, settled, result,
                                    ));
                                }
                                Told::Wait => *this.stage = Stage::Settle(Box::new(result)),
                            }
                        }
                        Err(payload) => {
                            // What the body holds is dropped first; if that panics, too, the guard tells the store.
                            this.guard.within(|| this.body.set(None));
                            match this.guard.settle(Ended::Unknown) {
                                Told::Over(_) => std::panic::resume_unwind(payload),
                                Told::Wait => {
                                    let limit = io().pause(PANIC_LIMIT);
                                    *this.stage = Stage::Panic(Box::new(Thrown { payload, limit }));
                                }
                            }
                        }
                    }
                }
                Stage::Settle(_) => {
                    let settled = ready!(this.guard.poll_settled(cx));
                    let Stage::Settle(result) = std::mem::replace(this.stage, Stage::Over) else { continue };
                    return Poll::Ready(outcome::given::<R, D, X>(this.guard, settled, *result));
                }
                Stage::Panic(thrown) => {
                    if this.guard.poll_settled(cx).is_pending() {
                        ready!(Pin::new(&mut thrown.limit).poll(cx)).ok();
                        if let Wait::Settled(pending) = std::mem::take(&mut this.guard.progress.wait) {
                            this.guard.leave(pending);
                        }
                    }
                    let Stage::Panic(thrown) = std::mem::replace(this.stage, Stage::Over) else { continue };
                    std::panic::resume_unwind(thrown.payload);
                }
                Stage::Over => panic!("a call was polled after it was over"),
            }
        }
    }
}

impl Guard {
    fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<Settled> {
        let Wait::Settled(mut pending) = std::mem::take(&mut self.progress.wait) else {
            return Poll::Ready(Settled::Own);
        };
        match Pin::new(&mut pending).poll(cx) {
            Poll::Ready(answer) => Poll::Ready(self.settled(answer)),
            Poll::Pending => {
                self.progress.wait = Wait::Settled(pending);
                Poll::Pending
            }
        }
    }
}

impl<R, F, D, X, M> std::fmt::Debug for Run<R, F, D, X, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("function", self.guard.text()).finish_non_exhaustive()
    }
}
