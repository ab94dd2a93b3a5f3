//! One record, with what is known of its attempts.

use axum::extract::Path;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use idem::store::{AttemptId, Kind, OnInterrupt, State};
use idem::{Timestamp, Token};
use maud::{Markup, html};
use serde::Deserialize;

use super::list::{self, moment};
use super::shell::{self, Shell};
use super::visitor::Visitor;
use crate::answer::Uuid;
use crate::cli::show;
use crate::look::{self, Seen, words};
use crate::problem::Problem;
use crate::value::notation::notation;

/// More of a value is not shown: the command shows all of it.
const MOST: usize = 20_000;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct After {
    /// What has just been decided.
    decided: String,
}

pub(super) async fn record(visitor: Visitor, Path(token): Path<String>, uri: Uri) -> Response {
    let seen = match find(&visitor, &token, "../").await {
        Ok(seen) => seen,
        Err(response) => return *response,
    };
    let After { decided } = super::search::query(&uri);
    let notice = match decided.as_str() {
        "reopened" => Some("Reopened: the next call runs the body again."),
        "resolved" => Some("Resolved: duplicates are answered from now on."),
        _ => None,
    };
    let name = words::clean(&seen.record.function);
    Shell::new(&name, "../").of(&visitor).page(content(&seen, notice, "../")).into_response()
}

/// The record of an address, or the page that says that there is none.
pub(super) async fn find(visitor: &Visitor, token: &str, root: &'static str) -> Result<Seen, Box<Response>> {
    let missing = |token: &str| {
        let words = html! {
            p { "There is no record under the token " code { (words::clean(token)) } "." }
            p.faint { "Nobody has made this call, its record has expired, or it is in another namespace." }
            p { a href=(root) { "Overview" } }
        };
        Box::new(shell::said(StatusCode::NOT_FOUND, "No such record", root, visitor, &words))
    };
    let Ok(token) = token.parse::<Token>() else { return Err(missing(token)) };
    match look::seen(visitor.store(), token).await {
        Ok(Some(seen)) => Ok(seen),
        Ok(None) => Err(missing(&token.to_string())),
        Err(error) => Err(Box::new(shell::failed(&Problem::store("get", &error), root))),
    }
}

fn content(seen: &Seen, notice: Option<&str>, root: &str) -> Markup {
    let (record, head, now) = (&seen.record, &seen.record.head, Timestamp::now());
    let token = seen.token.to_string();
    html! {
        @if let Some(notice) = notice { p.notice.good role="status" { (notice) } }
        h1 { (words::clean(&record.function)) " " (list::state(seen)) }
        p.lead { (first_up(&show::state(seen))) "." }
        @if seen.is_open() {
            p.actions {
                a.button href={ (root) "records/" (token) "/reopen" } { "Run it again…" }
                a.button href={ (root) "records/" (token) "/resolve" } { "It happened…" }
            }
        }
        (attempts(seen, now))
        section aria-labelledby="call" {
            h2 #call { "Call" }
            dl.facts {
                dt { "Token" } dd { code.token { (token) } }
                dt { "Function" } dd { (words::clean(&record.function)) }
                @if !record.scope.is_empty() { dt { "Scope" } dd { (words::clean(&record.scope)) } }
                @match &record.arguments {
                    Some(arguments) => {
                        dt { "Arguments" } dd { (value(&arguments.key)) }
                        @if *arguments.verified != [0xa0] { dt { "Verified" } dd { (value(&arguments.verified)) } }
                    }
                    None => { dt { "Arguments" } dd.faint { "not recorded" } }
                }
            }
        }
        section aria-labelledby="result" {
            h2 #result { "Result" }
            @match (head.state, head.kind) {
                (_, Kind::Value) => { (value(&record.result)) }
                (_, Kind::Error) => { p { "The function's error:" } (value(&record.result)) }
                (State::Done, _) => { p { "None is kept: duplicates are told “Do not submit repeated requests”." } }
                _ => { p.faint { "There is none yet." } }
            }
        }
        section aria-labelledby="keeping" {
            h2 #keeping { "Keeping" }
            dl.facts {
                dt { "First asked" } dd { (moment(head.first_at, now)) }
                dt { "Expires" } dd { (show::expires(seen, now)) }
                dt { "Kept for" } dd { (humantime::format_duration(head.ttl)) " after its end" }
                dt { "Generation" } dd { (head.generation) }
            }
        }
    }
}

/// The first ones are known by their number only: a record keeps the last one.
fn attempts(seen: &Seen, now: Timestamp) -> Markup {
    let (record, head) = (&seen.record, &seen.record.head);
    let resolved = head.state == State::Done && head.attempt == AttemptId::NOBODY;
    html! {
        section aria-labelledby="attempts" {
            h2 #attempts { "Attempts " span.count { (head.number) } }
            ol.attempts {
                @if head.number > 1 {
                    li {
                        p { b { @if head.number == 2 { "Attempt 1" } @else { "Attempts 1 to " (head.number - 1) } } }
                        p.faint { "Asked for first " (moment(head.first_at, now)) ". A record keeps only the last attempt." }
                    }
                }
                li {
                    p { b { "Attempt " (head.number) } " " (list::state(seen)) }
                    dl.facts {
                        dt { "Began" } dd { (moment(head.began_at, now)) }
                        @if !words::is_never(head.ended_at) && !resolved {
                            dt { (ended(seen)) } dd { (moment(head.ended_at, now)) }
                        }
                        dt { "Fence" } dd { (head.fence) }
                        @if head.attempt != AttemptId::NOBODY { dt { "Attempt id" } dd { code { (Uuid(head.attempt)) } } }
                        dt { "Did not end" } dd { (head.unended) " of " (head.number) }
                        dt { "If it does not end" }
                        dd { @if head.on_interrupt == OnInterrupt::Reject { "a person says what happened" } @else { "the next call runs the body again" } }
                    }
                }
                @if !record.by.is_empty() {
                    li {
                        p { b { (first_up(show::decided(seen))) " " (words::clean(&record.by)) } }
                        @if head.state == State::Done || head.state == State::Free {
                            p.faint { (moment(head.ended_at, now)) }
                        }
                    }
                }
            }
        }
    }
}

fn ended(seen: &Seen) -> &'static str {
    match seen.record.head.state {
        State::Interrupted => "Was interrupted",
        State::Free if !seen.record.by.is_empty() => "Reopened",
        State::Free => "Gave the token back",
        _ => "Ended",
    }
}

/// A value, as much of it as there is room for.
pub(super) fn value(encoding: &[u8]) -> Markup {
    let text = notation(encoding);
    let more = text.len() > MOST;
    let shown: String = if more { text.chars().take(MOST).collect() } else { text };
    html! {
        pre tabindex="0" { code { (shown) @if more { "\n…" } } }
        @if more { p.faint { "This is its beginning; `idem show` shows all of it." } }
    }
}

fn first_up(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
