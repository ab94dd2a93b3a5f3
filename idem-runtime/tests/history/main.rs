//! The history checker: it is silent about stores that keep the promises, and finds what is broken in those that do not.

mod broken;
mod held;

use idem_runtime::conformance::history::History;
use idem_runtime::store::MemoryStore;

#[test]
fn memory() {
    let store = MemoryStore::new();
    let report = History::new().kills(12).stops(8).lost(200).tasks(|| store.clone());
    println!("{report}");
    report.assert();
    assert!(
        report.count("bodies run again") > 0 && report.count("duplicates of done records") > 0,
        "{report}"
    );
}
