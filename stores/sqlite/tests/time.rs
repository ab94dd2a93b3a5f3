//! Leases, another boot, expiry, and what is removed.

mod common;

use std::time::Duration;

use common::*;
use idem_runtime::store::{OnInterrupt, Record, Reply, Request, Store};
use rusqlite::{Connection, params};

/// Changes a record behind the store's back.
fn change(beside: &Connection, number: u64, change: impl FnOnce(&mut Record)) {
    let find = "SELECT data FROM record WHERE token = ?1";
    let data: Vec<u8> = beside.query_row(find, [token(number).as_bytes()], |row| row.get(0)).unwrap();
    let mut record = Record::decode(&data).unwrap();
    change(&mut record);
    let mut data = Vec::new();
    record.encode(&mut data);
    let lease = record.head.lease;
    let put = "UPDATE record SET data = ?2, lease_run = ?3, lease_end = ?4 WHERE token = ?1";
    let run = i64::from_ne_bytes(lease.run.to_ne_bytes());
    let end = i64::try_from(lease.micros).unwrap();
    assert_eq!(beside.execute(put, params![token(number).as_bytes(), data, run, end]).unwrap(), 1);
}

#[test]
fn a_lease_holds_for_every_store_on_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let (one, two) = (open(&path), open(&path));
    claimed(&one, &claim(token(1)));
    match ask_claim(&two, &claim(token(1))) {
        Ok(Reply::Running { lease_left, .. }) => {
            assert!(lease_left <= LEASE && lease_left > LEASE - PATIENCE, "{lease_left:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_boot_ends_every_lease() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = open(&path);
    let (retry, mut reject) = (claim(token(1)), claim(token(2)));
    reject.on_interrupt = OnInterrupt::Reject;
    let before = claimed(&store, &retry);
    claimed(&store, &reject);
    // As if the machine had been started anew since.
    let beside = beside(&path);
    for number in [1, 2] {
        change(&beside, number, |record| record.head.lease.run ^= 1);
    }
    let after = claimed(&store, &claim(token(1)));
    assert!(after.fence > before.fence && after.generation == before.generation);
    assert_eq!(after.number, 2);
    match ask_claim(&store, &claim(token(2))) {
        Ok(Reply::Interrupted { number: 1, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lease_ends_by_the_clock_that_nobody_sets() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("orders.db"));
    let mut short = claim(token(1));
    short.lease = Duration::from_millis(20);
    claimed(&store, &short);
    let next = claim(token(1));
    until("the lease is over", || matches!(ask_claim(&store, &next), Ok(Reply::Claimed(_))));
    // What replaced it stands.
    assert_eq!(
        ask(&store, Request::Renew { token: token(1), attempt: short.attempt, lease: LEASE }).unwrap(),
        Reply::LeaseLost { winner: None }
    );
}

#[test]
fn fences_grow_over_expiry_forget_and_reopening_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let mut last = 0;
    let mut grows = |fence| {
        assert!(fence > last, "{fence} after {last}");
        last = fence;
    };
    for _ in 0..3 {
        let store = open(&path);
        let mut brief = claim(token(1));
        (brief.ttl, brief.lease) = (Duration::from_micros(1), Duration::from_micros(1));
        grows(claimed(&store, &brief).fence);
        until("it has expired", || get(&store, token(1)).is_none());
        grows(call(&store, token(1), b"one").fence);
        assert_eq!(ask(&store, Request::Forget { token: token(1) }).unwrap(), Reply::Forgotten);
        grows(call(&store, token(1), b"one").fence);
        assert_eq!(ask(&store, Request::Forget { token: token(1) }).unwrap(), Reply::Forgotten);
    }
}

fn rows(beside: &Connection) -> i64 {
    beside.query_row("SELECT count(*) FROM record", [], |row| row.get(0)).unwrap()
}

#[test]
fn purge_removes_what_has_expired_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = open(&path);
    let other = store.with_namespace("other");
    let brief = |number, lease| {
        let mut claim = claim(token(number));
        (claim.ttl, claim.lease) = (Duration::from_millis(1), lease);
        claim
    };
    let beside = beside(&path);
    // Expired in every state; then some that are not.
    for number in 0..4 {
        let claim = brief(number, if number == 0 { Duration::from_micros(1) } else { LEASE });
        let grant = claimed(&store, &claim);
        let (token, attempt) = (claim.token, claim.attempt);
        let end = match number {
            0 => continue,
            1 => Request::Release { token, attempt, lease: LEASE },
            2 => Request::Interrupt { token, attempt },
            _ => Request::Complete(std::sync::Arc::new(complete(&claim, grant, b"one"))),
        };
        ask(&store, end).unwrap();
    }
    call(&store, token(10), b"lives");
    claimed(&store, &brief(11, LEASE));
    let mut unknown = brief(12, Duration::from_micros(1));
    unknown.on_interrupt = OnInterrupt::Reject;
    claimed(&store, &unknown);
    let elsewhere = brief(13, Duration::from_micros(1));
    claimed(&other, &elsewhere);
    for number in 0..4 {
        until("it has expired", || get(&store, token(number)).is_none());
    }
    until("it has expired", || get(&other, token(13)).is_none());

    let purge = |limit| match ask(&store, Request::Purge { limit }).unwrap() {
        Reply::Purged(count) => count,
        other => panic!("{other:?}"),
    };
    // The writer may have removed some by itself, those of the other namespace included.
    assert_eq!(purge(0), 0);
    assert!(purge(1) <= 1);
    assert!(purge(usize::MAX) <= 4);
    assert_eq!(purge(usize::MAX), 0);
    assert!((3..=4).contains(&rows(&beside)));
    assert_eq!(&*duplicate(&store, token(10)).result, b"lives");
    assert!(matches!(ask_claim(&store, &claim(token(11))), Ok(Reply::Running { .. })));
    assert!(matches!(ask_claim(&store, &claim(token(12))), Ok(Reply::Interrupted { .. })));
}

#[test]
fn expired_records_go_by_themselves_while_the_store_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = open(&path);
    let beside = beside(&path);
    for number in 0..300 {
        let mut brief = claim(token(number));
        (brief.ttl, brief.lease) = (Duration::from_micros(1), Duration::from_micros(1));
        claimed(&store, &brief);
    }
    let mut number = 1_000;
    until("they are gone", || {
        call(&store, token(number), b"lives");
        number += 1;
        rows(&beside) == (number - 1_000) as i64
    });
    for number in 1_000..number {
        duplicate(&store, token(number));
    }
}

#[test]
fn an_expired_record_is_none_before_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("orders.db"));
    let mut brief = claim(token(1));
    brief.ttl = Duration::from_millis(1);
    let first = claimed(&store, &brief);
    ask(&store, Request::Complete(std::sync::Arc::new(complete(&brief, first, b"one")))).unwrap();
    until("it has expired", || get(&store, token(1)).is_none());
    let second = call(&store, token(1), b"two");
    assert!(second.generation > first.generation);
    assert_eq!(&*duplicate(&store, token(1)).result, b"two");
    assert_eq!(store.profile().time_limit, Duration::from_secs(5));
}
