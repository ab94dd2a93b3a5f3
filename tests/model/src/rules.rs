//! The rules that a system goes by: the library's transitions, and what a call does.
//!
//! Each can be replaced by a wrapper that breaks it, to see that a promise fails then.

use idem_runtime::Now;
use idem_runtime::store::{Record, Reply, Request};

use crate::message::Operation;

/// How a store carries a request out: record, request, time and the last fence that was given.
pub type Apply = fn(&mut Option<Record>, &Request, &Now, &mut u64) -> Reply;

/// When a claim was sent that is answered now.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// When the claim was sent.
    pub sent: u8,
    /// The present.
    pub now: u8,
    /// How long the lease is.
    pub lease: u8,
}

/// The rules.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The store's: [`protocol::apply`](idem_runtime::store::protocol::apply).
    pub apply: Apply,
    /// A body starts only while less than a lease has passed since its claim was sent.
    pub may_begin: fn(&Times) -> bool,
    /// What the store is told of a claim that is given up.
    pub given_up: Option<Operation>,
    /// What the store is told of a body that began and did not end.
    pub broken_off: Operation,
    /// A waiter asks again when the lease ends that it waits for.
    pub wakes_at_lease_end: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            apply: crate::system::apply,
            may_begin: |times| times.now - times.sent < times.lease,
            given_up: Some(Operation::Release),
            broken_off: Operation::Interrupt,
            wakes_at_lease_end: true,
        }
    }
}
