//! `reopen`, `resolve` and `forget`: what a person says.

use std::sync::Arc;

use idem_runtime::Timestamp;
use idem_runtime::store::{AttemptId, Kind, Reopen, Reply, Request, State};

use crate::world::*;

/// A record of whose last attempt nobody knows what it did, and its fence.
fn undecided() -> Vec<(&'static str, World, u64)> {
    let ways: [Way; 2] = [
        ("interrupted", |world| {
            world.ask(&interrupt('b'));
        }),
        ("running, lease over", |world| {
            world.lease_over();
        }),
    ];
    let made = |(name, way): Way| {
        let mut world = World::new();
        world.claimed_with('a', rejecting);
        world.ask(&interrupt('a'));
        world.ask(&reopen(101));
        world.claimed('b');
        way(&mut world);
        (name, world, 102)
    };
    ways.into_iter().map(made).collect()
}

/// Records about which a person has nothing to decide.
fn decided() -> Vec<(&'static str, World)> {
    let ways: [Way; 5] = [
        ("nothing", |_| {}),
        ("running", |world| {
            world.claimed('a');
        }),
        ("free", |world| {
            world.claimed('a');
            world.ask(&release('a'));
        }),
        ("free by a release that found nothing", |world| {
            world.ask(&release('a'));
        }),
        ("done", |world| {
            let grant = world.claimed('a');
            world.ask(&complete('a', grant));
        }),
    ];
    let made = |(name, way): Way| {
        let mut world = World::new();
        way(&mut world);
        (name, world)
    };
    ways.into_iter().map(made).collect()
}

fn fence(world: &World) -> u64 {
    world.record.as_ref().map_or(0, |record| record.head.fence)
}

#[track_caller]
fn is_the_record(reply: &Reply, world: &World, state: &str) {
    assert_eq!(*reply, Reply::Record(world.record.clone().map(Arc::new)), "{state}");
}

#[test]
fn reopen_interrupted_or_lease_over() {
    for (state, mut world, fence) in undecided() {
        let generation = world.head().generation;
        assert_eq!(world.ask(&reopen(fence)), Reply::Reopened, "{state}");
        let head = world.head();
        assert_eq!((head.state, head.unended), (State::Free, 0), "{state}: no attempts counted");
        assert_eq!((head.fence, head.generation), (fence, generation), "{state}");
        assert_eq!((head.ended_at, head.expires), (world.now.wall, world.now.wall.after(TTL)), "{state}");
        assert_eq!(&*world.record.as_ref().unwrap().by, "ann", "{state}");
        assert_eq!(world.ask_in_vain(&reopen(fence)), Reply::Reopened, "{state}: again");
        for other in [fence - 1, fence + 1] {
            is_the_record(&world.ask_in_vain(&reopen(other)), &world, "reopened, another fence");
        }
        // The next call runs the body again.
        let grant = world.claimed_with('c', |claim| claim.max_attempts = Some(1));
        assert_eq!((grant.generation, grant.number), (generation, 3), "{state}");
        assert!(grant.fence > fence, "{state}");
        is_the_record(&world.ask(&reopen(fence)), &world, "too late");
    }
}

#[test]
fn reopen_what_the_stopped_attempt_still_says_changes_nothing() {
    let (_, mut world, fence) = undecided().remove(1);
    world.ask(&reopen(fence));
    assert_eq!(world.ask_in_vain(&claim('b')), Reply::LeaseLost { winner: None });
    assert_eq!(world.ask_in_vain(&renew('b')), Reply::LeaseLost { winner: None });
    assert_eq!(world.ask_in_vain(&interrupt('b')), Reply::LeaseLost { winner: None });
    assert_eq!(world.ask_in_vain(&release('b')), Reply::Released);
}

#[test]
fn reopen_another_fence() {
    for (state, mut world, fence) in undecided() {
        for fence in [fence - 1, fence + 1, 0] {
            let reply = world.ask_in_vain(&reopen(fence));
            is_the_record(&reply, &world, state);
        }
    }
}

