//! `idem purge`: removes expired records.

use clap::Args;
use idem::store::{Reply, Request, Store as _};

use super::agree::Agree;
use super::at::{At, name};
use super::{Failure, out};
use crate::answer::Object;
use crate::look::{self, words};

#[derive(Debug, Args)]
pub(super) struct Purge {
    /// At most so many.
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    #[command(flatten)]
    agree: Agree,
    #[command(flatten)]
    at: At,
}

/// So many are removed in one step: others can write in between.
const STEP: usize = 1_000;

impl Purge {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let store = self.at.connect().await?;
        let most = self.limit.map_or("all".into(), |limit| format!("at most {limit}"));
        self.agree.to(&format!(
            "In {}: remove {most} expired records, which count as gone already.",
            name(&store)
        ))?;
        let (mut removed, mut left) = (0, self.limit.unwrap_or(usize::MAX));
        loop {
            let limit = left.min(STEP);
            let step = match store.ask(Request::Purge { limit }).await? {
                Reply::Purged(step) => step,
                reply => return Err(look::unexpected(&store, &reply).into()),
            };
            removed += step;
            left -= step.min(left);
            if step == 0 || left == 0 {
                break;
            }
        }
        let removed = u64::try_from(removed)?;
        if self.at.json {
            return out::json(&Object::new().text("outcome", "purged").number("purged", removed));
        }
        out::print(&format!("{} removed\n", words::number(removed)))
    }
}
