//! A record, two clocks and a source of fences, without a store around them.

use std::sync::Arc;
use std::time::Duration;

use idem_runtime::store::{
    AttemptId, Claim, Complete, Finished, Grant, Head, Kind, OnInterrupt, Record, Reopen, Reply, Request,
    Resolve, State, protocol,
};
use idem_runtime::{LeaseTime, Now, Timestamp, Token};

pub const LEASE: Duration = Duration::from_secs(10);
pub const TTL: Duration = Duration::from_secs(3600);
pub const TOKEN: Token = Token::from_bytes([7; 32]);

/// Attempts, by a letter each.
pub fn attempt(letter: char) -> AttemptId {
    AttemptId::from(u128::from(u32::from(letter)))
}

/// A state, and how to get a record there.
pub type Way = (&'static str, fn(&mut World));

pub struct World {
    pub record: Option<Record>,
    pub now: Now,
    /// The last fence.
    pub fence: u64,
}

impl World {
    pub fn new() -> Self {
        let lease = LeaseTime { run: 1, micros: 5_000_000 };
        World {
            record: None,
            now: Now { wall: Timestamp::from_micros(1_700_000_000_000_000), lease },
            fence: 100,
        }
    }

    pub fn ask(&mut self, request: &Request) -> Reply {
        let fence = &mut self.fence;
        protocol::apply(&mut self.record, request, &self.now, || {
            *fence += 1;
            *fence
        })
    }

    /// Asks, and sees to it that nothing changes.
    pub fn ask_in_vain(&mut self, request: &Request) -> Reply {
        let before = (self.record.clone(), self.fence);
        let reply = self.ask(request);
        assert_eq!(before, (self.record.clone(), self.fence), "this row does nothing, and takes no fence");
        reply
    }

    /// Both clocks go on.
    pub fn pass(&mut self, time: Duration) {
        self.now.wall = self.now.wall.after(time);
        self.now.lease = self.now.lease.after(time);
    }

    pub fn head(&self) -> Head {
        self.record.as_ref().expect("there is a record").head
    }

    pub fn state(&self) -> State {
        self.head().state
    }

    /// A claim by this attempt that is granted.
    pub fn claimed(&mut self, letter: char) -> Grant {
        self.claimed_with(letter, |_| {})
    }

    pub fn claimed_with(&mut self, letter: char, options: impl FnOnce(&mut Claim)) -> Grant {
        match self.ask(&claim_with(letter, options)) {
            Reply::Claimed(grant) => grant,
            other => panic!("the claim of {letter} is answered with {other:?}"),
        }
    }

    /// The lease of what runs is over now.
    pub fn lease_over(&mut self) {
        self.pass(LEASE);
    }
}

pub fn claim(letter: char) -> Request {
    claim_with(letter, |_| {})
}

pub fn claim_with(letter: char, options: impl FnOnce(&mut Claim)) -> Request {
    let mut claim = Claim::default();
    claim.token = TOKEN;
    claim.attempt = attempt(letter);
    claim.digest = b"digest".to_vec();
    claim.lease = LEASE;
    claim.ttl = TTL;
    claim.function = "shop::charge".into();
    claim.scope = "tenant".into();
    options(&mut claim);
    Request::Claim(Arc::new(claim))
}

pub fn rejecting(claim: &mut Claim) {
    claim.on_interrupt = OnInterrupt::Reject;
}

pub fn other_digest(claim: &mut Claim) {
    claim.digest = b"other".to_vec();
}

pub fn complete(letter: char, grant: Grant) -> Request {
    complete_with(letter, grant, |_| {})
}

pub fn complete_with(letter: char, grant: Grant, options: impl FnOnce(&mut Complete)) -> Request {
    let mut complete = Complete::default();
    complete.token = TOKEN;
    complete.attempt = attempt(letter);
    complete.fence = grant.fence;
    complete.generation = grant.generation;
    complete.number = grant.number;
    complete.function = "shop::charge".into();
    complete.digest = b"digest".to_vec();
    complete.result = format!("result of {letter}").into_bytes().into();
    complete.kind = Kind::Value;
    complete.ttl = TTL * 2;
    options(&mut complete);
    Request::Complete(Arc::new(complete))
}

pub fn release(letter: char) -> Request {
    Request::Release { token: TOKEN, attempt: attempt(letter), lease: LEASE }
}

pub fn renew(letter: char) -> Request {
    Request::Renew { token: TOKEN, attempt: attempt(letter), lease: LEASE }
}

pub fn interrupt(letter: char) -> Request {
    Request::Interrupt { token: TOKEN, attempt: attempt(letter) }
}

pub fn reopen(fence: u64) -> Request {
    Request::Reopen(Arc::new(Reopen::new(TOKEN, fence, "ann")))
}

pub fn resolve(fence: u64) -> Request {
    resolve_with(fence, b"by hand")
}

pub fn resolve_with(fence: u64, result: &[u8]) -> Request {
    let mut resolve = Resolve::new(TOKEN, fence, "ann", 3 * TTL);
    resolve.result = result.into();
    resolve.kind = Kind::Value;
    Request::Resolve(Arc::new(resolve))
}

pub const FORGET: Request = Request::Forget { token: TOKEN };
pub const GET: Request = Request::Get { token: TOKEN };

/// What a done record answers, if this is one.
pub fn done(reply: Reply) -> Finished {
    match reply {
        Reply::Done(finished) => finished,
        other => panic!("expected `done`, found {other:?}"),
    }
}

/// The result of the attempt that won, if it is known.
pub fn lease_lost(reply: Reply) -> Option<Finished> {
    match reply {
        Reply::LeaseLost { winner } => winner,
        other => panic!("expected `lease lost`, found {other:?}"),
    }
}

#[track_caller]
pub fn is_running(reply: &Reply) {
    assert!(matches!(reply, Reply::Running { .. }), "expected `running`, found {reply:?}");
}

#[track_caller]
pub fn is_interrupted(reply: &Reply) {
    assert!(matches!(reply, Reply::Interrupted { .. }), "expected `interrupted`, found {reply:?}");
}
