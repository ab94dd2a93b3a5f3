//! `idem watch`: waits until a record is not running any more.

use std::time::{Duration, Instant};

use clap::Args;
use idem::store::{Reply, Request, State, Store as _};

use super::at::At;
use super::exit::Exit;
use super::which::Which;
use super::{Failure, show};
use crate::look::{self, words};

#[derive(Debug, Args)]
pub(super) struct Watch {
    #[command(flatten)]
    which: Which,
    /// At most so long [default: as long as it takes]
    #[arg(long, value_parser = humantime::parse_duration, value_name = "DURATION")]
    timeout: Option<Duration>,
    #[command(flatten)]
    at: At,
}

/// One watch is at most so long: a device or a proxy before it may allow no more.
const STEP: Duration = Duration::from_secs(25);

impl Watch {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let until = self.timeout.map(|timeout| Instant::now() + timeout);
        let store = self.at.connect().await?;
        let mut seen = self.which.find(&store).await?;
        let mut told = self.at.json;
        while seen.record.head.state == State::Running && !seen.lease_over {
            if !told {
                let function = words::clean(&seen.record.function);
                eprintln!("{function} runs, attempt {}: waiting for its end.", seen.record.head.number);
                told = true;
            }
            let left = until.map_or(STEP, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(Exit::refused(format!("{} still runs", seen.token)).into());
            }
            let reply = store.ask(Request::Watch { token: seen.token, limit: left.min(STEP) }).await?;
            if !matches!(reply, Reply::Record(_)) {
                return Err(look::unexpected(&store, &reply).into());
            }
            // Whether a lease is over says only a look.
            let Some(now) = look::seen(&store, seen.token).await? else {
                return Err(Exit::no_record(format!(
                    "{} is gone: it was forgotten or has expired",
                    seen.token
                ))
                .into());
            };
            seen = now;
        }
        show::print(&seen, self.at.json)
    }
}
