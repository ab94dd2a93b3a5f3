//! `claim`: may this attempt run the body?

use std::time::Duration;

use idem_runtime::Timestamp;
use idem_runtime::store::{Arguments, Grant, Kind, OnInterrupt, Reply, State};

use crate::world::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn nothing() {
    let mut world = World::new();
    assert_eq!(world.claimed('a'), Grant::new(101, 101, 1));
    let record = world.record.clone().unwrap();
    let head = record.head;
    assert_eq!((head.state, head.kind, head.tombstone), (State::Running, Kind::None, false));
    assert_eq!((head.attempt, head.number, head.unended), (attempt('a'), 1, 0));
    assert_eq!((head.fence, head.generation), (101, 101));
    assert_eq!((head.lease, head.ttl), (world.now.lease.after(LEASE), TTL));
    assert_eq!(
        (head.first_at, head.began_at, head.ended_at),
        (world.now.wall, world.now.wall, Timestamp::NEVER)
    );
    assert_eq!(head.expires, world.now.wall.after(LEASE).after(TTL));
    assert_eq!(
        (&*record.scope, &*record.function, &*record.digest),
        ("tenant", "shop::charge", &b"digest"[..])
    );
    assert_eq!((record.arguments, record.result.len(), &*record.by), (None, 0, ""));
}

#[test]
fn nothing_under_reject_stays_until_a_person_acts() {
    let mut world = World::new();
    world.claimed_with('a', rejecting);
    assert_eq!((world.head().on_interrupt, world.head().expires), (OnInterrupt::Reject, Timestamp::NEVER));
    world.pass(LEASE + 1000 * TTL);
    is_interrupted(&world.ask(&claim('b')));
}

#[test]
fn arguments_are_kept_only_where_they_are_to_be_recorded() {
    let arguments = Arguments::new(vec![0x81, 7], vec![0xa0]);
    for recorded in [false, true] {
        let mut world = World::new();
        world.claimed_with('a', |claim| {
            claim.arguments = Some(arguments.clone());
            claim.record_arguments = recorded;
        });
        assert_eq!(world.record.unwrap().arguments, recorded.then(|| arguments.clone()));
    }
}

