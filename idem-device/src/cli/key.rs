//! `idem key`: a new key for a namespace.

use clap::Args;

use super::Failure;
use crate::keys;

#[derive(Debug, Args)]
pub(super) struct Key {
    /// Whose records the key opens: 1 to 64 letters, digits, `-`, `_` and `.`.
    namespace: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Key {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (key, line) = keys::make(&self.namespace)?;
        if self.json {
            println!(r#"{{"key":"{key}","line":"{line}"}}"#);
        } else {
            println!("{key}");
            eprintln!(
                "This is the only time that the key is shown: give it to the service as IDEM_DEVICE_KEY."
            );
            eprintln!("Its line for the device's --key-file:\n{line}");
        }
        Ok(())
    }
}
