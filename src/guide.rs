//! The guide: a page per topic.
//!
//! | page | about |
//! | --- | --- |
//! | [`keys`] | what makes two calls mean the same |
//! | [`duplicates`] | what a repeated call gets |
//! | [`errors`] | what an `Err` means, and what a call is refused with |
//! | [`crashes`] | attempts that began and did not end, and what is promised |
//! | [`stores`] | where records are kept, and what they survive |
//! | [`proofs`] | what is proven and how, what is not, how to run it oneself |
//! | [`postgres`] | the PostgreSQL store, and how to run it |
//! | [`device`] | a separate service that makes the tokens and keeps the records for others |
//! | [`device_protocol`] | what other languages say to it |
//! | [`command`] | the `idem` command and the device's page: looking at records, and deciding about them |
//! | [`redis`] | the Redis store: options, permissions, sizing, durability, failover |
//! | [`web_handlers`] | clients that hang up, status codes, principals |

#[doc = include_str!("guide/keys.md")]
pub mod keys {}

#[doc = include_str!("guide/duplicates.md")]
pub mod duplicates {}

#[doc = include_str!("guide/errors.md")]
pub mod errors {}

#[doc = include_str!("guide/crashes.md")]
pub mod crashes {}

#[doc = include_str!("guide/stores.md")]
pub mod stores {}

#[doc = include_str!("guide/proofs.md")]
pub mod proofs {}

#[doc = include_str!("guide/postgres.md")]
pub mod postgres {}

#[doc = include_str!("guide/device.md")]
pub mod device {}

#[doc = include_str!("guide/device_protocol.md")]
pub mod device_protocol {}

#[doc = include_str!("guide/command.md")]
pub mod command {}

#[doc = include_str!("guide/redis.md")]
pub mod redis {}

#[doc = include_str!("guide/web_handlers.md")]
pub mod web_handlers {}
