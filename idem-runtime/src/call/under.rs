//! Calls that a test puts under a store of its own, and what the test hears of them. Without the feature `testing`
//! nothing of it is compiled in.

#[cfg(feature = "testing")]
pub(crate) use with::{Hears, Under, UnderFuture, within};
#[cfg(feature = "testing")]
pub(super) use with::{Put, carried};
#[cfg(not(feature = "testing"))]
pub(super) use without::{Put, carried};

#[cfg(feature = "testing")]
mod with {
    use std::cell::RefCell;
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use pin_project_lite::pin_project;
    use tokio::task::AbortHandle;

    use crate::Token;
    use crate::store::Handle;

    /// What a test hears of the calls that it has put under its store.
    pub(crate) trait Hears: Send + Sync {
        /// The call with this token begins.
        fn called(&self, token: Token);
        /// Its body begins. It may unwind.
        fn begins(&self, token: Token);
        /// Its body is suspended.
        fn suspended(&self, token: Token);
        /// Whether its body may go on; if not, the context is woken once it may.
        fn may_go_on(&self, token: Token, cx: &mut Context<'_>) -> bool;
        /// It is over.
        fn ends(&self, token: Token, outcome: &'static str);
        /// Its body runs in a task of its own.
        fn spawned(&self, task: AbortHandle);
    }

    /// The store that calls are put under.
    pub(crate) struct Under {
        pub(crate) store: Handle,
        pub(crate) hears: Option<Arc<dyn Hears>>,
    }

    thread_local!(static UNDER: RefCell<Option<Arc<Under>>> = const { RefCell::new(None) });

    /// What this thread's calls are put under.
    fn current() -> Option<Arc<Under>> {
        UNDER.try_with(|under| under.borrow().clone()).ok().flatten()
    }

    /// Puts the calls that `run` makes on this thread under a store.
    pub(crate) fn within<T>(under: &Arc<Under>, run: impl FnOnce() -> T) -> T {
        struct Back(Option<Arc<Under>>);
        impl Drop for Back {
            fn drop(&mut self) {
                let before = self.0.take();
                let _ = UNDER.try_with(|under| under.replace(before));
            }
        }
        let before = UNDER.try_with(|slot| slot.replace(Some(Arc::clone(under)))).ok().flatten();
        let _back = Back(before);
        run()
    }

    pin_project! {
        /// A future whose calls are put under a store, also while it is dropped.
        pub(crate) struct UnderFuture<F> {
            #[pin]
            future: Option<F>,
            under: Option<Arc<Under>>,
        }

        impl<F> PinnedDrop for UnderFuture<F> {
            fn drop(this: Pin<&mut Self>) {
                let mut this = this.project();
                if let Some(under) = this.under {
                    within(under, || this.future.set(None));
                }
            }
        }
    }

    impl<F> UnderFuture<F> {
        pub(crate) fn new(under: Option<Arc<Under>>, future: F) -> Self {
            UnderFuture { future: Some(future), under }
        }
    }

    impl<F: Future> Future for UnderFuture<F> {
        type Output = F::Output;

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
            let this = self.project();
            let future = this.future.as_pin_mut().expect("it is there until it is dropped");
            match this.under {
                Some(under) => within(under, || future.poll(cx)),
                None => future.poll(cx),
            }
        }
    }

    /// What one call was put under.
    #[derive(Clone, Default)]
    pub(crate) struct Put(Option<Arc<Under>>);

    impl std::fmt::Debug for Put {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Put")
        }
    }

    impl Put {
        /// A call begins: the store that it is put under, if it is.
        pub(crate) fn begin(token: Token) -> (Self, Option<Handle>) {
            let under = current();
            if let Some(hears) = under.as_ref().and_then(|under| under.hears.as_ref()) {
                hears.called(token);
            }
            let store = under.as_ref().map(|under| under.store.clone());
            (Put(under), store)
        }

        fn hears(&self) -> Option<&Arc<dyn Hears>> {
            self.0.as_ref()?.hears.as_ref()
        }

        pub(crate) fn begins(&self, token: Token) {
            if let Some(hears) = self.hears() {
                hears.begins(token);
            }
        }

        pub(crate) fn suspended(&self, token: Token) {
            if let Some(hears) = self.hears() {
                hears.suspended(token);
            }
        }

        pub(crate) fn may_go_on(&self, token: Token, cx: &mut Context<'_>) -> bool {
            self.hears().is_none_or(|hears| hears.may_go_on(token, cx))
        }

        pub(crate) fn ends(&self, token: Token, outcome: &'static str) {
            if let Some(hears) = self.hears() {
                hears.ends(token, outcome);
            }
        }

        pub(crate) fn spawned<T>(&self, task: &tokio::task::JoinHandle<T>) {
            if let Some(hears) = self.hears() {
                hears.spawned(task.abort_handle());
            }
        }
    }

    /// What is spawned for a call stays under its store.
    pub(crate) fn carried<F>(put: &Put, future: F) -> UnderFuture<F> {
        UnderFuture::new(put.0.clone(), future)
    }
}

#[cfg(not(feature = "testing"))]
mod without {
    use std::task::Context;

    use crate::Token;
    use crate::store::Handle;

    /// Nothing.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Put;

    impl Put {
        #[inline(always)]
        pub(crate) fn begin(_: Token) -> (Self, Option<Handle>) {
            (Put, None)
        }

        #[inline(always)]
        pub(crate) fn begins(&self, _: Token) {}

        #[inline(always)]
        pub(crate) fn suspended(&self, _: Token) {}

        #[inline(always)]
        pub(crate) fn may_go_on(&self, _: Token, _: &mut Context<'_>) -> bool {
            true
        }

        #[inline(always)]
        pub(crate) fn ends(&self, _: Token, _: &'static str) {}

        #[inline(always)]
        pub(crate) fn spawned<T>(&self, _: &tokio::task::JoinHandle<T>) {}
    }

    #[inline(always)]
    pub(crate) fn carried<F>(_: &Put, future: F) -> F {
        future
    }
}
