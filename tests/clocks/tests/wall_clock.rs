//! The wall clock is set back by an hour and forward by a day in the middle of calls, on the memory and the SQLite
//! store: no running attempt is taken over early, a dead one within its lease, and `ttl` follows the wall clock.
//!
//! The test runs itself once more, with a library before the C library's that moves the wall clock and nothing else.

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use idem::store::{AttemptId, Claim, Handle, IntoStore, Reply, Request, State, Store};
use idem::{Error, Happened, MemoryStore, OnRunning, SqliteStore, Token, observe_blocking};

const FILE: &str = "IDEM_CLOCK";
const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;
const PATIENCE: Duration = Duration::from_secs(20);

/// The clock that the library before the C library's moves.
struct WallClock(PathBuf);

impl WallClock {
    /// Sets it so many seconds before or after the real one.
    fn set(&self, seconds: i64) {
        std::fs::write(&self.0, (seconds * 1_000_000).to_ne_bytes()).unwrap();
    }
}

#[test]
fn the_wall_clock_is_set_while_calls_run() {
    if let Some(file) = std::env::var_os(FILE) {
        return with_a_clock_that_is_set(&WallClock(file.into()));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("offset");
    WallClock(file.clone()).set(0);
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_wall_clock_is_set_while_calls_run", "--nocapture"])
        .env(FILE, &file)
        .env("LD_PRELOAD", library(folder.path()))
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("looked at memory:") && said.contains("looked at sqlite:"), "{said}");
}

fn library(folder: &Path) -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/set_clock.c");
    let library = folder.join("set_clock.so");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", source, "-o"]).arg(&library).arg("-ldl");
    assert!(cc.status().expect("a C compiler").success());
    library
}

fn with_a_clock_that_is_set(clock: &WallClock) {
    // The library stands where it should: the wall clock moves, and the others do not.
    let (wall, steady) = (SystemTime::now(), Instant::now());
    clock.set(DAY);
    let moved = SystemTime::now().duration_since(wall).unwrap().as_secs() as i64;
    assert!((DAY..DAY + 60).contains(&moved), "{moved}");
    let coarse = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    let wall = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
    assert!(coarse.tv_sec - wall > DAY / 2, "the duplicates' clock is set, too");
    assert!(steady.elapsed() < PATIENCE);
    let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    clock.set(0);
    let later = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    assert!((0..60).contains(&(later.tv_sec - boot.tv_sec)), "nobody sets this one");

    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}", folder.path().join("idem.db").display());
    for store in [MemoryStore::new().into_store(), SqliteStore::open(&sqlite).unwrap().into_store()] {
        for (index, (name, forth, back)) in
            [("back by an hour", -HOUR, 0), ("forward by a day", DAY, 0), ("both", 25 * HOUR, -HOUR)]
                .into_iter()
                .enumerate()
        {
            println!("looked at {}: {name}", store.profile().name);
            let number = u64::try_from(index).unwrap();
            a_running_attempt_is_not_taken_over(&store, clock, forth, back, number);
            a_dead_attempt_is_taken_over_within_its_lease(&store, clock, forth, number);
        }
        a_body_that_outlives_its_lease_is_renewed(&store, clock);
        results_follow_the_wall_clock(&store, clock);
        a_result_counts_from_when_it_was_completed(&store, clock);
    }
}

fn ask(store: &Handle, request: Request) -> Reply {
    store.ask(request).wait(Some(PATIENCE)).expect("an answer in time").expect("a store that answers")
}

fn claim(token: Token, lease: Duration) -> Request {
    let mut claim = Claim::default();
    (claim.token, claim.attempt, claim.lease) = (token, AttemptId::random(), lease);
    (claim.ttl, claim.function) = (Duration::from_secs(7 * DAY.unsigned_abs()), "clocks".into());
    Request::Claim(Arc::new(claim))
}

fn token(name: &str, number: u64) -> Token {
    idem::call("clocks").arg(name).arg(&number).token().unwrap()
}

fn a_running_attempt_is_not_taken_over(
    store: &Handle,
    clock: &WallClock,
    forth: i64,
    back: i64,
    number: u64,
) {
    let lease = Duration::from_secs(600);
    let token = token("running", number);
    assert!(matches!(ask(store, claim(token, lease)), Reply::Claimed(_)));
    for set in [forth, back] {
        clock.set(set);
        match ask(store, claim(token, lease)) {
            Reply::Running { lease_left, .. } => {
                assert!(lease_left <= lease && lease_left > lease - PATIENCE, "{lease_left:?}");
            }
            other => panic!("with the clock at {set} s a running attempt is answered with {other:?}"),
        }
        // Nor is it purged, whatever else is.
        let _ = ask(store, Request::Purge { limit: 1000 });
        let Reply::Record(Some(record)) = ask(store, Request::Get { token }) else { panic!("it is gone") };
        assert_eq!(record.head.state, State::Running);
    }
    clock.set(0);
}

