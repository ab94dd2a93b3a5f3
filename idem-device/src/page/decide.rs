//! What a person decides about a record: *run it again*, or *it happened, and this was its result*. Each asks on a page
//! of its own what is to be done, and is kept in the record with who and when.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use idem::Timestamp;
use idem::store::{Kind as ResultKind, Payload, Reopen, Reply, Request as Asked, Resolve, Store as _};
use maud::{Markup, html};

use super::form::{self, Form, Refused, SEAL};
use super::list::{self, moment};
use super::record::{find, value};
use super::shell::{self, Shell};
use super::visitor::Visitor;
use crate::device::Device;
use crate::look::{self, Seen, words};
use crate::problem::{Kind, Problem};
use crate::value::{MAX_NESTING, json};

const ROOT: &str = "../../";

pub(super) async fn ask_reopen(visitor: Visitor, Path(token): Path<String>) -> Response {
    ask(&visitor, &token, Decision::Reopen).await
}

pub(super) async fn ask_resolve(visitor: Visitor, Path(token): Path<String>) -> Response {
    ask(&visitor, &token, Decision::Resolve).await
}

#[derive(Debug, Clone, Copy)]
enum Decision {
    Reopen,
    Resolve,
}

impl Decision {
    fn title(self) -> &'static str {
        match self {
            Decision::Reopen => "Run it again?",
            Decision::Resolve => "It happened?",
        }
    }

    /// What a form is sealed for: one decision about one record as it was seen.
    fn purpose(self, seen: &str, fence: &str) -> String {
        format!("{self:?} {seen} {fence}")
    }
}

async fn ask(visitor: &Visitor, token: &str, decision: Decision) -> Response {
    let seen = match find(visitor, token, ROOT).await {
        Ok(seen) => seen,
        Err(response) => return *response,
    };
    if !seen.is_open() {
        return closed(visitor, &seen);
    }
    let given = Given { name: visitor.name.clone(), ..Given::default() };
    asking(visitor, &seen, decision, &given, None)
}

/// What was written into a form, to be written there again if something is wrong with it.
#[derive(Debug, Default)]
struct Given {
    name: String,
    kind: String,
    result: String,
    ttl: String,
}

fn asking(
    visitor: &Visitor,
    seen: &Seen,
    decision: Decision,
    given: &Given,
    wrong: Option<&str>,
) -> Response {
    let (token, fence) = (seen.token.to_string(), seen.record.head.fence.to_string());
    let page = Shell::new(decision.title(), ROOT).of(visitor).page(html! {
        h1 { (decision.title()) }
        @if let Some(wrong) = wrong { p.notice.bad role="alert" { (wrong) } }
        (summary(seen))
        form.decide method="post" {
            input type="hidden" name=(SEAL) value=(form::seal(visitor, &decision.purpose(&token, &fence)));
            input type="hidden" name="fence" value=(fence);
            @match decision {
                Decision::Reopen => {
                    p { "The next call runs the body again, " b { "whatever the last attempt has done" } ". Say so only if you know that it did nothing, or that doing it twice does no harm." }
                }
                Decision::Resolve => (result(seen, given)),
            }
            label { "Your name, which is kept in the record"
                input name="by" value=(given.name) required maxlength="200" autocomplete="username" spellcheck="false";
            }
            p.actions {
                button.primary type="submit" {
                    @match decision {
                        Decision::Reopen => "Run it again",
                        Decision::Resolve => "It happened",
                    }
                }
                a.button href={ "../" (token) } { "Back" }
            }
        }
    });
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    (status, page).into_response()
}

/// What is decided about.
fn summary(seen: &Seen) -> Markup {
    let (record, head, now) = (&seen.record, &seen.record.head, Timestamp::now());
    html! {
        dl.facts {
            dt { "Function" } dd { (words::clean(&record.function)) " " (list::state(seen)) }
            @if !record.scope.is_empty() { dt { "Scope" } dd { (words::clean(&record.scope)) } }
            @if let Some(arguments) = &record.arguments { dt { "Arguments" } dd { (value(&arguments.key)) } }
            dt { "Attempt" } dd { (head.number) ", began " (moment(head.began_at, now)) }
            dt { "Token" } dd { code.token { (seen.token) } }
        }
    }
}

fn result(seen: &Seen, given: &Given) -> Markup {
    let ttl = humantime::format_duration(seen.record.head.ttl).to_string();
    let ttl = if given.ttl.is_empty() { &ttl } else { &given.ttl };
    let kinds = [
        ("value", "the result below"),
        ("none", "no result: they are told “Do not submit repeated requests”"),
        ("error", "the error below, as if the function had returned it"),
    ];
    html! {
        p { "The record becomes done, and the body does not run again. From now on duplicates get" }
        fieldset {
            legend.quiet { "What duplicates get" }
            @for (kind, name) in kinds {
                label.choice {
                    input type="radio" name="kind" value=(kind) required
                        checked[given.kind == kind || given.kind.is_empty() && kind == "value"];
                    (name)
                }
            }
        }
        label { "Result, as JSON"
            textarea name="result" rows="5" spellcheck="false" placeholder="{\"receipt\": 4711}" aria-describedby="json" { (given.result) }
        }
        p #json .faint { "As the function's result looks to serde. A float has a fraction: 1.0." }
        label { "For how long" input name="ttl" value=(ttl) size="10" autocomplete="off"; }
    }
}

