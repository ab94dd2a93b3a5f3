//! The first page: search, what waits for a person, what callers were told lately, and what there is by function.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use idem::store::{OnInterrupt, Query};
use idem::{StoreError, Timestamp, Token};
use maud::{Markup, html};

use super::shell::{self, Shell};
use super::visitor::Visitor;
use super::{list, live, search};
use crate::device::Device;
use crate::look::{self, Counts, Estimated, Seen, Tally, words};
use crate::problem::Problem;

/// So many records wait for a person on the first page; the others are on the next ones.
const OPEN: usize = 20;
/// So many records are counted.
const COUNTED: u64 = 5_000;
/// For so long a count is good enough.
const FRESH: Duration = Duration::from_secs(5);

pub(super) async fn home(State(device): State<Arc<Device>>, visitor: Visitor) -> Response {
    match content(&device, &visitor, &search::Asked::default(), None).await {
        Ok(content) => Shell::new("Overview", "./").of(&visitor).page(content).into_response(),
        Err(error) => shell::failed(&Problem::store("list", &error), "./"),
    }
}

/// All of the page, with what was looked for and why it was not found.
pub(super) async fn content(
    device: &Device,
    visitor: &Visitor,
    asked: &search::Asked,
    wrong: Option<&str>,
) -> Result<Markup, StoreError> {
    let mut query = Query::default();
    query.limit = OPEN;
    let (open, more) = look::open_records(visitor.store(), &query).await?;
    let tally = counted(device, visitor).await?;
    let now = Timestamp::now();
    Ok(html! {
        h1.quiet { "Overview" }
        (search::form(asked, wrong, "./"))
        (work(&open, more, now))
        section aria-labelledby="lately" {
            h2 #lately { "Calls" }
            div #live data-from="live" { (live::fragment(device, visitor)) }
            p #said .quiet aria-live="polite" {}
        }
        (functions(&tally))
    })
}

/// The work list.
fn work(open: &[Seen], more: Option<Token>, now: Timestamp) -> Markup {
    html! {
        section aria-labelledby="open" .attention[!open.is_empty()] {
            h2 #open {
                "Waiting for a person "
                span.count { (open.len()) @if more.is_some() { "+" } }
            }
            @if open.is_empty() {
                p.faint { "Nothing: of every attempt it is known how it ended, or it still runs." }
            } @else {
                p.faint { "An attempt began and did not end, and nobody knows what it did. Look at what really happened, then decide." }
                ul.cards {
                    @for seen in open { (card(seen, now)) }
                }
                @if let Some(next) = more {
                    p { a href={ "records?open=1&cursor=" (next) } { "More that wait" } }
                }
            }
        }
    }
}

fn card(seen: &Seen, now: Timestamp) -> Markup {
    let (record, head) = (&seen.record, &seen.record.head);
    let token = seen.token.to_string();
    let name = format!("{} {}", words::clean(&record.function), &token[..8]);
    html! {
        li {
            div {
                p.title {
                    a href={ "records/" (token) } { (words::clean(&record.function)) }
                    " " (list::state(seen))
                }
                p.faint {
                    @if !record.scope.is_empty() { "scope " b { (words::clean(&record.scope)) } " · " }
                    "attempt " (head.number) " began " (words::distance(head.began_at, now))
                    @if head.on_interrupt == OnInterrupt::Retry { " · the next call runs it again" }
                    " · " code { (&token[..12]) }
                }
                @if let Some(arguments) = &record.arguments {
                    p.line { code { (list::short(&arguments.key)) } }
                }
            }
            p.actions {
                a.button href={ "records/" (token) "/reopen" } aria-label={ "Run it again: " (name) } { "Run it again…" }
                a.button href={ "records/" (token) "/resolve" } aria-label={ "It happened: " (name) } { "It happened…" }
            }
        }
    }
}

/// How many records there are, as it was a few seconds ago.
async fn counted(device: &Device, visitor: &Visitor) -> Result<Arc<Tally>, StoreError> {
    let kept = || device.page.tallies.lock().unwrap_or_else(PoisonError::into_inner);
    let namespace = &visitor.caller.namespace;
    if let Some((at, tally)) = kept().get(namespace)
        && at.elapsed() < FRESH
    {
        return Ok(Arc::clone(tally));
    }
    let tally = Arc::new(look::tally(visitor.store(), COUNTED, 200).await?);
    kept().insert(namespace.clone(), (Instant::now(), Arc::clone(&tally)));
    Ok(tally)
}

fn functions(tally: &Tally) -> Markup {
    html! {
        section aria-labelledby="functions" {
            h2 #functions { "Records by function" }
            @if tally.functions.is_empty() {
                p.faint { "There are none yet." }
            } @else {
                div.scroll tabindex="0" role="region" aria-label="Table of the functions" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Function" }
                                @for (name, _, _, _) in columns(&Counts::default(), tally.estimated) { th.number scope="col" { (name) } }
                            }
                        }
                        tbody {
                            @for (function, counts) in &tally.functions {
                                tr {
                                    th scope="row" { a href={ "records?" (list::encoded("function", function)) } { (words::clean(function)) } }
                                    @for (_, query, count, estimated) in columns(counts, tally.estimated) {
                                        td.number {
                                            @if count == 0 { span.faint { "–" } } @else {
                                                a href={ "records?" (query) "&" (list::encoded("function", function)) } { (shown(count, estimated)) }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                        @if tally.functions.len() > 1 {
                            tfoot {
                                tr {
                                    th scope="row" { "All" }
                                    @for (_, query, count, estimated) in columns(&tally.all, tally.estimated) {
                                        td.number { a href={ "records?" (query) } { (shown(count, estimated)) } }
                                    }
                                }
                            }
                        }
                    }
                }
                @if !tally.is_exact() {
                    p.faint {
                        "Numbers with ≈ are estimated from " (words::number(tally.counted)) " records: the first ones in the order of their tokens, which is as good as random. Rare functions may be missing."
                    }
                }
            }
        }
    }
}

/// What a column is called, which records are in it, how many, and whether that is an estimate.
type Column = (&'static str, &'static str, u64, bool);

fn columns(counts: &Counts, estimated: Estimated) -> [Column; 5] {
    [
        ("running", "state=running", counts.running, estimated.running),
        ("lease over", "state=lease-over", counts.lease_over, estimated.running),
        ("interrupted", "state=interrupted", counts.interrupted, estimated.interrupted),
        ("free", "state=free", counts.free, estimated.others),
        ("done", "state=done", counts.done, estimated.others),
    ]
}

fn shown(count: u64, estimated: bool) -> String {
    if estimated { words::about(count) } else { words::number(count) }
}
