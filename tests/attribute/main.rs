//! What the attribute must be able to stand on, and what each of its options does: one module for each of its
//! capabilities, and a table of all clauses in [`clauses`].

#[macro_use]
mod bench;

mod arguments;
mod async_trait;
mod clauses;
mod errors;
mod functions;
mod future;
mod generics;
mod hygiene;
mod key;
mod macros;
mod methods;
mod options;
mod results;
mod stores;
mod traits;
