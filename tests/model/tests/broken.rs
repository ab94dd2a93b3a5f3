//! A rule is taken out, and the promise that fails is found.

use idem_model::bounds::Bounds;
use idem_model::broken::{self, Broken};
use idem_model::system::System;
use idem_model::trace;
use stateright::{Checker, Model};

#[test]
fn every_rule_is_missed() {
    let rules = broken::all();
    assert!(rules.len() >= 11);
    for rule in &rules {
        let Some(path) = rule.found() else {
            panic!("{}: no way to break {} was found", rule.name, rule.breaks.text());
        };
        println!("{}\nbreaks {}:\n{}", rule.name, rule.breaks.text(), trace::text(path));
    }
}

/// The systems in which rules are taken out break nothing as long as the rules are there.
#[test]
fn with_their_rules_no_promise_fails() {
    let mut systems: Vec<Bounds> = Vec::new();
    for Broken { bounds, .. } in broken::all() {
        if !systems.contains(&bounds) {
            systems.push(bounds);
        }
    }
    for bounds in systems {
        let checker = System::new(bounds).checker().threads(2).spawn_bfs().join();
        if let Some((promise, path)) = checker.discoveries().into_iter().next() {
            panic!("{bounds}: {promise} fails with every rule in place:\n{}", trace::text(path));
        }
    }
}
