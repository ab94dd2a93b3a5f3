//! The servers start, die, come back, and leave nothing behind.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use idem_servers::{Postgres, Redis, RedisCluster};

#[test]
fn a_redis_is_killed_and_comes_back_at_the_same_address() {
    let Some(mut server) = Redis::start_with(&[("appendonly", "yes"), ("appendfsync", "always")]) else {
        return;
    };
    let _: () = redis::cmd("SET").arg("key").arg("value").query(&mut server.connection()).unwrap();
    server.kill();
    assert!(!server.is_running());
    assert!(redis::Client::open(server.url()).unwrap().get_connection().is_err());
    server.restart();
    let kept: String = redis::cmd("GET").arg("key").query(&mut server.connection()).unwrap();
    assert_eq!(kept, "value");
    server.stop();
    assert!(server.log().contains("ready to exit"), "{}", server.log());
}

#[test]
fn a_frozen_redis_answers_once_it_is_thawed() {
    let Some(server) = Redis::start() else { return };
    let mut connection = server.connection();
    server.freeze();
    connection.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(redis::cmd("PING").query::<String>(&mut connection).unwrap_err().is_timeout());
    server.thaw();
    let answer: String = redis::cmd("PING").query(&mut server.connection()).unwrap();
    assert_eq!(answer, "PONG");
}

#[test]
fn a_cluster_replaces_a_master_that_has_gone() {
    let Some(mut cluster) = RedisCluster::start() else { return };
    let master = cluster.master_of(0);
    assert_eq!(master, 0);
    cluster.nodes_mut()[master].kill();
    until("a replica takes over", || cluster.master_of(0) == 3);
}

#[test]
fn a_postgres_is_killed_and_comes_back_with_what_was_committed() {
    let Some(mut server) = Postgres::start_with(&[("application_name", "it's ours")]) else { return };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    server.psql(database, "CREATE TABLE kept (value int); INSERT INTO kept VALUES (7)");
    server.kill();
    server.restart();
    assert_eq!(server.psql(database, "SELECT value FROM kept"), "7");
    assert_eq!(server.psql(database, "SHOW application_name"), "psql");
    server.stop();
    assert!(server.log().contains("database system is shut down"), "{}", server.log());
}

#[test]
fn a_postgres_that_cannot_start_says_why() {
    if Postgres::start().is_none() {
        return;
    }
    let failed = std::panic::catch_unwind(|| Postgres::start_with(&[("fsync", "perhaps")])).unwrap_err();
    let said = failed.downcast_ref::<String>().unwrap();
    assert!(said.contains("fsync"), "{said}");
}

/// In a child that [`nothing_is_left_of_a_test_run_that_was_killed`] starts.
#[test]
fn child_that_is_killed() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let (Some(redis), Some(postgres)) = (Redis::start(), Postgres::start()) else { return };
    println!("place:{}", redis.socket().parent().unwrap().parent().unwrap().display());
    println!("place:{}", postgres.data().parent().unwrap().display());
    redis.freeze();
    postgres.freeze();
    println!("place:");
    std::thread::park();
}

const CHILD: &str = "IDEM_SERVERS_CHILD";

#[test]
fn nothing_is_left_of_a_test_run_that_was_killed() {
    if Redis::start().is_none() || Postgres::start().is_none() {
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_is_killed", "--nocapture"])
        .env(CHILD, "1")
        .process_group(0)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let said = lines.filter_map(|line| line.split_once("place:").map(|(_, place)| PathBuf::from(place)));
    let places: Vec<PathBuf> = said.take_while(|place| !place.as_os_str().is_empty()).collect();
    assert_eq!(places.len(), 2);
    for place in &places {
        assert!(place.exists());
        assert!(is_used(place));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for place in &places {
        until("the folder is gone", || !place.exists());
        until("the servers are gone", || !is_used(place));
    }
}

/// Whether a process works in this folder.
fn is_used(place: &Path) -> bool {
    let processes = Path::new("/proc").read_dir().unwrap().flatten();
    processes
        .filter_map(|process| process.path().join("cwd").read_link().ok())
        .any(|cwd| cwd.starts_with(place))
}

fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
