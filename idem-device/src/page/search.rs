//! Search: by token, or by scope, function and arguments.

use std::sync::Arc;

use axum::extract::{Query as InQuery, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use idem::Token;
use maud::{Markup, html};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::home;
use super::shell::{self, Shell};
use super::visitor::Visitor;
use crate::device::Device;
use crate::look::{self, Found};
use crate::problem::Problem;
use crate::value::{MAX_NESTING, json};

/// What is looked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    token: String,
    scope: String,
    function: String,
    arguments: String,
}

impl Asked {
    fn by_call(&self) -> bool {
        self.token.trim().is_empty() && !(self.function.is_empty() && self.arguments.is_empty())
    }
}

/// What an address says; what it does not say is empty.
pub(super) fn query<T: DeserializeOwned + Default>(uri: &Uri) -> T {
    InQuery::try_from_uri(uri).map(|InQuery(query)| query).unwrap_or_default()
}

pub(super) fn form(asked: &Asked, wrong: Option<&str>, root: &str) -> Markup {
    let described = wrong.map(|_| "wrong");
    html! {
        form.search method="get" action={ (root) "find" } role="search" aria-label="A record" {
            div.row {
                label for="token" .quiet { "Token, or its first digits" }
                input #token name="token" value=(asked.token) placeholder="Token, or its first digits"
                    autocomplete="off" spellcheck="false" autocapitalize="off" aria-describedby=[described];
                button type="submit" { "Find" }
            }
            @if let Some(wrong) = wrong { p #wrong .notice.bad role="alert" { (wrong) } }
            details open[asked.by_call()] {
                summary { "By function, scope and arguments" }
                div.fields {
                    label { "Function" input name="function" value=(asked.function) placeholder="orders.charge" autocomplete="off" spellcheck="false"; }
                    label { "Scope" input name="scope" value=(asked.scope) placeholder="none" autocomplete="off" spellcheck="false"; }
                    label.wide { "Arguments, a JSON array" input name="arguments" value=(asked.arguments) placeholder="[7, 1250]" autocomplete="off" spellcheck="false"; }
                    button type="submit" { "Find" }
                }
            }
        }
    }
}

/// Leads to the record that is looked for.
pub(super) async fn find(State(device): State<Arc<Device>>, visitor: Visitor, uri: Uri) -> Response {
    let asked: Asked = query(&uri);
    let found = if asked.by_call() { by_call(&asked) } else { by_token(&visitor, &asked).await };
    let wrong = match found {
        Ok(token) => return Redirect::to(&format!("records/{token}")).into_response(),
        Err(Wrong::Words(wrong)) => wrong,
        Err(Wrong::Store(problem)) => return shell::failed(&problem, "./"),
    };
    match home::content(&device, &visitor, &asked, Some(&wrong)).await {
        Ok(content) => {
            let page = Shell::new("Not found", "./").of(&visitor).page(content);
            (StatusCode::NOT_FOUND, page).into_response()
        }
        Err(error) => shell::failed(&Problem::store("list", &error), "./"),
    }
}

enum Wrong {
    Words(String),
    Store(Problem),
}

fn by_call(asked: &Asked) -> Result<Token, Wrong> {
    let words = |words: String| Err(Wrong::Words(words));
    if asked.function.is_empty() {
        return words("Which function?".into());
    }
    let arguments = if asked.arguments.trim().is_empty() { "[]" } else { &asked.arguments };
    match json::to_cbor(arguments.as_bytes(), MAX_NESTING + 1) {
        Ok(encoding) if encoding[0] >> 5 == 4 => Ok(Token::of(&asked.scope, &asked.function, &encoding)),
        Ok(_) => words("The arguments are one JSON array, such as [7, 1250].".into()),
        Err(error) => words(format!("The arguments are not JSON: {error}.")),
    }
}

async fn by_token(visitor: &Visitor, asked: &Asked) -> Result<Token, Wrong> {
    // A whole token leads to its page, which says if there is no record.
    if let Ok(token) = asked.token.trim().to_ascii_lowercase().parse() {
        return Ok(token);
    }
    match look::by_digits(visitor.store(), &asked.token).await {
        Ok(Found::One(seen)) => Ok(seen.token),
        Ok(Found::None) => Err(Wrong::Words("No token begins with these digits.".into())),
        Ok(Found::Several(one, other)) => {
            Err(Wrong::Words(format!("Several tokens begin with these digits, such as {one} and {other}.")))
        }
        Ok(Found::NoDigits) => {
            Err(Wrong::Words("A token is 64 hexadecimal digits; at least the first 4 are needed.".into()))
        }
        Err(error) => Err(Wrong::Store(Problem::store("list", &error))),
    }
}
