//! Behind a proxy that gives each transaction another connection.

mod common;

use common::*;
use idem_postgres::PostgresStore;
use idem_runtime::conformance::Suite;
use idem_runtime::store::{Fault, Reply, Request, State, Store};
use idem_servers::PgBouncer;

#[test]
fn the_suite_passes_behind_a_proxy_that_pools_transactions() {
    let Some(server) = server() else { return };
    let Some(proxy) = PgBouncer::start(server) else { return };
    let name = name_of(&database(server)).to_owned();
    let url = format!("{}?pooled=transaction&namespace=shop", proxy.url_of(&name));
    let other = url.replace("shop", "bank");
    Suite::new().shared().elsewhere(move || open(&other)).run(|| open(&url)).assert();
}

#[test]
fn without_being_told_it_says_what_to_write() {
    let Some(server) = server() else { return };
    let Some(proxy) = PgBouncer::start(server) else { return };
    let url = proxy.url_of(name_of(&database(server)));
    let error = PostgresStore::connect_blocking(&url).unwrap_err();
    assert_eq!(error.fault(), Fault::Refused, "{error}");
    assert!(error.to_string().contains("add `pooled=transaction` to the URL"), "{error}");
}

#[test]
fn who_waits_behind_it_looks_now_and_then() {
    let Some(server) = server() else { return };
    let Some(proxy) = PgBouncer::start(server) else { return };
    let direct = database(server);
    // The tables can be made through it, too.
    let url = format!("{}?pooled=transaction&schema=shop&migrate=true", proxy.url_of(name_of(&direct)));
    let (here, there) = (open(&url), open(&url));
    let waited = claim(token(1));
    let grant = claimed(&here, &waited);
    let pending = there.ask(Request::Watch { token: token(1), limit: PATIENCE });
    let done = ask(&here, Request::Complete(complete(&waited, grant, b"one").into()));
    assert_eq!(done.unwrap(), Reply::Completed);
    match wait(pending) {
        Ok(Reply::Record(Some(record))) => assert_eq!(record.head.state, State::Done),
        other => panic!("{other:?}"),
    }
    let marks = "SELECT count(*) FROM shop.idem_record WHERE watched";
    assert_eq!(server.psql(name_of(&direct), marks), "0");
}
