//! Every promise holds in every state of the smaller systems; `cargo run --release -p idem-model` looks at the
//! larger ones.

use idem_model::bounds::Bounds;
use idem_model::system::System;
use idem_model::trace;
use stateright::{Checker, Model};

#[test]
fn every_promise_holds_in_every_state() {
    let mut states = 0;
    for bounds in Bounds::quick() {
        let checker = System::new(bounds).checker().threads(2).spawn_bfs().join();
        let name = bounds.name;
        println!("{name}: {} states; {bounds}", checker.unique_state_count());
        states += checker.unique_state_count();
        if let Some((promise, path)) = checker.discoveries().into_iter().next() {
            panic!("{name}: {promise} does not hold:\n{}", trace::text(path));
        }
    }
    assert!(
        states > 100_000,
        "only {states} states were looked at: the bounds are too narrow to show anything"
    );
}

/// What callers that change places must not change: a system with and without the symmetry breaks the same promises,
/// and the symmetry makes it smaller.
#[test]
fn the_symmetry_only_makes_it_smaller() {
    let bounds = Bounds { ticks: 2, lease: 1, repeats: 0, one_token: true, ..Bounds::new("both", 2) };
    let states = |symmetric| {
        let checker = System { symmetric, ..System::new(bounds) }.checker().threads(2).spawn_bfs().join();
        assert!(checker.discoveries().is_empty());
        checker.unique_state_count()
    };
    let (all, fewer) = (states(false), states(true));
    assert!(fewer < all && fewer * 2 >= all - fewer / 4, "{fewer} of {all}");
}
