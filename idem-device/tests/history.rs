//! The history checker on a device whose callers are processes: they are killed and stopped, and the device is killed
//! and started again.

mod common;

use std::sync::Mutex;

use common::device;
use idem::DeviceStore;
use idem::conformance::history::{self, History};

const STORE: [&str; 2] = ["--store", "sqlite:records.db"];

#[test]
fn whatever_dies() {
    history::worker(DeviceStore::connect_blocking);
    let device = device(&STORE);
    let url = device.url();
    let device = Mutex::new(device);
    let again = || history::this_test("whatever_dies");
    let report = History::new()
        .kills(10)
        .stops(5)
        .lost(100)
        .disturb("the device killed", move || device.lock().unwrap().kill_and_restart(&STORE))
        .processes(&url, again);
    println!("{report}");
    report.assert();
    assert!(report.count("bodies run again") > 0, "{report}");
}
