//! `idem forget`: the record is gone.

use clap::Args;
use idem::store::{Reply, Request, State, Store as _};

use super::agree::Agree;
use super::at::At;
use super::exit::Exit;
use super::which::Which;
use super::{Failure, decide, out};
use crate::answer::Object;
use crate::look::{self, words};

#[derive(Debug, Args)]
pub(super) struct Forget {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    agree: Agree,
    #[command(flatten)]
    at: At,
}

impl Forget {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let store = self.at.connect().await?;
        let seen = self.which.find(&store).await?;
        let lost = match seen.record.head.state {
            State::Done => "what is known to have ended well can happen a second time",
            State::Interrupted | State::Running => {
                "nobody will know any more that an attempt began and did not end"
            }
            _ => "its attempts are forgotten",
        };
        let what =
            format!("remove the record. The same call is a first one again and runs the body: {lost}.");
        self.agree.to(&decide::change(&seen, &store, &what))?;
        match store.ask(Request::Forget { token: seen.token }).await? {
            Reply::Forgotten if self.at.json => {
                out::json(&Object::new().text("outcome", "forgotten").token(seen.token))
            }
            Reply::Forgotten => out::print(&format!("forgotten: {}\n", seen.token)),
            Reply::Running { lease_left, .. } => Err(Exit::refused(format!(
                "nothing was changed: {} runs, and is not forgotten while its lease lasts ({} left)",
                seen.token,
                words::span(lease_left)
            ))
            .into()),
            reply => Err(look::unexpected(&store, &reply).into()),
        }
    }
}