fn a_dead_attempt_is_taken_over_within_its_lease(store: &Handle, clock: &WallClock, set: i64, number: u64) {
    let lease = Duration::from_millis(500);
    let token = token("dead", number);
    assert!(matches!(ask(store, claim(token, lease)), Reply::Claimed(_)));
    clock.set(set);
    let Reply::Running { lease_left, .. } = ask(store, claim(token, lease)) else {
        panic!("it is alive still")
    };
    assert!(lease_left <= lease, "no wait is longer than the lease: {lease_left:?}");
    let until = Instant::now() + PATIENCE;
    loop {
        match ask(store, claim(token, lease)) {
            Reply::Claimed(grant) => break assert_eq!(grant.number, 2),
            Reply::Running { lease_left, .. } => {
                assert!(lease_left <= lease && Instant::now() < until);
                std::thread::sleep(lease_left);
            }
            other => panic!("{other:?}"),
        }
    }
    clock.set(0);
}

fn a_body_that_outlives_its_lease_is_renewed(store: &Handle, clock: &WallClock) {
    let lease = Duration::from_millis(600);
    let call =
        || idem::call("clocks.renewed").store(store.clone()).on_running(OnRunning::Reject).lease(lease);
    let value = call().run_blocking(|| {
        let began = Instant::now();
        for set in [-HOUR, DAY, 0].into_iter().cycle() {
            clock.set(set);
            // Whether the lease is over is told by others who ask for it.
            let other = call().run_blocking(|| Ok::<_, Error>(2));
            let itself = matches!(other, Err(Error::Running { .. }));
            assert!(itself, "taken over with the clock at {set} s: {other:?}");
            let claimed = ask(store, claim(idem::current().unwrap().token(), lease));
            assert!(matches!(claimed, Reply::Running { .. }), "with the clock at {set} s: {claimed:?}");
            std::thread::sleep(lease / 4);
            if began.elapsed() > 3 * lease {
                break;
            }
        }
        clock.set(0);
        Ok::<_, Error>(1)
    });
    assert_eq!(value.unwrap(), 1);
}

fn happened(call: impl FnOnce() -> Result<u64, Error>) -> Happened {
    let (result, seen) = observe_blocking(call);
    result.unwrap();
    seen.expect("a call is made").happened
}

fn results_follow_the_wall_clock(store: &Handle, clock: &WallClock) {
    let charge = || {
        let call = idem::call("clocks.ttl").store(store.clone());
        call.ttl(Duration::from_secs(DAY.unsigned_abs())).run_blocking(|| Ok::<_, Error>(7))
    };
    assert_eq!(happened(charge), Happened::Executed);
    for (set, expected) in [
        (-HOUR, Happened::Replayed),
        (23 * HOUR, Happened::Replayed),
        (25 * HOUR, Happened::Executed),
        // Until when it counts was measured by the clock as it was then.
        (HOUR, Happened::Replayed),
        (48 * HOUR, Happened::Replayed),
        (50 * HOUR, Happened::Executed),
    ] {
        clock.set(set);
        assert_eq!(happened(charge), expected, "{}: the clock was set by {set} s", store.profile().name);
    }
    clock.set(0);
}

fn a_result_counts_from_when_it_was_completed(store: &Handle, clock: &WallClock) {
    let charge = |set: Option<i64>| {
        let call = idem::call("clocks.middle").store(store.clone());
        call.ttl(Duration::from_secs(DAY.unsigned_abs())).run_blocking(|| {
            if let Some(set) = set {
                clock.set(set);
            }
            Ok::<_, Error>(7)
        })
    };
    // Set while the body runs.
    assert_eq!(happened(|| charge(Some(DAY))), Happened::Executed);
    assert_eq!(happened(|| charge(None)), Happened::Replayed);
    clock.set(2 * DAY - HOUR);
    assert_eq!(happened(|| charge(None)), Happened::Replayed);
    clock.set(2 * DAY + HOUR);
    assert_eq!(happened(|| charge(Some(-HOUR))), Happened::Executed);
    assert_eq!(happened(|| charge(None)), Happened::Replayed);
    clock.set(DAY);
    assert_eq!(happened(|| charge(None)), Happened::Executed);
    clock.set(0);
}
