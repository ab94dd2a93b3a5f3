//! The public suite for stores.

mod common;

use common::open;
use idem_runtime::conformance::Suite;
use idem_sqlite::{SqliteStore, Synchronous};

#[test]
fn the_suite_passes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let other = path.clone();
    let elsewhere = move || SqliteStore::builder(&other).namespace("other").open().unwrap();
    Suite::new().shared().elsewhere(elsewhere).run(|| open(&path)).assert();
}

#[test]
fn the_suite_passes_with_synchronous_normal_and_in_a_namespace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let shop = SqliteStore::builder(&path).synchronous(Synchronous::Normal).namespace("shop").open().unwrap();
    let bank = shop.with_namespace("bank");
    Suite::new().shared().elsewhere(move || bank.clone()).run(|| shop.clone()).assert();
}
