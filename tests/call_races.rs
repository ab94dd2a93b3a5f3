//! Many callers with one key at once: the body runs once, and all of them get the same value.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use common::{Place, memory, sqlite};
use idem::store::Handle;
use idem::{Error, OnRunning, SqliteStore};

const ROUNDS: u64 = 1_000;
const TASKS: usize = 64;
const THREADS: usize = 16;

/// Runs every round with tasks and threads at once, on one store.
fn race(place: &Place, name: &'static str) {
    let bodies = Arc::new(AtomicU64::new(0));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let start = Arc::new(Barrier::new(THREADS + 1));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (store, bodies, start) = (place.store.clone(), Arc::clone(&bodies), Arc::clone(&start));
            thread::spawn(move || {
                (0..ROUNDS)
                    .map(|round| {
                        start.wait();
                        idem::call(name)
                            .arg(&round)
                            .store(&store)
                            .on_running(OnRunning::Wait)
                            .run_blocking(|| Ok::<_, Error>(bodies.fetch_add(1, Ordering::SeqCst)))
                            .unwrap()
                    })
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let mut values = Vec::new();
    for round in 0..ROUNDS {
        start.wait();
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let (store, bodies) = (place.store.clone(), Arc::clone(&bodies));
                runtime.spawn(async move {
                    idem::call(name)
                        .arg(&round)
                        .store(&store)
                        .run(async {
                            // Others get a chance to come while it runs.
                            tokio::task::yield_now().await;
                            Ok::<_, Error>(bodies.fetch_add(1, Ordering::SeqCst))
                        })
                        .await
                })
            })
            .collect();
        let got: Vec<u64> = tasks.into_iter().map(|task| runtime.block_on(task).unwrap().unwrap()).collect();
        assert!(got.iter().all(|value| *value == got[0]), "round {round}: {got:?}");
        values.push(got[0]);
    }
    for thread in threads {
        assert_eq!(thread.join().unwrap(), values, "threads and tasks got the same values");
    }
    assert_eq!(bodies.load(Ordering::SeqCst), ROUNDS, "the body ran once in each round");
}

#[test]
fn sixty_four_tasks_and_sixteen_threads_on_the_memory_store() {
    race(&memory(), "race.memory");
}

#[test]
fn sixty_four_tasks_and_sixteen_threads_on_the_sqlite_store() {
    race(&sqlite(), "race.sqlite");
}

const CHILD: &str = "IDEM_TEST_RACE_CHILD";
const CHILDREN: usize = 4;
const CHILD_ROUNDS: u64 = 250;
const CHILD_TASKS: usize = 16;

/// One of the processes: for each line it reads it calls with that key from several tasks, and prints how often its
/// bodies ran and what its callers got.
#[test]
fn one_of_four_processes() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let store: Handle = Handle::from(Arc::new(SqliteStore::open(&url).expect("the file that all share")));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    println!("ready");
    for line in std::io::stdin().lines() {
        let key: u64 = line.unwrap().parse().unwrap();
        let bodies = Arc::new(AtomicU64::new(0));
        let tasks: Vec<_> = (0..CHILD_TASKS)
            .map(|_| {
                let (store, bodies) = (store.clone(), Arc::clone(&bodies));
                runtime.spawn(async move {
                    idem::call("race.processes")
                        .arg(&key)
                        .store(&store)
                        .run(async {
                            bodies.fetch_add(1, Ordering::SeqCst);
                            tokio::task::yield_now().await;
                            Ok::<_, Error>((std::process::id(), key))
                        })
                        .await
                })
            })
            .collect();
        let got: Vec<_> = tasks.into_iter().map(|task| runtime.block_on(task).unwrap().unwrap()).collect();
        assert!(got.iter().all(|value| *value == got[0]), "{got:?}");
        println!("{} {}", bodies.load(Ordering::SeqCst), got[0].0);
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn four_processes_on_one_sqlite_file() {
    if std::env::var_os(CHILD).is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("idem.db").display());
    let mut children: Vec<_> = (0..CHILDREN)
        .map(|_| {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "one_of_four_processes", "--nocapture"])
                .env(CHILD, &url)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let input = child.stdin.take().unwrap();
            let output = BufReader::new(child.stdout.take().unwrap()).lines();
            (child, input, output)
        })
        .collect();
    for (_, _, output) in &mut children {
        // The test harness prints first.
        assert!(output.by_ref().map(Result::unwrap).any(|line| line.ends_with("ready")));
    }
    for round in 0..CHILD_ROUNDS {
        for (_, input, _) in &mut children {
            writeln!(input, "{round}").unwrap();
        }
        let answers: Vec<(u64, u64)> = children
            .iter_mut()
            .map(|(_, _, output)| {
                let line = output.next().expect("a line a round").unwrap();
                let (bodies, process) = line.split_once(' ').unwrap();
                (bodies.parse().unwrap(), process.parse().unwrap())
            })
            .collect();
        let bodies: u64 = answers.iter().map(|(bodies, _)| bodies).sum();
        assert_eq!(bodies, 1, "round {round}: the body ran once in all processes: {answers:?}");
        assert!(answers.iter().all(|(_, process)| *process == answers[0].1), "round {round}: {answers:?}");
    }
    for (mut child, input, _) in children {
        drop(input);
        assert!(child.wait().unwrap().success());
    }
}
