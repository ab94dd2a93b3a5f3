//! `idem resolve`: a person says "it happened, and this was its result".

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use idem::store::{Kind, Payload, Request as Asked, Resolve as Request};

use super::agree::{Agree, By};
use super::at::At;
use super::exit::Exit;
use super::which::Which;
use super::{Failure, decide};
use crate::value::notation::notation;
use crate::value::{MAX_NESTING, cbor, json};

#[derive(Debug, Args)]
pub(super) struct Resolve {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    result: Given,
    /// The result is the function's error, not its value.
    #[arg(long, conflicts_with = "no_result")]
    error: bool,
    /// How long duplicates are answered from now on [default: as long as the function says]
    #[arg(long, value_parser = humantime::parse_duration, value_name = "DURATION")]
    ttl: Option<Duration>,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    agree: Agree,
    #[command(flatten)]
    at: At,
}

/// What duplicates get from now on.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Given {
    /// The result as JSON: what the function's result looks like to serde. A float has a fraction: `1.0`.
    #[arg(long, value_name = "JSON")]
    result: Option<String>,
    /// The same, from a file; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    result_file: Option<PathBuf>,
    /// The result as CBOR, from a file: what JSON cannot say.
    #[arg(long, value_name = "FILE")]
    result_cbor: Option<PathBuf>,
    /// There is no result: duplicates are told `Do not submit repeated requests`.
    #[arg(long)]
    no_result: bool,
}

impl Given {
    fn read(&self) -> Result<Option<Vec<u8>>, Failure> {
        let wrong = |error| Exit::usage(format!("the result: {error}"));
        let read = if let Some(text) = &self.result {
            json::to_cbor(text.as_bytes(), MAX_NESTING)
        } else if let Some(file) = &self.result_file {
            json::to_cbor(&bytes(file)?, MAX_NESTING)
        } else if let Some(file) = &self.result_cbor {
            cbor::to_cbor(&bytes(file)?, MAX_NESTING)
        } else {
            return Ok(None);
        };
        Ok(Some(read.map_err(wrong)?))
    }
}

fn bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    if file.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()).into())
}

impl Resolve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let by = self.by.name()?;
        let result = self.result.read()?;
        if self.ttl == Some(Duration::ZERO) {
            return Err(Exit::usage("--ttl 0 is over before it begins").into());
        }
        let store = self.at.connect().await?;
        let seen = self.which.find(&store).await?;
        decide::open(&seen)?;
        let ttl = self.ttl.unwrap_or(seen.record.head.ttl);
        let mut resolve = Request::new(seen.token, seen.record.head.fence, by.clone(), ttl);
        let gets = match result {
            None => "are told `Do not submit repeated requests`".to_owned(),
            Some(result) => {
                let what = if self.error { "get this error" } else { "get this result" };
                let gets = format!("{what}: {}", notation(&result));
                resolve.kind = if self.error { Kind::Error } else { Kind::Value };
                resolve.result = Payload::from(result);
                gets
            }
        };
        let ttl = humantime::format_duration(ttl);
        let what = format!(
            "resolve it as done, by {by}. The body does not run again; for {ttl} from now on duplicates {gets}"
        );
        self.agree.to(&decide::change(&seen, &store, &what))?;
        decide::carry_out(&store, &seen, Asked::Resolve(Arc::new(resolve)), &by, self.at.json).await
    }
}
