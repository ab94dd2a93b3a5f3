//! `release`, `renew` and `interrupt`: what an attempt says while it runs or as it stops.

use idem_runtime::Timestamp;
use idem_runtime::store::{OnInterrupt, Reply, State};

use crate::world::*;

/// Every state in which a record can be that is not running by `a`.
fn not_running_by_a() -> Vec<(&'static str, World)> {
    let ways: [Way; 8] = [
        ("nothing", |_| {}),
        ("running another", |world| {
            world.claimed('b');
        }),
        ("free by itself", |world| {
            world.claimed('a');
            world.ask(&release('a'));
        }),
        ("free by another", |world| {
            world.claimed('b');
            world.ask(&release('b'));
        }),
        ("interrupted another", |world| {
            world.claimed('b');
            world.ask(&interrupt('b'));
        }),
        ("done by itself", |world| {
            let grant = world.claimed('a');
            world.ask(&complete('a', grant));
        }),
        ("done by another", |world| {
            let grant = world.claimed('b');
            world.ask(&complete('b', grant));
        }),
        ("taken over", |world| {
            world.claimed('a');
            world.lease_over();
            world.claimed('b');
        }),
    ];
    let made = |(name, way): Way| {
        let mut world = World::new();
        way(&mut world);
        (name, world)
    };
    ways.into_iter().map(made).collect()
}

#[test]
fn release_running_this_attempt() {
    for reject in [false, true] {
        let mut world = World::new();
        world.claimed_with('a', |claim| {
            if reject {
                rejecting(claim)
            }
        });
        world.pass(2 * LEASE);
        assert_eq!(world.ask(&release('a')), Reply::Released);
        let head = world.head();
        assert_eq!((head.state, head.attempt, head.tombstone), (State::Free, attempt('a'), false));
        assert_eq!((head.ended_at, head.unended), (world.now.wall, 0), "it ended");
        assert_eq!(
            head.expires,
            world.now.wall.after(TTL),
            "the claim's `ttl`, from now, under either policy"
        );
        world.pass(LEASE);
        assert_eq!(world.ask_in_vain(&release('a')), Reply::Released, "again");
    }
}

#[test]
fn release_nothing() {
    let mut world = World::new();
    assert_eq!(world.ask(&release('a')), Reply::Released);
    let head = world.head();
    assert_eq!((head.state, head.tombstone, head.attempt), (State::Free, true, attempt('a')));
    assert_eq!(head.expires, world.now.wall.after(LEASE), "for one lease");
    let now = world.now.wall;
    assert_eq!((head.first_at, head.began_at, head.ended_at), (now, now, now));
    assert_eq!(world.ask_in_vain(&release('a')), Reply::Released, "again");
    world.pass(LEASE);
    assert_eq!(world.claimed('a').number, 1, "what comes later still costs a lease, not more");
}

#[test]
fn release_expired_counts_as_nothing() {
    let mut world = World::new();
    world.claimed('b');
    world.pass(LEASE + TTL);
    assert_eq!(world.ask(&release('a')), Reply::Released);
    assert!(world.head().tombstone);
}

#[test]
fn release_anything_else() {
    for (state, mut world) in not_running_by_a().into_iter().skip(1) {
        let before = world.record.clone();
        assert_eq!(world.ask_in_vain(&release('a')), Reply::Released, "{state}");
        assert_eq!(world.record, before, "{state}");
    }
    let mut world = World::new();
    world.claimed('a');
    world.ask(&interrupt('a'));
    assert_eq!(world.ask_in_vain(&release('a')), Reply::Released, "interrupted by itself");
    assert_eq!(world.state(), State::Interrupted);
}

#[test]
fn renew_running_this_attempt() {
    let mut world = World::new();
    world.claimed('a');
    // Also after its lease, as long as nobody took over.
    for time in [LEASE / 2, LEASE / 2, 2 * LEASE] {
        world.pass(time);
        assert_eq!(world.ask(&renew('a')), Reply::Renewed);
        assert_eq!(world.head().lease, world.now.lease.after(LEASE));
        assert_eq!(world.head().expires, world.now.wall.after(LEASE).after(TTL));
        assert_eq!((world.state(), world.head().number), (State::Running, 1));
        let before = world.record.clone();
        assert_eq!(world.ask(&renew('a')), Reply::Renewed, "again");
        assert_eq!(world.record, before);
    }
    is_running(&world.ask(&claim('b')));
}

#[test]
fn renew_under_reject_stays_until_a_person_acts() {
    let mut world = World::new();
    world.claimed_with('a', rejecting);
    world.ask(&renew('a'));
    assert_eq!(world.head().expires, Timestamp::NEVER);
}

#[test]
fn renew_anything_else() {
    for (state, mut world) in not_running_by_a() {
        let reply = world.ask_in_vain(&renew('a'));
        assert!(matches!(reply, Reply::LeaseLost { .. }), "{state}: {reply:?}");
    }
    let mut world = World::new();
    world.claimed('a');
    world.ask(&interrupt('a'));
    assert_eq!(world.ask_in_vain(&renew('a')), Reply::LeaseLost { winner: None });
}

#[test]
fn interrupt_running_this_attempt() {
    let mut world = World::new();
    world.claimed('a');
    world.pass(2 * LEASE);
    assert_eq!(world.ask(&interrupt('a')), Reply::Stopped);
    let head = world.head();
    assert_eq!((head.state, head.attempt, head.unended), (State::Interrupted, attempt('a'), 1));
    assert_eq!((head.ended_at, head.expires), (world.now.wall, world.now.wall.after(TTL)));
}

#[test]
fn interrupt_under_reject_stays_until_a_person_acts() {
    let mut world = World::new();
    world.claimed_with('a', rejecting);
    world.ask(&interrupt('a'));
    assert_eq!((world.head().on_interrupt, world.head().expires), (OnInterrupt::Reject, Timestamp::NEVER));
    world.pass(1000 * TTL);
    is_interrupted(&world.ask(&claim('b')));
}

#[test]
fn interrupt_interrupted_this_attempt() {
    let mut world = World::new();
    world.claimed('a');
    world.ask(&interrupt('a'));
    world.pass(LEASE);
    for _ in 0..2 {
        assert_eq!(world.ask_in_vain(&interrupt('a')), Reply::Stopped);
    }
    assert_eq!(world.head().unended, 1, "counted once");
}

#[test]
fn interrupt_anything_else() {
    for (state, mut world) in not_running_by_a() {
        let reply = world.ask_in_vain(&interrupt('a'));
        assert!(matches!(reply, Reply::LeaseLost { .. }), "{state}: {reply:?}");
    }
}
