//! `complete`: the body ended.

use idem_runtime::Timestamp;
use idem_runtime::store::{Arguments, Grant, Kind, Reply, State};

use crate::world::*;

#[test]
fn running_this_attempt() {
    let mut world = World::new();
    let grant = world.claimed('a');
    world.pass(LEASE / 2);
    assert_eq!(world.ask(&complete('a', grant)), Reply::Completed);
    let record = world.record.clone().unwrap();
    let head = record.head;
    assert_eq!((head.state, head.kind, head.attempt), (State::Done, Kind::Value, attempt('a')));
    assert_eq!((head.ttl, head.ended_at), (2 * TTL, world.now.wall));
    assert_eq!(head.expires, world.now.wall.after(2 * TTL), "its own `ttl`, from now");
    assert_eq!((head.fence, head.generation, head.number), (grant.fence, grant.generation, 1));
    assert_eq!(&*record.result, b"result of a");
    assert_eq!(
        (&*record.scope, &*record.function, &*record.digest),
        ("tenant", "shop::charge", &b"digest"[..])
    );
}

#[test]
fn running_this_attempt_after_its_lease() {
    let mut world = World::new();
    let grant = world.claimed_with('a', rejecting);
    world.pass(10 * LEASE);
    assert_eq!(world.ask(&complete('a', grant)), Reply::Completed);
    assert_eq!(world.head().expires, world.now.wall.after(2 * TTL));
}

#[test]
fn running_this_attempt_keeps_its_arguments() {
    let arguments = Arguments::new(vec![0x81, 7], vec![0xa0]);
    let mut world = World::new();
    let grant = world.claimed_with('a', |claim| {
        claim.arguments = Some(arguments.clone());
        claim.record_arguments = true;
    });
    world.ask(&complete('a', grant));
    assert_eq!(world.record.unwrap().arguments, Some(arguments));
}

#[test]
fn nothing() {
    let mut world = World::new();
    assert_eq!(world.ask(&complete('a', Grant::new(42, 40, 3))), Reply::Completed);
    let record = world.record.clone().unwrap();
    let head = record.head;
    assert_eq!((head.state, head.attempt, head.kind), (State::Done, attempt('a'), Kind::Value));
    assert_eq!((head.fence, head.generation, head.number), (42, 40, 3));
    assert_eq!((head.first_at, head.expires), (world.now.wall, world.now.wall.after(2 * TTL)));
    assert_eq!(head.began_at, world.now.wall);
    assert_eq!((&*record.function, &*record.digest), ("shop::charge", &b"digest"[..]));
    let finished = done(world.ask(&claim('b')));
    assert_eq!((&*finished.result, finished.generation), (&b"result of a"[..], 40));
    // With the digest, too: other arguments are still told apart.
    assert_eq!(world.ask(&claim_with('b', other_digest)), Reply::Mismatch { digest: b"digest".to_vec() });
}

#[test]
fn expired_counts_as_nothing() {
    let mut world = World::new();
    let grant = world.claimed('a');
    world.pass(LEASE + TTL);
    let later = complete_with('a', grant, |complete| complete.digest = b"other".to_vec());
    assert_eq!(world.ask(&later), Reply::Completed);
    let record = world.record.clone().unwrap();
    assert_eq!((record.head.first_at, &*record.digest, &*record.scope), (world.now.wall, &b"other"[..], ""));
}

#[test]
fn free_or_interrupted_whoevers() {
    let ways: [Way; 5] = [
        ("free by itself", |world| {
            world.ask(&release('a'));
        }),
        ("interrupted by itself", |world| {
            world.ask(&interrupt('a'));
        }),
        ("free by another", |world| {
            world.lease_over();
            world.claimed('b');
            world.ask(&release('b'));
        }),
        ("interrupted by another", |world| {
            world.lease_over();
            world.claimed('b');
            world.ask(&interrupt('b'));
        }),
        ("reopened", |world| {
            world.lease_over();
            let fence = world.head().fence;
            world.ask(&reopen(fence));
        }),
    ];
    for (state, way) in ways {
        let mut world = World::new();
        let grant = world.claimed('a');
        way(&mut world);
        let (fence, number) = (world.head().fence, world.head().number);
        assert_eq!(world.ask(&complete('a', grant)), Reply::Completed, "{state}");
        assert_eq!((world.state(), world.head().attempt), (State::Done, attempt('a')), "{state}");
        assert_eq!(world.head().generation, grant.generation, "{state}");
        assert_eq!((world.head().fence, world.head().number), (fence, number), "{state}: they do not shrink");
        assert_eq!(world.head().expires, world.now.wall.after(2 * TTL), "{state}");
        assert_eq!(&*done(world.ask(&claim('c'))).result, b"result of a", "{state}");
    }
}

