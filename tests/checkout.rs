//! The example `checkout`, as people run it: twice, killed and run again, two at once.

#[path = "common/checkout.rs"]
mod checkout;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use checkout::{AGAIN, AT_ONCE, EVENTS, FIRST, Place, Printed};

#[test]
fn run_twice_it_executes_nothing_that_succeeded() {
    let place = Place::new();
    assert_eq!(place.run(&[]).summary(), FIRST);
    place.each_event_was_charged_once();
    assert_eq!(place.run(&[]).summary(), AGAIN);
    place.each_event_was_charged_once();
    assert_eq!(place.run(&["--fresh"]).summary(), FIRST);
    place.each_event_was_charged_once();
}

#[test]
fn killed_and_run_again_it_charges_no_event_twice() {
    let place = Place::new();
    assert_eq!(place.run(&[]).summary(), FIRST);
    place.kill_at(&["--fresh"], 2000);
    let before = place.charges();
    assert!(before.len() < EVENTS, "it was killed too late");
    assert!(before.values().all(|&times| times == 1));

    // The next run: what had not ended is refused, and shown, and everything else is charged.
    let next = place.run(&[]);
    let after = place.charges();
    assert!(after.values().all(|&times| times == 1), "charged twice");
    assert_eq!(after.len(), before.len() + next.count("executed"));
    let interrupted = next.interrupted();
    assert!(interrupted.len() <= AT_ONCE, "{} interrupted", interrupted.len());
    for (event, charged) in &interrupted {
        assert_eq!(after.contains_key(event), *charged, "{event}");
    }
    let lost = interrupted.values().filter(|charged| !**charged).count();
    assert_eq!(after.len(), EVENTS - lost, "an event is neither charged nor shown");

    // It stays so until a person has looked.
    let once_more = place.run(&[]);
    assert_eq!(once_more.count("executed"), 0);
    assert_eq!(once_more.interrupted(), interrupted);
    assert_eq!(place.charges(), after);

    let settled = place.run(&["--settle"]);
    assert_eq!(settled.count("executed"), lost);
    assert_eq!(settled.interrupted(), BTreeMap::new());
    place.each_event_was_charged_once();
    assert_eq!(place.run(&[]).summary(), AGAIN);
    place.each_event_was_charged_once();
}

#[test]
fn two_at_once_share_the_work() {
    let place = Place::new();
    let start =
        || place.command(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let both = [start(), start()].map(|child| Printed::new(child.wait_with_output().expect("it ends")));
    let sum = |what| both.iter().map(|printed| printed.count(what)).sum::<usize>();
    // Whichever of them comes first: each event is charged once, and fails as often as the provider is busy.
    assert_eq!((sum("executed"), sum("refused"), sum("failed")), (EVENTS, 300, 200));
    assert_eq!(sum("replayed"), 2 * 5000 - EVENTS - 300 - 200);
    place.each_event_was_charged_once();
}

#[test]
fn what_it_cannot_use_is_said() {
    let place = Place::new();
    let file = place.path().join("deliveries.jsonl");
    std::fs::write(
        &file,
        "{\"event\":\"evt_1\",\"order\":\"ord_1\",\"amount_cents\":1,\"busy\":0}\nnothing\n",
    )
    .unwrap();
    let folder = place.path().join("a-folder");
    std::fs::create_dir(&folder).unwrap();

    let mut said = BTreeSet::new();
    for (options, store) in [
        (vec!["--frsh"], ""),
        (vec![file.to_str().unwrap()], ""),
        (vec![], "mermory:"),
        (vec![], "sqlite:a-folder"),
    ] {
        let output = place.command(&options).env("IDEM_STORE", store).output().expect("it starts");
        assert!(!output.status.success(), "{options:?} {store}");
        said.insert(String::from_utf8(output.stderr).expect("UTF-8"));
    }
    let said: String = said.into_iter().collect();
    for part in [
        "no option --frsh",
        "deliveries.jsonl, line 2: ",
        "there is no store for `mermory:`",
        "sqlite:a-folder",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!place.path().join("target/checkout/ledger.jsonl").exists(), "nothing was begun");
}
