//! Many records, a page at a time.

use std::sync::Arc;

use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use idem::store::{Listed, Query, State};
use idem::{StoreError, Text, Timestamp, Token};
use maud::{Markup, html};
use serde::Deserialize;

use super::shell::{self, Shell};
use super::visitor::Visitor;
use crate::look::{self, Seen, words};
use crate::problem::Problem;
use crate::value::notation::notation;

const PAGE: usize = 50;

/// What is listed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    state: String,
    function: String,
    age: String,
    cursor: String,
    /// Only what waits for a person.
    open: String,
}

const STATES: [(&str, &str); 6] = [
    ("", "every state"),
    ("running", "running"),
    ("lease-over", "running, lease over"),
    ("interrupted", "interrupted"),
    ("free", "free"),
    ("done", "done"),
];

impl Asked {
    fn query(&self) -> Result<Query, String> {
        let mut query = Query::default();
        query.limit = PAGE;
        query.state = match self.state.as_str() {
            "" | "lease-over" => None,
            "running" => Some(State::Running),
            "interrupted" => Some(State::Interrupted),
            "free" => Some(State::Free),
            "done" => Some(State::Done),
            _ => return Err("there is no such state".into()),
        };
        query.lease_over = self.state == "lease-over";
        query.function = Some(self.function.trim())
            .filter(|text| !text.is_empty())
            .map(|text| Text::from(text.to_owned()));
        let age = Some(self.age.trim()).filter(|text| !text.is_empty());
        let read = age.map(|age| humantime::parse_duration(age).map_err(|error| format!("the age: {error}")));
        query.age = read.transpose()?;
        let cursor = Some(self.cursor.as_str()).filter(|text| !text.is_empty());
        query.cursor =
            cursor.map(str::parse::<Token>).transpose().map_err(|error| format!("the cursor: {error}"))?;
        Ok(query)
    }

    /// The address of the next page.
    fn next(&self, cursor: Token) -> String {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for (name, value) in
            [("state", &self.state), ("function", &self.function), ("age", &self.age), ("open", &self.open)]
        {
            if !value.is_empty() {
                pairs.append_pair(name, value);
            }
        }
        pairs.append_pair("cursor", &cursor.to_string());
        format!("records?{}", pairs.finish())
    }
}

/// A name and a value as part of an address.
pub(super) fn encoded(name: &str, value: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}

pub(super) async fn list(visitor: Visitor, uri: Uri) -> Response {
    let asked: Asked = super::search::query(&uri);
    let query = match asked.query() {
        Ok(query) => query,
        Err(wrong) => {
            let words = html! { (form(&asked)) p.notice.bad role="alert" { (wrong) } };
            return shell::said(StatusCode::UNPROCESSABLE_ENTITY, "Records", "./", &visitor, &words);
        }
    };
    match page(&visitor, &asked, &query).await {
        Ok(content) => Shell::new("Records", "./").of(&visitor).page(content).into_response(),
        Err(error) => shell::failed(&Problem::store("list", &error), "./"),
    }
}

async fn page(visitor: &Visitor, asked: &Asked, query: &Query) -> Result<Markup, StoreError> {
    let open = !asked.open.is_empty();
    let (records, next) = if open {
        look::open_records(visitor.store(), query).await?
    } else {
        let page = look::list(visitor.store(), query).await?;
        let over = look::leases_over(visitor.store(), &page.records).await?;
        let seen = |Listed { token, record, .. }| {
            let lease_over = query.lease_over || over.contains(&token);
            Seen { token, record: Arc::new(record), lease_over }
        };
        (page.records.into_iter().map(seen).collect(), page.next)
    };
    Ok(html! {
        h1 { @if open { "Waiting for a person" } @else { "Records" } }
        (form(asked))
        @if records.is_empty() && next.is_none() {
            p.faint { "There are no such records." }
        } @else {
            (table(&records, Timestamp::now()))
        }
        @if let Some(next) = next {
            p { a.button href=(asked.next(next)) rel="next" { "Next page" } }
        }
    })
}

fn form(asked: &Asked) -> Markup {
    html! {
        form.filter method="get" action="records" role="search" aria-label="Which records" {
            label { "State "
                select name="state" {
                    @for (value, name) in STATES {
                        option value=(value) selected[asked.state == value] { (name) }
                    }
                }
            }
            label.wide { "Function " input name="function" value=(asked.function) autocomplete="off" spellcheck="false"; }
            label { "At least as old as " input name="age" value=(asked.age) placeholder="2h" size="6" autocomplete="off"; }
            button type="submit" { "Show" }
        }
    }
}

fn table(records: &[Seen], now: Timestamp) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Records" {
            table {
                thead {
                    tr {
                        th scope="col" { "Token" }
                        th scope="col" { "State" }
                        th scope="col" { "Function" }
                        th scope="col" { "Scope" }
                        th.number scope="col" { "Attempts" }
                        th scope="col" { "First asked" }
                    }
                }
                tbody {
                    @for seen in records {
                        @let token = seen.token.to_string();
                        tr {
                            th scope="row" { a href={ "records/" (token) } { code { (&token[..12]) } } }
                            td { (state(seen)) }
                            td { (words::clean(&seen.record.function)) }
                            td { (words::clean(&seen.record.scope)) }
                            td.number { (seen.record.head.number) }
                            td { (moment(seen.record.head.first_at, now)) }
                        }
                    }
                }
            }
        }
    }
}

/// The state, as a word with a colour.
pub(super) fn state(seen: &Seen) -> Markup {
    let word = words::state(seen);
    html! { span.state.(word.replace(' ', "-")) { (word) } }
}

/// How far away a moment is, and when it was exactly.
pub(super) fn moment(moment: Timestamp, now: Timestamp) -> Markup {
    let exact = humantime::format_rfc3339_millis(moment.system_time()).to_string();
    html! { time datetime=(exact) title=(words::clock(moment)) { (words::distance(moment, now)) } }
}

/// A value on one line, and not more of it than there is room for.
pub(super) fn short(encoding: &[u8]) -> String {
    let text = notation(encoding);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > 120 { line.chars().take(119).chain(['…']).collect() } else { line }
}
