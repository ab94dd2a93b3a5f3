//! What every page has around what it is about.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use idem::Text;
use maud::{DOCTYPE, Markup, html};

use super::visitor::Visitor;
use crate::problem::Problem;

/// A page, before it is known what is on it.
pub(super) struct Shell<'a> {
    title: &'a str,
    /// The way from this page to the first one: the device may stand behind a path.
    root: &'static str,
    namespace: Option<Text>,
    store: Option<String>,
}

/// The way from an address to the first page.
pub(super) fn root(path: &str) -> &'static str {
    match path.matches('/').count() {
        0 | 1 => "./",
        2 => "../",
        _ => "../../",
    }
}

/// A page as an answer.
pub(super) struct Page(Markup);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], self.0.into_string()).into_response()
    }
}

impl<'a> Shell<'a> {
    pub(super) fn new(title: &'a str, root: &'static str) -> Self {
        Shell { title, root, namespace: None, store: None }
    }

    /// With what the visitor looks at.
    pub(super) fn of(mut self, visitor: &Visitor) -> Self {
        let profile = visitor.store().profile();
        self.namespace = Some(visitor.caller.namespace.clone()).filter(|namespace| !namespace.is_empty());
        self.store = Some(format!("durability class {}", profile.durability));
        self
    }

    pub(super) fn page(self, content: Markup) -> Page {
        let Shell { title, root, namespace, store } = self;
        Page(html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="robots" content="noindex";
                    title { (title) " · idem" }
                    link rel="stylesheet" href={ (root) "assets/style.css" };
                    link rel="icon" type="image/svg+xml" href={ (root) "assets/icon.svg" };
                    script src={ (root) "assets/page.js" } defer {}
                }
                body {
                    a.skip href="#content" { "Skip to the content" }
                    header.top {
                        a.brand href=(root) { span.mark aria-hidden="true" { "1×" } "idem" }
                        @if let Some(namespace) = namespace { span.badge { "namespace " b { (namespace.as_str()) } } }
                        nav aria-label="Pages" {
                            a href=(root) { "Overview" }
                            a href={ (root) "records" } { "Records" }
                        }
                    }
                    main #content tabindex="-1" { (content) }
                    footer {
                        p {
                            "idem " (env!("CARGO_PKG_VERSION"))
                            @if let Some(store) = store { " · " (store) }
                        }
                        p {
                            a href={ (root) "v1/openapi.json" } { "Protocol" }
                            " · "
                            a href={ (root) "metrics" } { "Metrics" }
                        }
                    }
                }
            }
        })
    }
}

/// A page that says why there is none.
pub(super) fn failed(problem: &Problem, root: &'static str) -> Response {
    let title = problem.title();
    let page = Shell::new(title, root).page(html! {
        h1 { (title) }
        p.notice.bad role="alert" { (problem.detail()) }
        p { a href=(root) { "Overview" } }
    });
    (problem.status(), page).into_response()
}

/// The same with a status and words of its own.
pub(super) fn said(
    status: StatusCode,
    title: &str,
    root: &'static str,
    visitor: &Visitor,
    words: &Markup,
) -> Response {
    let page = Shell::new(title, root).of(visitor).page(html! {
        h1 { (title) }
        (words)
    });
    (status, page).into_response()
}