#[test]
fn free_by_a_release_that_found_nothing() {
    let mut world = World::new();
    world.ask(&release('a'));
    assert_eq!(world.ask(&complete('b', Grant::new(42, 40, 3))), Reply::Completed);
    assert!(!world.head().tombstone);
    assert_eq!((world.head().fence, world.head().generation, world.head().number), (42, 40, 3));
    assert_eq!(&*done(world.ask(&claim('a'))).result, b"result of b");
}

#[test]
fn freed_with_other_arguments_since() {
    // `a` was given up, the call was tried with other arguments and freed; then `a` completes after all.
    let mut world = World::new();
    let record_arguments = |argument: u8| {
        move |claim: &mut idem_runtime::store::Claim| {
            claim.arguments = Some(Arguments::new(vec![0x81, argument], vec![0xa0]));
            claim.record_arguments = true;
            claim.digest = vec![argument];
        }
    };
    let grant = world.claimed_with('a', record_arguments(1));
    world.ask(&release('a'));
    let second = world.claimed_with('b', record_arguments(2));
    assert_ne!(second.generation, grant.generation);
    world.ask(&release('b'));
    world.ask(&complete_with('a', grant, |complete| complete.digest = vec![1]));
    let record = world.record.clone().unwrap();
    assert_eq!((record.digest, record.arguments), (vec![1], None), "not the arguments of `b`");
    assert_eq!(record.head.generation, grant.generation);
}

#[test]
fn done_by_this_attempt() {
    let mut world = World::new();
    let grant = world.claimed('a');
    world.ask(&complete('a', grant));
    world.pass(TTL);
    for _ in 0..2 {
        let again = complete_with('a', grant, |complete| complete.result = b"another".to_vec().into());
        assert_eq!(world.ask_in_vain(&again), Reply::Completed);
    }
}

#[test]
fn running_another_attempt() {
    let mut world = World::new();
    let grant = world.claimed('a');
    world.lease_over();
    world.claimed('b');
    assert_eq!(lease_lost(world.ask_in_vain(&complete('a', grant))), None);
    // Also if that one's lease is over.
    world.lease_over();
    assert_eq!(lease_lost(world.ask_in_vain(&complete('a', grant))), None);
}

#[test]
fn done_by_another_attempt() {
    let mut world = World::new();
    let grant = world.claimed('a');
    world.lease_over();
    let second = world.claimed('b');
    world.ask(&complete('b', second));
    for _ in 0..2 {
        let winner = lease_lost(world.ask_in_vain(&complete('a', grant))).expect("the winner is known");
        assert_eq!((&*winner.result, winner.attempt), (&b"result of b"[..], attempt('b')));
    }
}

#[test]
fn done_by_nobody() {
    let mut world = World::new();
    let grant = world.claimed('a');
    world.lease_over();
    world.ask(&resolve(grant.fence));
    let winner = lease_lost(world.ask_in_vain(&complete('a', grant))).expect("the winner is known");
    assert_eq!(&*winner.result, b"by hand");
}

#[test]
fn a_result_that_is_not_kept() {
    let mut world = World::new();
    let grant = world.claimed('a');
    world.ask(&complete_with('a', grant, |complete| {
        complete.kind = Kind::None;
        complete.result = Default::default();
    }));
    let finished = done(world.ask(&claim('b')));
    assert_eq!((finished.kind, finished.result.len()), (Kind::None, 0));
}

#[test]
fn it_does_not_outlive_its_ttl_whatever_the_policy() {
    let mut world = World::new();
    let grant = world.claimed_with('a', rejecting);
    world.ask(&complete('a', grant));
    assert_ne!(world.head().expires, Timestamp::NEVER);
    world.pass(2 * TTL);
    assert_eq!(world.claimed('b').number, 1);
}
