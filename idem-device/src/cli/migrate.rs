//! `idem migrate`: makes a store ready for this version.

use clap::Args;

use super::agree::Agree;
use super::at::{At, is_device, name, sqlite_file};
use super::exit::Exit;
use super::{Failure, out};
use crate::answer::Object;

#[derive(Debug, Args)]
pub(super) struct Migrate {
    #[command(flatten)]
    agree: Agree,
    #[command(flatten)]
    at: At,
}

impl Migrate {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let url = self.at.url()?;
        if is_device(&url) {
            return Err(Exit::usage(
                "a device's store is made ready where the device runs: give that store's URL",
            )
            .into());
        }
        let scheme = url.split(':').next().unwrap_or_default();
        let postgres = matches!(scheme, "postgres" | "postgresql");
        let what = match (sqlite_file(&url), scheme) {
            (Some(file), _) if !file.exists() => format!("make the file {} with its tables", file.display()),
            (Some(file), _) => {
                format!("bring the tables in {} to this version, where they are older", file.display())
            }
            _ if postgres => {
                "make the tables where they are missing, and bring them to this version where they are older"
                    .into()
            }
            _ => "look whether it can be used; this store has nothing to make ready".into(),
        };
        self.agree.to(&format!("{what}."))?;
        if postgres {
            idem::PostgresStore::migrate(&url).await?;
        }
        // Opening the others does what is to be done.
        let store = idem::connect(&url).await?;
        if self.at.json {
            return out::json(&Object::new().text("outcome", "ready").text("store", name(&store).to_owned()));
        }
        out::print(&format!("{} is ready\n", name(&store)))
    }
}
