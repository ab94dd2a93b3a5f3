//! The idempotent device: a service that makes the tokens and keeps the records for others, and the `idem` command.
//!
//! A request goes `http` → `schema` (what it says) → the store → `answer` or `problem` (what it is told). Everything
//! that is decided about a record is decided by the store.

mod answer;
mod cli;
mod device;
mod history;
mod http;
mod keys;
mod look;
mod metrics;
mod openapi;
mod page;
mod problem;
mod schema;
mod server;
mod stores;
mod stream;
mod tls;
mod value;

fn main() -> std::process::ExitCode {
    cli::main()
}
