//! The protocol's table, row by row: one test per row, named after it, and one per row whose request may be
//! sent again.

mod answers;
mod claim;
mod complete;
mod keep;
mod person;
mod settle;
mod world;
