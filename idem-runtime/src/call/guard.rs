//! The guard of a call: whatever becomes of its caller, the store is told what is known.

use std::ops::{Deref, DerefMut};
use std::task::{Context, Poll};

use tracing::Span;
use tracing::field::Empty;

use super::machine::{At, Entry, Step, Wait};
use super::prepared::Prepared;
use crate::io::io;
use crate::store::Request;

/// Owns what a call has gathered, from before its claim is sent until it is over.
#[derive(Debug)]
pub(crate) struct Guard(Option<Box<Prepared>>);

impl Guard {
    pub(crate) fn new(prepared: Box<Prepared>) -> Self {
        Guard(Some(prepared))
    }

    /// Runs a part of the body, with its attempt as the current one and in its span.
    pub(crate) fn within<T>(&self, run: impl FnOnce() -> T) -> T {
        let _entered = self.entered();
        self.progress.within.enter(run)
    }

    fn entered(&self) -> Option<tracing::span::EnteredSpan> {
        self.progress.span.clone().map(Span::entered)
    }

    /// Drives the call up to its body or its refusal.
    pub(crate) fn poll_entry(&mut self, cx: &mut Context<'_>) -> Poll<Entry> {
        let _entered = self.entered();
        loop {
            let step = match std::mem::take(&mut self.progress.wait) {
                Wait::Start => self.start(),
                Wait::Refused(error) => Step::Enter(Entry::Refuse(*error)),
                Wait::Again => self.ask(),
                Wait::Store(mut store) => match store.as_mut().poll(cx) {
                    Poll::Ready(store) => self.connected(store),
                    Poll::Pending => return self.pending(Wait::Store(store)),
                },
                Wait::Answer(mut answer) => match poll(&mut answer, cx) {
                    Poll::Ready(answer) => self.answered(answer),
                    Poll::Pending => return self.pending(Wait::Answer(answer)),
                },
                Wait::Woken(mut woken) => match poll(&mut woken, cx) {
                    Poll::Ready(_) => self.ask(),
                    Poll::Pending => return self.pending(Wait::Woken(woken)),
                },
                Wait::Pause(pause) => Step::Wait(Wait::Paused(io().pause(pause))),
                Wait::Paused(mut paused) => match poll(&mut paused, cx) {
                    Poll::Ready(_) => self.ask(),
                    Poll::Pending => return self.pending(Wait::Paused(paused)),
                },
                // Only a body that has begun is settled.
                Wait::Settled(_) => self.ask(),
            };
            match step {
                Step::Enter(entry) => return Poll::Ready(entry),
                Step::Wait(wait) => self.progress.wait = wait,
            }
        }
    }

    fn pending<T>(&mut self, wait: Wait) -> Poll<T> {
        self.progress.wait = wait;
        Poll::Pending
    }
}

fn poll(pending: &mut crate::store::Pending, cx: &mut Context<'_>) -> Poll<crate::store::Answer> {
    std::pin::Pin::new(pending).poll(cx)
}

/// The span of a call; nothing where nobody listens.
pub(super) fn span(prepared: &Prepared) -> Option<Span> {
    let span = tracing::info_span!(
        "idempotent",
        function = %prepared.text(),
        token = %prepared.token_now(),
        outcome = Empty,
        attempt = Empty,
        age_ms = Empty,
    );
    // A crate of the program may have turned `tracing`'s feature `log` on: then a logger may listen instead of a subscriber,
    // and a span is made for it in any case.
    let logged = || !span.is_none() && log::max_level() >= log::LevelFilter::Info;
    let heard = !span.is_disabled() || logged();
    heard.then_some(span)
}

impl Deref for Guard {
    type Target = Prepared;
    fn deref(&self) -> &Prepared {
        self.0.as_ref().expect("a guard has its call until it is dropped")
    }
}

impl DerefMut for Guard {
    fn deref_mut(&mut self) -> &mut Prepared {
        self.0.as_mut().expect("a guard has its call until it is dropped")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(mut prepared) = self.0.take() else { return };
        let wait = std::mem::take(&mut prepared.progress.wait);
        match std::mem::take(&mut prepared.progress.at) {
            At::Idle => {}
            At::Claiming => {
                prepared.give_back();
                prepared.report("dropped");
            }
            At::Body => {
                if let Some(store) = prepared.store.clone() {
                    let request =
                        Request::Interrupt { token: prepared.token_now(), attempt: prepared.attempt() };
                    prepared.carry(store, request, None);
                }
                tracing::warn!(
                    function = %prepared.text(),
                    token = %prepared.token_now(),
                    "the caller went away while the body ran, so nobody knows what it did; with \
                     `on_cancel = finish` a body runs on"
                );
                prepared.report("interrupted");
            }
            At::Settling(request) => {
                if let (Some(store), Wait::Settled(pending)) = (prepared.store.clone(), wait) {
                    prepared.carry(store, request, Some(pending));
                }
            }
        }
        prepared.keep();
    }
}
