//! The public suite for stores, on the device as a store.

mod common;

use common::{device, key_file};
use idem::conformance::Suite;
use idem::{DeviceStore, Store as _};

fn suite(store: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (keys, [shop, bank]) = key_file(folder.path(), ["shop", "bank"]);
    let device = device(&["--key-file", &keys, "--store", store]);
    let open = |url: String, key: &str| DeviceStore::builder(url).key(key).connect_blocking().unwrap();
    let url = device.url();
    let elsewhere = move || open(url.clone(), &bank);
    let report = Suite::new().shared().elsewhere(elsewhere).run(|| open(device.url(), &shop));
    println!("{report}");
    report.assert();
}

#[test]
fn over_sqlite() {
    suite("sqlite:records.db");
}

#[test]
fn over_memory() {
    suite("memory:");
}

#[test]
fn with_tokens_alone() {
    let device = device(&["--store", "memory:"]);
    let store = DeviceStore::connect_blocking(&format!("{}?send=token", device.url())).unwrap();
    assert!(!store.profile().wants_arguments);
    let report = Suite::new()
        .skip("claim-keeps", "no arguments are sent, so none are recorded")
        .skip("complete-after-other-arguments", "the same")
        .run(|| store.clone());
    println!("{report}");
    report.assert();
}
