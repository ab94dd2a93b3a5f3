//! The protocol, checked over every reachable state of bounded systems.
//!
//! A system is a store, callers, and a network between them that loses, repeats and delays what is sent; processes
//! die, time passes, and a person decides. What the store does is
//! [`protocol::apply`](idem_runtime::store::protocol::apply), the function that the stores use. What a caller does is
//! written down anew in [`system`], after the rules of `idem-runtime`'s `call`: that is a machine of futures and
//! timers, which a model cannot step through. Of it the model uses what is pure: how two digests are compared.
//!
//! | file | about |
//! | --- | --- |
//! | [`bounds`] | how large a system is, and which ones are looked at |
//! | [`state`], [`kept`], [`message`] | a state of it: callers and tokens, a record, what is on its way |
//! | [`actions`] | what can happen next |
//! | [`system`] | what comes of it |
//! | `symmetry` | which states count as one |
//! | [`promises`] | what must hold |
//! | [`rules`], [`broken`] | the rules, and what happens without one |
//! | [`trace`] | the way to a state, as text |
//!
//! Every state of a system is looked at, except that these are taken for one: states that differ only in which
//! caller or token is which; attempts of which nothing will be heard any more; moments beyond the system's end. An
//! answer that tells its caller nothing but that it is over comes at once or is lost: the caller does the same
//! whenever it hears it. `watch` is not sent: a waiting caller asks again at any time after the record has ended,
//! or when the lease is over that it waits for.
//!
//! ```text
//! cargo run --release -p idem-model            # the systems in full, some minutes, then every broken rule
//! cargo run --release -p idem-model -- reject  # only those with this in their name
//! ```

pub mod actions;
pub mod bounds;
pub mod broken;
pub mod kept;
pub mod message;
pub mod promises;
pub mod rules;
pub mod state;
mod symmetry;
pub mod system;
pub mod trace;
