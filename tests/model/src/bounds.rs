//! How large a system is.

use std::fmt;

use crate::state::CALLERS;

/// One caller and its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calls {
    /// How many calls it makes, one after the other; 0 leaves the caller out.
    pub calls: u8,
    /// Whether it says `on_interrupt = reject`.
    pub strict: bool,
    /// Its verified arguments.
    pub arguments: u8,
}

/// The bounds of a system: every state within them is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// What the system looks at.
    pub name: &'static str,
    /// The callers. Each call is of any of the two tokens.
    pub callers: [Calls; CALLERS],
    /// Whether all calls are of one token.
    pub one_token: bool,
    /// So many ticks pass in which anything can happen; then nothing is lost and nobody dies any more, and time
    /// passes only where nothing else can happen, until everything is at rest.
    pub ticks: u8,
    /// How long a lease lasts, in ticks.
    pub lease: u8,
    /// How long a finished record is kept, in ticks.
    pub ttl: u8,
    /// How long a call waits for others, in ticks.
    pub wait: u8,
    /// So many processes die.
    pub crashes: u8,
    /// So many messages are on their way at once. Any of them is lost, or is as late as it likes.
    pub messages: usize,
    /// So many requests reach the store twice.
    pub repeats: u8,
    /// So often a person forgets, reopens or resolves a record.
    pub decisions: u8,
    /// Whether leases are renewed.
    pub renews: bool,
    /// Whether the wall clock is set, once, forward or back, by more than every `ttl`.
    pub sets_clock: bool,
}

impl Bounds {
    /// So many callers that make one call each.
    #[must_use]
    pub const fn new(name: &'static str, callers: usize) -> Self {
        let mut all = [Calls { calls: 0, strict: false, arguments: 0 }; CALLERS];
        let mut index = 0;
        while index < callers && index < CALLERS {
            all[index].calls = 1;
            index += 1;
        }
        Bounds {
            name,
            callers: all,
            one_token: false,
            ticks: 4,
            lease: 2,
            ttl: 30,
            wait: 30,
            crashes: 2,
            messages: 3,
            repeats: 1,
            decisions: 0,
            renews: false,
            sets_clock: false,
        }
    }

    /// The same for calls that say `reject`.
    #[must_use]
    pub const fn strict(mut self) -> Self {
        let mut index = 0;
        while index < CALLERS {
            self.callers[index].strict = true;
            index += 1;
        }
        self
    }

    /// After this tick nothing is ended any more, whatever goes on.
    #[must_use]
    pub fn end(&self) -> u8 {
        self.ticks + 3 * self.lease
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let callers = self.callers.iter().filter(|caller| caller.calls > 0);
        let calls: Vec<_> = callers.clone().map(|caller| caller.calls.to_string()).collect();
        let strict = callers.clone().filter(|caller| caller.strict).count();
        write!(
            f,
            "{} callers ({strict} of them `reject`) with {} calls, {} tokens, {} ticks, lease {}, ttl {}, wait {}, \
             {} crashes, {} messages at once, {} repeated, {} decisions of a person{}{}",
            callers.count(),
            calls.join(" + "),
            if self.one_token { 1 } else { 2 },
            self.ticks,
            self.lease,
            self.ttl,
            self.wait,
            self.crashes,
            self.messages,
            self.repeats,
            self.decisions,
            if self.renews { ", leases renewed" } else { "" },
            if self.sets_clock { ", wall clock set once" } else { "" },
        )
    }
}

impl Bounds {
    /// The systems that are looked at in full: each is small in most directions and large in one.
    #[must_use]
    pub fn full() -> Vec<Bounds> {
        let short = Bounds { ticks: 2, lease: 1, messages: 2, ..Bounds::new("two tokens", 3) };
        let one = Bounds { ticks: 3, messages: 2, one_token: true, ..Bounds::new("leases", 3) };
        let mut mixed = Bounds { name: "policies that differ", ..one };
        mixed.callers[0].strict = true;
        let mut verified = Bounds { name: "arguments that differ", ticks: 2, lease: 1, repeats: 0, ..one };
        (verified.callers[0].arguments, verified.callers[1].arguments) = (1, 2);
        let again =
            Bounds { ttl: 2, ticks: 3, lease: 1, messages: 2, repeats: 0, ..Bounds::new("expiry", 2) };
        let mut again = Bounds { one_token: true, ..again };
        again.callers[0].calls = 2;
        vec![
            short,
            Bounds { name: "two tokens, reject", ..short }.strict(),
            Bounds { renews: true, ..one },
            Bounds { name: "leases, reject", renews: true, ..one }.strict(),
            Bounds { name: "late messages", messages: 3, ticks: 4, ..Bounds::new("", 2) },
            mixed,
            verified,
            Bounds { name: "a person decides", decisions: 1, repeats: 0, ..one },
            Bounds { name: "a person decides, reject", decisions: 1, repeats: 0, ..one }.strict(),
            again,
            Bounds { name: "waiting ends", wait: 1, repeats: 0, ..one },
            Bounds { name: "the wall clock is set", sets_clock: true, repeats: 0, ..one },
        ]
    }

    /// The same directions, within what a test takes.
    #[must_use]
    pub fn quick() -> Vec<Bounds> {
        let two = |bounds: Bounds| {
            let mut bounds = Bounds { ticks: bounds.ticks.min(3), messages: 2, ..bounds };
            bounds.callers[0].calls = 1;
            bounds.callers[2].calls = 0;
            bounds
        };
        let [tokens, _, rest @ ..] = &*Self::full() else { return Vec::new() };
        let mut quick = vec![Bounds { ticks: 1, repeats: 0, ..*tokens }];
        quick.extend(rest.iter().map(|bounds| two(*bounds)));
        quick
    }
}
