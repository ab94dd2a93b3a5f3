//! The `idem` command.

mod key;
mod serve;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Makes an operation happen once: the idempotent device, and what belongs to it.
#[derive(Debug, Parser)]
#[command(name = "idem", version, propagate_version = true)]
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
}

/// What went wrong, for the person who reads it.
type Failure = Box<dyn std::error::Error>;

pub(crate) fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Token(token) => token.run(),
        Command::Key(key) => key.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("idem: {error}");
            ExitCode::FAILURE
        }
    }
}
