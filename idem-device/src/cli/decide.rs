//! What `idem reopen` and `idem resolve` have in common: a person decides about a record that was looked at.

use idem::Timestamp;
use idem::store::{Handle, Reply, Request, State, Store as _};

use super::Failure;
use super::exit::Exit;
use super::out;
use super::show::facts;
use crate::answer::Object;
use crate::look::{self, Seen, words};

/// Refuses what nobody can decide about.
pub(super) fn open(seen: &Seen) -> Result<(), Failure> {
    if seen.is_open() {
        return Ok(());
    }
    let why = match seen.record.head.state {
        State::Running => "it runs, and its lease is not over: wait for its end with `idem watch`",
        State::Free => "it is free: the next call runs the body anyhow",
        _ => "it is done: what happened is known. `idem forget` removes it, and the next call is a first one",
    };
    Err(Exit::refused(format!("nobody can decide about {}: {why}", seen.token)).into())
}

/// What is decided about, and what will be changed.
pub(super) fn change(seen: &Seen, store: &Handle, what: &str) -> String {
    format!("{}\nIn {}: {what}", facts(seen, Timestamp::now()), super::at::name(store))
}

/// Asks the store, which refuses if the record has changed since.
pub(super) async fn carry_out(
    store: &Handle,
    seen: &Seen,
    request: Request,
    by: &str,
    json: bool,
) -> Result<(), Failure> {
    let outcome = match store.ask(request).await? {
        Reply::Reopened => "reopened",
        Reply::Resolved => "resolved",
        Reply::Record(found) => {
            let now = found.map_or("gone", |record| words::state_word(record.head.state));
            return Err(Exit::refused(format!(
                "nothing was changed: the record has changed since it was looked at, and is {now} now. Look at it again \
                 with `idem show {}`",
                seen.token
            ))
            .into());
        }
        reply => return Err(look::unexpected(store, &reply).into()),
    };
    if json {
        let said = Object::new().text("outcome", outcome).token(seen.token);
        return out::json(&said.text("by", by.to_owned()));
    }
    out::print(&format!("{outcome}: {}\n", seen.token))
}
