//! The public suite for stores.

mod common;

use common::{database, open, server};
use idem_runtime::conformance::Suite;

fn passes(parameters: &str) {
    let Some(server) = server() else { return };
    let url = format!("{}?namespace=shop{parameters}", database(server));
    let other = url.replace("namespace=shop", "namespace=bank");
    Suite::new().shared().elsewhere(move || open(&other)).run(|| open(&url)).assert();
}

#[test]
fn the_suite_passes() {
    passes("");
}

#[test]
fn the_suite_passes_without_notifications() {
    passes("&notify=off");
}

#[test]
fn the_suite_passes_without_prepared_statements() {
    passes("&pooled=transaction");
}

#[test]
fn the_suite_passes_with_few_connections_in_a_schema() {
    let Some(server) = server() else { return };
    let url = format!("{}?schema=the%20%22shop%22%27s&connections=2&migrate=true", server.database());
    let store = open(&url);
    let other = store.with_namespace("bank");
    Suite::new().shared().elsewhere(move || other.clone()).run(|| store.clone()).assert();
}
