//! `idem reopen`: a person says "run it again".

use std::sync::Arc;

use clap::Args;
use idem::store::{Reopen as Request, Request as Asked};

use super::agree::{Agree, By};
use super::at::At;
use super::which::Which;
use super::{Failure, decide};

#[derive(Debug, Args)]
pub(super) struct Reopen {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    agree: Agree,
    #[command(flatten)]
    at: At,
}

impl Reopen {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let by = self.by.name()?;
        let store = self.at.connect().await?;
        let seen = self.which.find(&store).await?;
        decide::open(&seen)?;
        let what = format!(
            "reopen it, by {by}. The next call runs the body again, whatever the last attempt has done."
        );
        self.agree.to(&decide::change(&seen, &store, &what))?;
        let reopen = Request::new(seen.token, seen.record.head.fence, by.clone());
        decide::carry_out(&store, &seen, Asked::Reopen(Arc::new(reopen)), &by, self.at.json).await
    }
}
