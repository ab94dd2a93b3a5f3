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

#[doc = include_str!("guide/web_handlers.md")]
pub mod web_handlers {}