pub(super) async fn reopen(
    State(device): State<Arc<Device>>,
    visitor: Visitor,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    decide(&device, &visitor, &token, Decision::Reopen, request).await
}

pub(super) async fn resolve(
    State(device): State<Arc<Device>>,
    visitor: Visitor,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    decide(&device, &visitor, &token, Decision::Resolve, request).await
}

async fn decide(
    device: &Arc<Device>,
    visitor: &Visitor,
    token: &str,
    decision: Decision,
    request: Request,
) -> Response {
    let seen = match find(visitor, token, ROOT).await {
        Ok(seen) => seen,
        Err(response) => return *response,
    };
    match sent(device, visitor, &seen, decision, request).await {
        Ok(response) => response,
        Err(refused) => refused.page(ROOT),
    }
}

async fn sent(
    device: &Arc<Device>,
    visitor: &Visitor,
    seen: &Seen,
    decision: Decision,
    request: Request,
) -> Result<Response, Refused> {
    let token = seen.token.to_string();
    let form = Form::read(device, request).await?;
    form.check(visitor, &decision.purpose(&token, form.get("fence")))?;
    if !seen.is_open() {
        // Somebody else was first, or this is the same form once more.
        return Ok(closed(visitor, seen));
    }
    let changed = || {
        let detail =
            "the record has changed since you looked at it, and nothing was decided: look at it again";
        Refused::from(Problem::new(Kind::NOT_OPEN, detail))
    };
    // The store looks at this again, with what it is asked.
    if form.get("fence") != seen.record.head.fence.to_string() {
        return Err(changed());
    }
    let given = Given {
        name: form.get("by").trim().to_owned(),
        kind: form.get("kind").to_owned(),
        result: form.get("result").to_owned(),
        ttl: form.get("ttl").trim().to_owned(),
    };
    let asked = match asked(seen, decision, &given) {
        Ok(asked) => asked,
        Err(wrong) => return Ok(asking(visitor, seen, decision, &given, Some(&wrong))),
    };
    let outcome = match visitor.store().ask(asked).await {
        Ok(Reply::Reopened) => "reopened",
        Ok(Reply::Resolved) => "resolved",
        Ok(Reply::Record(_)) => return Err(changed()),
        Ok(reply) => return Err(Problem::store("decide", &look::unexpected(visitor.store(), &reply)).into()),
        Err(error) => return Err(Problem::store("decide", &error).into()),
    };
    tracing::info!(%token, namespace = %visitor.caller.namespace, by = given.name, "{outcome}");
    Ok(Redirect::to(&format!("../{token}?decided={outcome}")).into_response())
}

/// What the store is asked, or what is wrong with what was written.
fn asked(seen: &Seen, decision: Decision, given: &Given) -> Result<Asked, String> {
    if given.name.is_empty() || given.name.len() > 200 {
        return Err("Your name is missing: it is kept in the record.".into());
    }
    let (fence, by) = (seen.record.head.fence, given.name.clone());
    if matches!(decision, Decision::Reopen) {
        return Ok(Asked::Reopen(Arc::new(Reopen::new(seen.token, fence, by))));
    }
    let ttl = humantime::parse_duration(&given.ttl).map_err(|error| format!("For how long? {error}."))?;
    if ttl.is_zero() || ttl > Duration::from_secs(100 * 365 * 24 * 60 * 60) {
        return Err("For how long? More than nothing, and at most a hundred years.".into());
    }
    let mut resolve = Resolve::new(seen.token, fence, by, ttl);
    resolve.kind = match given.kind.as_str() {
        "value" => ResultKind::Value,
        "error" => ResultKind::Error,
        "none" => ResultKind::None,
        _ => return Err("What do duplicates get?".into()),
    };
    if resolve.kind == ResultKind::None {
        if !given.result.trim().is_empty() {
            return Err("There is a result, and duplicates are to get none: which of them?".into());
        }
    } else {
        let read = json::to_cbor(given.result.as_bytes(), MAX_NESTING);
        resolve.result = Payload::from(read.map_err(|error| format!("The result is not JSON: {error}."))?);
    }
    Ok(Asked::Resolve(Arc::new(resolve)))
}

/// Nobody can decide about it (any more).
fn closed(visitor: &Visitor, seen: &Seen) -> Response {
    let token = seen.token.to_string();
    let by = &seen.record.by;
    let words = html! {
        p { "The record is " (list::state(seen)) " now"
            @if !by.is_empty() { ", by " b { (words::clean(by)) } }
            ". Only of an interrupted one, or of one whose lease is over, has a person to say what happened." }
        p { a.button href={ "../" (token) } { "Show it" } }
    };
    shell::said(StatusCode::CONFLICT, "There is nothing to decide", ROOT, visitor, &words)
}
