//! What is called, with what, and what its body does: random, and the same for the same seed.

use std::time::Duration;

use fastrand::Rng;

use crate::store::OnInterrupt;

/// A function of the run: what its calls have in common.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// How many of 100 calls are of this one.
    share: u32,
    /// How many leases a finished record lives; nothing for longer than the run.
    ttl: Option<u32>,
    policy: Policy,
    pub(super) on_error: OnError,
    /// Whether it has a verified argument.
    pub(super) verifies: bool,
    pub(super) max_attempts: Option<u32>,
    /// Whether its bodies may run only for so many leases.
    max_run: Option<f64>,
    /// Whether its body runs on when its caller goes away.
    pub(super) finishes: bool,
    /// Whether its duplicates are refused.
    pub(super) refuses: bool,
    pub(super) person: Person,
}

#[derive(Debug, Clone, Copy)]
enum Policy {
    Retry,
    Reject,
    /// Each call says another thing.
    Either,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum OnError {
    Release,
    Store,
    Interrupt,
}

/// What people do with the records of a function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Person {
    Nothing,
    /// They reopen or resolve what is interrupted.
    Decides,
    /// They forget it, whatever it is.
    Forgets,
}

const PLAIN: Kind = Kind {
    name: "",
    share: 0,
    ttl: None,
    policy: Policy::Retry,
    on_error: OnError::Release,
    verifies: false,
    max_attempts: None,
    max_run: None,
    finishes: false,
    refuses: false,
    person: Person::Nothing,
};

/// For each rule of the protocol at least one function whose calls show it broken.
pub(super) static KINDS: &[Kind] = &[
    Kind { name: "history.retry", share: 14, ..PLAIN },
    Kind { name: "history.brief", share: 10, ttl: Some(3), ..PLAIN },
    Kind { name: "history.verified", share: 10, verifies: true, ..PLAIN },
    Kind { name: "history.brief_verified", share: 6, ttl: Some(4), verifies: true, ..PLAIN },
    Kind { name: "history.kept_errors", share: 6, on_error: OnError::Store, ..PLAIN },
    Kind { name: "history.reject", share: 9, policy: Policy::Reject, ..PLAIN },
    Kind {
        name: "history.money",
        share: 9,
        policy: Policy::Reject,
        on_error: OnError::Interrupt,
        person: Person::Decides,
        ..PLAIN
    },
    Kind { name: "history.either", share: 10, policy: Policy::Either, ..PLAIN },
    Kind { name: "history.few_attempts", share: 6, max_attempts: Some(2), max_run: Some(0.7), ..PLAIN },
    Kind { name: "history.forgotten", share: 9, person: Person::Forgets, ..PLAIN },
    Kind { name: "history.finish", share: 6, finishes: true, max_run: Some(1.5), ..PLAIN },
    Kind { name: "history.refuse", share: 5, refuses: true, ..PLAIN },
];

/// One call.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) kind: &'static Kind,
    /// Which operation: what makes the token.
    pub(super) number: u64,
    pub(super) verified: u64,
    pub(super) on_interrupt: OnInterrupt,
    pub(super) lease: Duration,
    pub(super) ttl: Duration,
    pub(super) max_run: Option<Duration>,
    /// How long it waits for a running one; nothing if it does not.
    pub(super) wait: Option<Duration>,
    pub(super) body: Body,
    /// After so long the caller goes away.
    pub(super) leaves: Option<Duration>,
    /// How often the caller makes the same call, at most.
    pub(super) tries: u32,
}

/// What a body does.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) steps: Vec<Step>,
    pub(super) ends: Ends,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// It awaits something.
    Pause(Duration),
    /// It blocks its thread.
    Block(Duration),
    /// It asks whether the lease is still its own, and ends with an `Err` if not.
    Check,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Ends {
    Ok,
    Err,
    Panic,
}

/// Longer than any run.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

impl Plan {
    /// The next call, so long after the run began. Those made at the same time are of few tokens, so that they collide.
    pub(super) fn draw(rng: &mut Rng, since_start: Duration, lease: Duration) -> Plan {
        let all: u32 = KINDS.iter().map(|kind| kind.share).sum();
        let mut share = rng.u32(..all);
        let kind = KINDS.iter().find(|kind| {
            let this = share < kind.share;
            share = share.saturating_sub(kind.share);
            this
        });
        let kind = kind.unwrap_or(&KINDS[0]);
        let latest = (since_start.as_micros() / (lease * 4).as_micros().max(1)) as u64;
        // One in twenty comes back to what has been over for long.
        let number = if rng.u32(..20) == 0 { rng.u64(..=latest) } else { latest + rng.u64(..2) };
        let times = |rng: &mut Rng, from: f64, to: f64| lease.mul_f64(from + rng.f64() * (to - from));
        let on_interrupt = match kind.policy {
            Policy::Retry => OnInterrupt::Retry,
            Policy::Reject => OnInterrupt::Reject,
            Policy::Either if rng.bool() => OnInterrupt::Reject,
            Policy::Either => OnInterrupt::Retry,
        };
        Plan {
            kind,
            number,
            verified: if kind.verifies { rng.u64(1..=2) } else { 0 },
            on_interrupt,
            lease,
            ttl: kind.ttl.map_or(LONG, |leases| lease * leases),
            max_run: kind.max_run.map(|leases| lease.mul_f64(leases)),
            wait: (rng.u32(..5) > 0).then(|| times(rng, 0.5, 5.0)),
            body: Body::draw(rng, lease),
            leaves: (rng.u32(..100) < 15).then(|| times(rng, 0.0, 1.5)),
            tries: rng.u32(1..=3),
        }
    }
}

impl Body {
    fn draw(rng: &mut Rng, lease: Duration) -> Body {
        let longest = match rng.u32(..100) {
            0..20 => 0.0,
            20..50 => 0.15,
            50..80 => 0.8,
            _ => 3.0,
        };
        let mut steps = Vec::new();
        for _ in 0..rng.u32(1..=3) {
            let time = lease.mul_f64(rng.f64() * longest / 2.0);
            steps.push(match rng.u32(..20) {
                0 => Step::Check,
                1..3 => Step::Block(time.min(lease / 4)),
                _ => Step::Pause(time),
            });
        }
        let ends = match rng.u32(..100) {
            0..40 => Ends::Ok,
            40..85 => Ends::Err,
            _ => Ends::Panic,
        };
        Body { steps, ends }
    }

    /// How long it takes, if nobody stops it.
    pub(super) fn length(&self) -> Duration {
        let time = |step: &Step| match step {
            Step::Pause(time) | Step::Block(time) => *time,
            Step::Check => Duration::ZERO,
        };
        self.steps.iter().map(time).sum()
    }
}
