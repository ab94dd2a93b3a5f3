//! Eight processes with eight tasks each make the same calls at once.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use idem::{RedisStore, idempotent};
use idem_servers::Redis;
use tokio::sync::Barrier;

const PROCESSES: usize = 8;
const TASKS: usize = 8;
const ROUNDS: u64 = 500;
const ROLE: &str = "IDEM_TEST_REDIS";

#[idempotent(name = "processes.charge", key(round), skip(store, folder, task), store = store)]
async fn charge(store: &RedisStore, round: u64, folder: &Path, task: usize) -> Result<String, idem::Error> {
    // Each line is one write.
    let mut ledger = OpenOptions::new().append(true).open(folder.join("ledger")).unwrap();
    ledger.write_all(format!("{round}\n").as_bytes()).unwrap();
    Ok(format!("{} {task} {round}", std::process::id()))
}

/// In each of the processes: its tasks go through the rounds together.
async fn work(url: String, folder: PathBuf) {
    let store = RedisStore::connect(&url).await.unwrap();
    let together = Arc::new(Barrier::new(TASKS));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (store, folder, together) = (store.clone(), folder.clone(), Arc::clone(&together));
            tokio::spawn(async move {
                let mut results = Vec::new();
                for round in 0..ROUNDS {
                    together.wait().await;
                    results.push(charge(&store, round, &folder, task).await.unwrap());
                }
                results
            })
        })
        .collect();
    let mut said = String::new();
    for task in tasks {
        for (round, result) in task.await.unwrap().into_iter().enumerate() {
            said.push_str(&format!("{round}={result}\n"));
        }
    }
    std::fs::write(folder.join(std::process::id().to_string()), said).unwrap();
}

#[test]
fn once_each_time_and_all_get_the_same() {
    if let Ok(role) = std::env::var(ROLE) {
        let (url, folder) = role.split_once(' ').unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(work(url.to_owned(), folder.into()));
    }
    let Some(server) = Redis::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ledger"), "").unwrap();
    let child = |_| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::once_each_time_and_all_get_the_same", "--nocapture"])
            .env(ROLE, format!("{} {}", server.url(), folder.path().display()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut children: Vec<_> = (0..PROCESSES).map(child).collect();
    let mut results: HashMap<String, Vec<String>> = HashMap::new();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
        let said = std::fs::read_to_string(folder.path().join(child.id().to_string())).unwrap();
        for (round, result) in said.lines().map(|line| line.split_once('=').unwrap()) {
            results.entry(round.to_owned()).or_default().push(result.to_owned());
        }
    }
    assert_eq!(results.len() as u64, ROUNDS);
    for (round, results) in results {
        assert_eq!(results.len(), PROCESSES * TASKS, "{round}");
        assert!(results.iter().all(|result| *result == results[0]), "{round}: {results:?}");
    }
    let ledger = std::fs::read_to_string(folder.path().join("ledger")).unwrap();
    let mut ledger: Vec<u64> = ledger.lines().map(|line| line.parse().unwrap()).collect();
    ledger.sort_unstable();
    assert_eq!(ledger, (0..ROUNDS).collect::<Vec<_>>(), "each body ran once");
}