#[test]
fn reopen_anything_else() {
    for (state, mut world) in decided() {
        for by in ["ann", ""] {
            let request = Request::Reopen(Arc::new(Reopen::new(TOKEN, fence(&world), by)));
            let reply = world.ask_in_vain(&request);
            // A free record of which nobody's attempt is unknown, asked by nobody: there is nothing to say.
            if state != "free" || !by.is_empty() {
                is_the_record(&reply, &world, state);
            }
        }
    }
}

#[test]
fn resolve_interrupted_or_lease_over() {
    for (state, mut world, fence) in undecided() {
        let (generation, first_at) = (world.head().generation, world.head().first_at);
        assert_eq!(world.ask(&resolve(fence)), Reply::Resolved, "{state}");
        let head = world.head();
        assert_eq!((head.state, head.kind), (State::Done, Kind::Value), "{state}");
        assert_eq!(
            (head.attempt, head.fence, head.generation),
            (AttemptId::NOBODY, fence, generation),
            "{state}"
        );
        assert_eq!((head.ended_at, head.expires), (world.now.wall, world.now.wall.after(3 * TTL)), "{state}");
        assert_eq!(head.ttl, 3 * TTL, "{state}");
        assert_eq!(&*world.record.as_ref().unwrap().by, "ann", "{state}");
        let finished = done(world.ask(&claim('c')));
        assert_eq!((&*finished.result, finished.attempt), (&b"by hand"[..], AttemptId::NOBODY), "{state}");
        assert_eq!(finished.first_at, first_at, "{state}");
        world.pass(LEASE);
        assert_eq!(world.ask_in_vain(&resolve(fence)), Reply::Resolved, "{state}: again");
        // Another result is another request: what was said first stays.
        let reply = world.ask_in_vain(&resolve_with(fence, b"something else"));
        is_the_record(&reply, &world, state);
    }
}

#[test]
fn resolve_without_a_result() {
    let (_, mut world, fence) = undecided().remove(0);
    let resolve = idem_runtime::store::Resolve::new(TOKEN, fence, "ann", TTL);
    assert_eq!(world.ask(&Request::Resolve(Arc::new(resolve))), Reply::Resolved);
    assert_eq!(done(world.ask(&claim('c'))).kind, Kind::None);
}

#[test]
fn resolve_another_fence() {
    for (state, mut world, fence) in undecided() {
        for fence in [fence - 1, fence + 1, 0] {
            let reply = world.ask_in_vain(&resolve(fence));
            is_the_record(&reply, &world, state);
        }
    }
}

#[test]
fn resolve_anything_else() {
    for (state, mut world) in decided() {
        let reply = world.ask_in_vain(&resolve(fence(&world)));
        is_the_record(&reply, &world, state);
    }
}

#[test]
fn forget_anything_but_a_running_record_with_a_lease() {
    for (state, mut world) in decided() {
        if state == "running" {
            continue;
        }
        assert_eq!(world.ask(&FORGET), Reply::Forgotten, "{state}");
        assert_eq!(world.record, None, "{state}");
        assert_eq!(world.ask(&FORGET), Reply::Forgotten, "{state}: again");
        let before = world.fence;
        let grant = world.claimed('b');
        assert!(grant.fence > before && grant.generation == grant.fence && grant.number == 1, "{state}");
    }
    for (state, mut world, _) in undecided() {
        assert_eq!(world.ask(&FORGET), Reply::Forgotten, "{state}");
        assert_eq!(world.record, None, "{state}");
    }
}

#[test]
fn forget_a_running_record_with_a_lease() {
    let mut world = World::new();
    world.claimed('a');
    let since = world.now.wall;
    world.pass(LEASE / 2);
    assert_eq!(world.ask_in_vain(&FORGET), Reply::Running { since, lease_left: LEASE / 2 });
    assert_ne!(world.head().expires, Timestamp::NEVER);
}

#[test]
fn get_and_watch_do_nothing() {
    let watch = Request::Watch { token: TOKEN, limit: LEASE };
    for (state, mut world) in decided() {
        for request in [&GET, &watch] {
            let reply = world.ask_in_vain(request);
            is_the_record(&reply, &world, state);
        }
    }
}
