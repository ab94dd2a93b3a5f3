//! A store, and how often bodies ran: what every test needs.

use std::sync::atomic::{AtomicU32, Ordering};

use idem::MemoryStore;

pub struct Bench {
    pub store: MemoryStore,
    runs: AtomicU32,
}

impl Bench {
    pub fn new() -> Self {
        Bench { store: MemoryStore::new(), runs: AtomicU32::new(0) }
    }

    /// A body runs: the how manyth?
    pub fn ran(&self) -> u32 {
        self.runs.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }
}

/// Makes a call twice: the body runs once, and both callers get the same, which is given back.
macro_rules! once {
    ($bench:expr, $call:expr) => {{
        let before = $bench.runs();
        let first = $call.expect("the first call");
        assert_eq!($bench.runs() - before, 1, "the first call did not run the body");
        let again = $call.expect("the repeated call");
        assert_eq!($bench.runs() - before, 1, "the repeated call ran the body");
        assert_eq!(first, again);
        first
    }};
}
