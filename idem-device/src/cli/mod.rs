//! The `idem` command.

mod agree;
mod at;
mod completions;
mod decide;
mod doctor;
mod exit;
mod forget;
mod key;
mod ls;
mod migrate;
mod out;
mod purge;
mod reopen;
mod resolve;
mod serve;
pub(crate) mod show;
mod stats;
mod token;
mod watch;
mod which;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::Exit;

/// Makes an operation happen once: the idempotent device, and what belongs to it.
#[derive(Debug, Parser)]
#[command(name = "idem", version, propagate_version = true, after_help = exit::CODES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the device: a service that makes tokens and keeps records for others.
    Serve(serve::Serve),
    /// Prints the token of a call.
    Token(token::Tokens),
    /// Makes a key for a namespace: prints it, and its line for the key file.
    Key(key::Key),
    /// Lists records: by state, function and age, a page at a time.
    Ls(ls::Ls),
    /// Shows one record: by its token, or by function, scope and arguments.
    Show(show::Show),
    /// Waits until a record is not running any more, and shows it.
    Watch(watch::Watch),
    /// Says "run it again" of a record of which nobody knows what its last attempt did.
    Reopen(reopen::Reopen),
    /// Says "it happened", and what its result was.
    Resolve(Box<resolve::Resolve>),
    /// Removes a record: the same call is a first one again.
    Forget(forget::Forget),
    /// Removes expired records.
    Purge(purge::Purge),
    /// Counts the records by function and state.
    Stats(stats::Stats),
    /// Makes a store ready for this version: files, tables.
    Migrate(migrate::Migrate),
    /// Says what a store promises with the settings that it has, and warns.
    Doctor(doctor::Doctor),
    /// Prints what makes a shell complete this command.
    Completions(completions::Completions),
}

/// What went wrong, for the person who reads it.
type Failure = Box<dyn std::error::Error>;

pub(crate) fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Token(token) => token.run(),
        Command::Key(key) => key.run(),
        Command::Ls(ls) => wait(ls.run()),
        Command::Show(show) => wait(show.run()),
        Command::Watch(watch) => wait(watch.run()),
        Command::Reopen(reopen) => wait(reopen.run()),
        Command::Resolve(resolve) => wait(resolve.run()),
        Command::Forget(forget) => wait(forget.run()),
        Command::Purge(purge) => wait(purge.run()),
        Command::Stats(stats) => wait(stats.run()),
        Command::Migrate(migrate) => wait(migrate.run()),
        Command::Doctor(doctor) => wait(doctor.run()),
        Command::Completions(completions) => completions.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("idem: {error}");
            error.downcast_ref::<Exit>().map_or(ExitCode::FAILURE, |exit| ExitCode::from(exit.code))
        }
    }
}

/// Most commands ask a store and wait for it.
fn wait(run: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run)
}
