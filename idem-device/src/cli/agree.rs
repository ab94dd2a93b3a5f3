//! Nothing is changed before somebody has read what will be, and agreed.

use std::io::{IsTerminal as _, Write as _};

use clap::Args;

use super::Failure;
use super::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct Agree {
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

impl Agree {
    /// Says what will be changed, and asks.
    pub(super) fn to(&self, change: &str) -> Result<(), Failure> {
        let mut err = std::io::stderr().lock();
        writeln!(err, "{change}")?;
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            let what =
                "nothing was changed: there is no terminal to ask on. With --yes it is done without asking";
            return Err(Exit::not_agreed(what).into());
        }
        write!(err, "Do it? [y/N] ")?;
        err.flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Exit::not_agreed("nothing was changed").into()),
        }
    }
}

/// Who decides: it is kept in the record.
#[derive(Debug, Args)]
pub(super) struct By {
    /// Who says so: it is kept in the record [default: your user name]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl By {
    pub(super) fn name(&self) -> Result<String, Failure> {
        let given =
            self.by.clone().or_else(|| std::env::var("USER").ok()).or_else(|| std::env::var("LOGNAME").ok());
        match given.filter(|name| !name.trim().is_empty()) {
            Some(name) => Ok(name),
            None => Err(Exit::usage("who decides? It is kept in the record: --by NAME").into()),
        }
    }
}
