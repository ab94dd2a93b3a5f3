//! The example `checkout` with a device as its store: nothing of it changes but `IDEM_STORE`.

#[path = "../../tests/common/checkout.rs"]
mod checkout;
mod common;

use std::collections::BTreeMap;

use checkout::{AGAIN, AT_ONCE, EVENTS, FIRST, Place};
use common::{Device, device};
use idem_servers::{Postgres, Redis};

/// The same counts as on a store of its own.
fn twice(device: &Device) {
    let place = Place::with_store(&device.url());
    assert_eq!(place.run(&[]).summary(), FIRST);
    place.each_event_was_charged_once();
    assert_eq!(place.run(&[]).summary(), AGAIN);
    place.each_event_was_charged_once();
}

/// The device dies in the middle, and comes back. No event is charged twice, and in the end each is charged once.
fn killed(device: &mut Device, arguments: &[&str]) {
    let place = Place::with_store(&device.url());
    place.run_through(&[], 2000, || device.kill_and_restart(arguments));
    let charges = place.charges();
    assert!(charges.values().all(|&times| times == 1), "charged twice");

    // What was in hand when it died, and could not be told to it, is refused; everything else is charged.
    let next = place.run(&[]);
    let interrupted = next.interrupted();
    assert!(interrupted.len() <= AT_ONCE, "{} interrupted", interrupted.len());
    let after = place.charges();
    assert!(after.values().all(|&times| times == 1), "charged twice");
    assert_eq!(after.len(), charges.len() + next.count("executed"));
    for (event, charged) in &interrupted {
        assert_eq!(after.contains_key(event), *charged, "{event}");
    }

    // The data asks for some attempts that fail: what did fail while the device was away may have to be tried again.
    let settled = place.run(&["--settle"]);
    assert_eq!(settled.interrupted(), BTreeMap::new());
    assert_eq!(place.charges().len(), EVENTS);
    place.each_event_was_charged_once();
    assert_eq!(place.run(&[]).summary(), AGAIN);
}

#[test]
fn over_sqlite() {
    let mut device = device(&[]);
    twice(&device);
    killed(&mut device, &[]);
}

#[test]
fn over_redis() {
    // What ends with the server's process would begin a new ledger with every run.
    let Some(server) = Redis::start_with(&[("appendonly", "yes")]) else { return };
    let url = server.url();
    let arguments = ["--store", &url];
    let mut device = device(&arguments);
    twice(&device);
    killed(&mut device, &arguments);
}

#[test]
fn over_postgresql() {
    let Some(server) = Postgres::start() else { return };
    let url = server.database();
    idem::PostgresStore::migrate_blocking(&url).unwrap();
    let arguments = ["--store", &url];
    let mut device = device(&arguments);
    twice(&device);
    killed(&mut device, &arguments);
}
