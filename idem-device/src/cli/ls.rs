//! `idem ls`: many records, a page at a time.

use std::time::Duration;

use clap::{Args, ValueEnum};
use idem::store::{Handle, Listed, OnInterrupt, Query, State};
use idem::{Text, Timestamp, Token};

use super::Failure;
use super::at::{At, name};
use super::out;
use crate::look::{self, Seen, words};

#[derive(Debug, Args)]
pub(super) struct Ls {
    /// Only records in this state.
    #[arg(long, value_name = "STATE")]
    state: Option<Which>,
    /// Only records that wait for a person: interrupted ones, and under `reject` running ones whose lease is over.
    #[arg(long, conflicts_with_all = ["state", "lease_over"])]
    open: bool,
    /// Only running records whose lease is over.
    #[arg(long, conflicts_with = "state")]
    lease_over: bool,
    /// Only records of this function.
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    /// Only records first asked for at least so long ago, such as `90s` or `2h`.
    #[arg(long, value_parser = humantime::parse_duration, value_name = "DURATION")]
    age: Option<Duration>,
    /// Go on after this token, which the page before has printed.
    #[arg(long, value_name = "TOKEN")]
    cursor: Option<Token>,
    /// At most so many records.
    #[arg(long, default_value_t = 100, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// All of them.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    Running,
    Free,
    Interrupted,
    Done,
}

/// So many records are asked for at once.
const PAGE: u64 = 200;

impl Ls {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let store = self.at.connect().await?;
        let mut query = Query::default();
        query.state = self.state.map(|state| match state {
            Which::Running => State::Running,
            Which::Free => State::Free,
            Which::Interrupted => State::Interrupted,
            Which::Done => State::Done,
        });
        query.lease_over = self.lease_over;
        query.function = self.function.clone().map(Text::from);
        (query.age, query.cursor) = (self.age, self.cursor);

        let mut left = if self.all { u64::MAX } else { self.limit };
        let mut printed = 0;
        if self.at.json {
            out::print("{\"records\":[")?;
        }
        let next = loop {
            query.limit = usize::try_from(left.min(PAGE))?;
            let (records, next) = self.page(&store, &query).await?;
            left -= left.min(records.len() as u64);
            self.print(&records, printed == 0)?;
            printed += records.len();
            match next {
                Some(next) if left > 0 => query.cursor = Some(next),
                next => break next,
            }
        };
        if self.at.json {
            let next = next.map_or("null".into(), |next| format!("\"{next}\""));
            return out::print(&format!("],\"next\":{next}}}\n"));
        }
        match next {
            Some(next) => eprintln!("There are more: --cursor {next}"),
            None if printed == 0 => eprintln!("No such records in {}.", name(&store)),
            None => {}
        }
        Ok(())
    }

    async fn page(&self, store: &Handle, query: &Query) -> Result<(Vec<Seen>, Option<Token>), Failure> {
        if self.open {
            return Ok(look::open_records(store, query).await?);
        }
        let page = look::list(store, query).await?;
        let over = look::leases_over(store, &page.records).await?;
        let seen = |Listed { token, record, .. }| {
            let lease_over = query.lease_over || over.contains(&token);
            Seen { token, record: std::sync::Arc::new(record), lease_over }
        };
        Ok((page.records.into_iter().map(seen).collect(), page.next))
    }

    fn print(&self, records: &[Seen], first: bool) -> Result<(), Failure> {
        if records.is_empty() {
            return Ok(());
        }
        if self.at.json {
            let objects: Vec<_> = records.iter().map(|seen| out::json_text(&out::record(seen))).collect();
            let comma = if first { "" } else { "," };
            return out::print(&format!("{comma}{}", objects.join(",\n")));
        }
        out::print(&page(records, first, Timestamp::now()))
    }
}

/// The columns have one width in all pages: what is longest stands last.
fn page(records: &[Seen], first: bool, now: Timestamp) -> String {
    let mut text = String::new();
    let mut row = |cells: [&str; 7]| {
        let [token, state, policy, number, first, expires, function] = cells;
        text.push_str(&format!(
            "{token:<12}  {state:<11}  {policy:<6}  {number:>4}  {first:<10}  {expires:<10}  {function}\n"
        ));
    };
    if first {
        row(["TOKEN", "STATE", "POLICY", "RUNS", "FIRST", "EXPIRES", "FUNCTION, SCOPE"]);
    }
    for seen in records {
        let (record, head) = (&seen.record, &seen.record.head);
        let reject = head.on_interrupt == OnInterrupt::Reject;
        let stays = match head.state {
            State::Running => reject || !seen.lease_over,
            State::Interrupted => reject,
            _ => false,
        };
        let expires = if stays { "-".into() } else { words::distance(head.expires, now) };
        let mut function = words::clean(&record.function);
        if !record.scope.is_empty() {
            function.push_str(", ");
            function.push_str(&words::clean(&record.scope));
        }
        row([
            &seen.token.to_string()[..12],
            words::state(seen),
            if reject { "reject" } else { "retry" },
            &head.number.to_string(),
            &words::distance(head.first_at, now),
            &expires,
            &function,
        ]);
    }
    text
}