#[test]
fn expired() {
    // Done, free, interrupted and running with its lease over: each is gone when its time is over, not before.
    type Expires = (&'static str, fn(&mut World) -> Duration);
    let ways: [Expires; 4] = [
        ("done", |world| {
            let grant = world.claimed('a');
            world.ask(&complete('a', grant));
            2 * TTL
        }),
        ("free", |world| {
            world.claimed('a');
            world.ask(&release('a'));
            TTL
        }),
        ("interrupted", |world| {
            world.claimed('a');
            world.ask(&interrupt('a'));
            TTL
        }),
        ("running", |world| {
            world.claimed('a');
            LEASE + TTL
        }),
    ];
    for (state, way) in ways {
        let mut world = World::new();
        let ttl = way(&mut world);
        world.pass(ttl - Duration::from_micros(1));
        let before = world.record.clone();
        assert!(before.is_some(), "{state}");
        assert_eq!(world.ask(&GET), Reply::Record(before.map(Into::into)), "{state}: not yet");
        world.pass(Duration::from_micros(1));
        let grant = world.claimed('b');
        assert_eq!(grant, Grant::new(102, 102, 1), "{state}: new fence and generation, attempt 1");
        assert_eq!(world.head().first_at, world.now.wall, "{state}");
    }
}

#[test]
fn expired_by_the_wall_clock_but_with_a_lease_is_not_gone() {
    let mut world = World::new();
    world.claimed('a');
    world.now.wall = world.now.wall.after(1000 * TTL);
    is_running(&world.ask_in_vain(&claim('b')));
}

#[test]
fn expired_still_means_a_higher_fence() {
    // Where fences come from a clock that went back.
    let mut world = World::new();
    let first = world.claimed('a');
    world.ask(&complete('a', first));
    world.pass(2 * TTL);
    world.fence = 5;
    let second = world.claimed('b');
    assert!(second.fence > first.fence && second.generation == second.fence, "{second:?}");
}

#[test]
fn running_this_attempt() {
    let mut world = World::new();
    let grant = world.claimed('a');
    world.pass(9 * SECOND);
    assert_eq!(world.claimed('a'), grant, "the same fence");
    assert_eq!(world.head().lease, world.now.lease.after(LEASE), "the lease starts anew");
    assert_eq!(world.head().expires, world.now.wall.after(LEASE).after(TTL));
    assert_eq!((world.head().number, world.head().unended), (1, 0));
    // Also after its lease, if nobody took over.
    world.pass(LEASE + SECOND);
    assert_eq!(world.claimed('a'), grant);
    world.pass(9 * SECOND);
    is_running(&world.ask(&claim('b')));
    assert_eq!(world.fence, grant.fence, "no fence was taken");
}

#[test]
fn free_by_this_attempt() {
    let mut world = World::new();
    world.claimed('a');
    world.ask(&release('a'));
    for _ in 0..2 {
        assert_eq!(world.ask_in_vain(&claim('a')), Reply::LeaseLost { winner: None });
    }
}

#[test]
fn interrupted_by_this_attempt() {
    let mut world = World::new();
    world.claimed('a');
    world.ask(&interrupt('a'));
    assert_eq!(world.ask_in_vain(&claim('a')), Reply::LeaseLost { winner: None });
}

#[test]
fn free_by_a_release_of_this_attempt_that_found_nothing() {
    let mut world = World::new();
    world.ask(&release('a'));
    assert_eq!(world.ask_in_vain(&claim('a')), Reply::LeaseLost { winner: None });
}

#[test]
fn free_by_a_release_of_another_attempt_that_found_nothing() {
    let mut world = World::new();
    world.ask(&release('a'));
    world.pass(SECOND);
    // Nothing of the late attempt counts: neither policy, number nor digest.
    let grant = world.claimed_with('b', rejecting);
    assert_eq!(grant, Grant::new(101, 101, 1));
    assert_eq!((world.head().tombstone, world.head().first_at), (false, world.now.wall));
    assert_eq!(world.record.unwrap().digest, b"digest");
}

/// Free, and an earlier attempt did not end.
fn free_after_one_that_did_not_end(world: &mut World) {
    world.claimed('a');
    world.ask(&interrupt('a'));
    world.claimed('b');
    world.ask(&release('b'));
    assert_eq!((world.state(), world.head().unended), (State::Free, 1));
}

#[test]
fn free_an_earlier_attempt_did_not_end_reject() {
    // The claim's policy.
    let mut world = World::new();
    free_after_one_that_did_not_end(&mut world);
    let reply = world.ask_in_vain(&claim_with('c', rejecting));
    assert_eq!(reply, Reply::Interrupted { since: world.head().began_at, number: 2 });
    // Whatever the digest.
    is_interrupted(&world.ask_in_vain(&claim_with('c', |claim| {
        rejecting(claim);
        other_digest(claim);
    })));
    // The record's policy.
    let mut world = World::new();
    world.claimed_with('a', rejecting);
    world.ask(&interrupt('a'));
    let fence = world.head().fence;
    world.ask(&reopen(fence));
    world.claimed('b');
    world.lease_over();
    is_interrupted(&world.ask(&claim('c')));
    world.ask(&release('b'));
    assert_eq!(world.head().unended, 0, "`b` ended after all");
    assert_eq!(world.claimed('c').number, 3);
}

#[test]
fn free_an_earlier_attempt_did_not_end_retry() {
    let mut world = World::new();
    free_after_one_that_did_not_end(&mut world);
    assert_eq!(world.claimed('c'), Grant::new(103, 101, 3));
    assert_eq!(world.head().unended, 1, "it still counts");
}

#[test]
fn free_attempts_used_up() {
    let mut world = World::new();
    free_after_one_that_did_not_end(&mut world);
    assert_eq!(world.claimed_with('c', |claim| claim.max_attempts = Some(2)).number, 3);
    world.ask(&release('c'));
    is_interrupted(&world.ask(&claim_with('d', |claim| claim.max_attempts = Some(1))));
    // The policy has become `reject`; the record still expires like any free one.
    is_interrupted(&world.ask_in_vain(&claim('d')));
    assert_eq!(world.head().expires, world.now.wall.after(TTL));
}

#[test]
fn free_same_digest() {
    let mut world = World::new();
    let first = world.claimed('a');
    world.ask(&release('a'));
    world.pass(SECOND);
    let second = world.claimed_with('b', |claim| claim.ttl = 5 * TTL);
    assert_eq!(second, Grant::new(first.fence + 1, first.generation, 2));
    let head = world.head();
    assert_eq!((head.attempt, head.ttl, head.ended_at), (attempt('b'), 5 * TTL, Timestamp::NEVER));
    assert_eq!((head.first_at.after(SECOND), head.began_at), (world.now.wall, world.now.wall));
    assert_eq!((head.lease, head.unended), (world.now.lease.after(LEASE), 0));
    // An `Err` does not count as an attempt, however often.
    for letter in 'b'..'h' {
        world.ask(&release(letter));
        world.claimed_with((letter as u8 + 1) as char, |claim| claim.max_attempts = Some(1));
    }
}

#[test]
fn free_another_digest() {
    let mut world = World::new();
    world.claimed('a');
    world.ask(&release('a'));
    let second = world.claimed_with('b', other_digest);
    assert_eq!(second, Grant::new(102, 102, 2), "other verified arguments: a new generation");
    assert_eq!(world.record.as_ref().unwrap().digest, b"other");
    // Nothing of the freed call is left.
    assert_eq!(world.ask(&claim('c')), Reply::Mismatch { digest: b"other".to_vec() });
}

#[test]
fn free_fences_grow_though_their_source_stands_still() {
    let mut world = World::new();
    let first = world.claimed('a');
    world.ask(&release('a'));
    world.fence = 5;
    assert!(world.claimed('b').fence > first.fence);
}

#[test]
fn digest_differs() {
    let ways: [Way; 4] = [
        ("running", |world| {
            world.claimed('a');
        }),
        ("running, lease over", |world| {
            world.claimed('a');
            world.lease_over();
        }),
        ("interrupted", |world| {
            world.claimed('a');
            world.ask(&interrupt('a'));
        }),
        ("done", |world| {
            let grant = world.claimed('a');
            world.ask(&complete('a', grant));
        }),
    ];
    let mismatch = Reply::Mismatch { digest: b"digest".to_vec() };
    for (state, way) in ways {
        let mut world = World::new();
        way(&mut world);
        assert_eq!(world.ask_in_vain(&claim_with('b', other_digest)), mismatch, "{state}");
        let wrong = claim_with('b', |claim| {
            other_digest(claim);
            claim.accept = Some(b"a third".to_vec());
        });
        assert_eq!(world.ask_in_vain(&wrong), mismatch, "{state}: what is accepted is not the record's");
        let accepting = claim_with('b', |claim| {
            other_digest(claim);
            claim.accept = Some(b"digest".to_vec());
        });
        let accepted = world.ask(&accepting);
        assert_ne!(accepted, mismatch, "{state}: accepted");
        if let Reply::Claimed(grant) = accepted {
            assert_eq!((grant.generation, grant.number), (101, 2), "{state}: same generation");
        }
    }
    // Of one attempt, sent again, it does not matter: it is the attempt's own record.
    let mut world = World::new();
    let grant = world.claimed('a');
    assert_eq!(world.claimed_with('a', other_digest), grant);
}

#[test]
fn running_lease_not_over() {
    let mut world = World::new();
    world.claimed('a');
    let since = world.now.wall;
    world.pass(LEASE - Duration::from_micros(1));
    let left = Duration::from_micros(1);
    assert_eq!(world.ask_in_vain(&claim('b')), Reply::Running { since, lease_left: left });
    // Nor does a stricter claim leave a trace.
    is_running(&world.ask_in_vain(&claim_with('b', rejecting)));
    is_running(&world.ask_in_vain(&claim_with('b', |claim| claim.max_attempts = Some(1))));
}

#[test]
fn running_lease_over_retry() {
    let mut world = World::new();
    world.claimed('a');
    world.lease_over();
    assert_eq!(world.claimed('b'), Grant::new(102, 101, 2));
    let head = world.head();
    assert_eq!((head.attempt, head.unended, head.state), (attempt('b'), 1, State::Running));
    assert_eq!(head.lease, world.now.lease.after(LEASE));
}

#[test]
fn running_in_another_run_of_the_clock_is_a_lease_that_is_over() {
    let mut world = World::new();
    world.claimed('a');
    world.now.lease.run = 2;
    world.now.lease.micros = 0;
    assert_eq!(world.claimed('b').number, 2);
}

#[test]
fn interrupted_retry() {
    let mut world = World::new();
    world.claimed('a');
    world.ask(&interrupt('a'));
    assert_eq!(world.claimed('b'), Grant::new(102, 101, 2));
    assert_eq!((world.head().unended, world.head().attempt), (1, attempt('b')));
}

#[test]
fn lease_over_or_interrupted_reject() {
    for ended in [false, true] {
        // The record's policy, and the claim's.
        for (first, second) in [(true, false), (false, true)] {
            let mut world = World::new();
            world.claimed_with('a', |claim| {
                if first {
                    rejecting(claim)
                }
            });
            world.lease_over();
            if ended {
                world.ask(&interrupt('a'));
            }
            let before = world.state();
            let began_at = world.head().began_at;
            let reply = world.ask(&claim_with('b', |claim| {
                if second {
                    rejecting(claim)
                }
            }));
            assert_eq!(reply, Reply::Interrupted { since: began_at, number: 1 });
            assert_eq!(world.state(), before, "the state stays");
            assert_eq!(world.head().attempt, attempt('a'));
            assert_eq!(world.head().on_interrupt, OnInterrupt::Reject, "the stricter policy is kept");
            assert_eq!(world.head().expires, Timestamp::NEVER, "until a person acts");
            is_interrupted(&world.ask_in_vain(&claim('c')));
            world.pass(1000 * TTL);
            is_interrupted(&world.ask_in_vain(&claim('c')));
        }
    }
}

#[test]
fn lease_over_attempts_used_up() {
    let two = |claim: &mut idem_runtime::store::Claim| claim.max_attempts = Some(2);
    for ended in [false, true] {
        let mut world = World::new();
        world.claimed_with('a', two);
        world.lease_over();
        if ended {
            world.ask(&interrupt('a'));
        }
        assert_eq!(world.claimed_with('b', two).number, 2);
        world.lease_over();
        if ended {
            world.ask(&interrupt('b'));
        }
        let reply = world.ask(&claim_with('c', two));
        assert_eq!(reply, Reply::Interrupted { since: world.head().began_at, number: 2 });
        assert_eq!(world.head().on_interrupt, OnInterrupt::Reject, "from now on the policy is `reject`");
        is_interrupted(&world.ask_in_vain(&claim('c')));
    }
}

#[test]
fn refused_its_owner_may_still_end_it() {
    let refused = || {
        let mut world = World::new();
        let grant = world.claimed('a');
        world.lease_over();
        is_interrupted(&world.ask(&claim_with('b', rejecting)));
        (world, grant)
    };
    let (mut world, grant) = refused();
    assert_eq!(world.ask(&complete('a', grant)), Reply::Completed);
    let (mut world, _) = refused();
    assert_eq!(world.ask(&release('a')), Reply::Released);
    assert_eq!((world.state(), world.head().unended), (State::Free, 0));
    let (mut world, _) = refused();
    assert_eq!(world.ask(&renew('a')), Reply::Renewed);
    is_running(&world.ask(&claim('b')));
    assert_eq!(world.head().expires, Timestamp::NEVER);
    let (mut world, _) = refused();
    assert_eq!(world.ask(&interrupt('a')), Reply::Stopped);
    assert_eq!((world.state(), world.head().expires), (State::Interrupted, Timestamp::NEVER));
}

#[test]
fn a_record_that_rejects_makes_the_next_attempt_reject() {
    let mut world = World::new();
    world.claimed_with('a', rejecting);
    world.ask(&release('a'));
    world.claimed('b');
    assert_eq!((world.head().on_interrupt, world.head().expires), (OnInterrupt::Reject, Timestamp::NEVER));
}

#[test]
fn done_record() {
    let mut world = World::new();
    let grant = world.claimed('a');
    let first_at = world.now.wall;
    world.pass(SECOND);
    world.ask(&complete('a', grant));
    let completed_at = world.now.wall;
    world.pass(SECOND);
    for letter in ['b', 'a'] {
        let finished = done(world.ask_in_vain(&claim_with(letter, rejecting)));
        assert_eq!((&*finished.result, finished.kind), (&b"result of a"[..], Kind::Value));
        assert_eq!((finished.attempt, finished.generation), (attempt('a'), grant.generation));
        assert_eq!((finished.first_at, finished.completed_at), (first_at, completed_at));
        assert_eq!(finished.expires_at, completed_at.after(2 * TTL));
    }
}

#[test]
fn numbers_do_not_overflow() {
    let mut world = World::new();
    world.claimed('a');
    let head = &mut world.record.as_mut().unwrap().head;
    (head.number, head.unended, head.fence) = (u32::MAX, u32::MAX, u64::MAX);
    world.lease_over();
    assert_eq!(world.claimed('b').number, u32::MAX);
    world.ask(&interrupt('b'));
    assert_eq!(world.head().unended, u32::MAX);
    let mut world = World::new();
    world.claimed_with('a', |claim| (claim.lease, claim.ttl) = (Duration::MAX, Duration::MAX));
    assert_eq!(world.head().expires, Timestamp::NEVER);
    world.pass(1000 * TTL);
    is_running(&world.ask(&claim('b')));
}

#[test]
fn no_verified_arguments_are_other_ones() {
    for (one, other) in [(&b"digest"[..], &b""[..]), (b"", b"digest")] {
        let mut world = World::new();
        let grant = world.claimed_with('a', |claim| claim.digest = one.to_vec());
        world.ask(&complete_with('a', grant, |complete| complete.digest = one.to_vec()));
        match world.ask_in_vain(&claim_with('b', |claim| claim.digest = other.to_vec())) {
            Reply::Mismatch { digest } => assert_eq!(&*digest, one),
            reply => panic!("{reply:?}"),
        }
    }
}

#[test]
fn what_is_free_and_always_ended_has_used_up_nothing() {
    let mut world = World::new();
    world.claimed('a');
    world.ask(&release('a'));
    assert_eq!(world.claimed_with('b', |claim| claim.max_attempts = Some(0)).number, 2);
}

#[test]
fn the_strictest_policy_of_all_attempts_is_the_records() {
    for (first, second) in
        [(OnInterrupt::Retry, OnInterrupt::Reject), (OnInterrupt::Reject, OnInterrupt::Retry)]
    {
        let mut world = World::new();
        world.claimed_with('a', |claim| claim.on_interrupt = first);
        world.ask(&release('a'));
        world.claimed_with('b', |claim| claim.on_interrupt = second);
        assert_eq!(world.head().on_interrupt, OnInterrupt::Reject);
    }
}
