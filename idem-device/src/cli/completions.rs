//! `idem completions`: what makes a shell complete this command.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Failure, out};

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// For which shell.
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "idem", &mut script);
        out::print(&String::from_utf8_lossy(&script))
    }
}
