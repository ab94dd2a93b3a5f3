//! What the tests share: short ways to ask a store, and child processes.
#![allow(dead_code, reason = "each test uses some of it")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use idem_runtime::Token;
use idem_runtime::store::{
    Answer, Asked, AttemptId, Claim, Complete, Finished, Grant, Kind, OnInterrupt, Payload, Record, Reply,
    Request, Store,
};
use idem_sqlite::SqliteStore;
use rusqlite::Connection;

pub const LEASE: Duration = Duration::from_secs(3_600);
pub const TTL: Duration = Duration::from_secs(24 * 3_600);
/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn token(number: u64) -> Token {
    let mut bytes = [0; 32];
    // Spread like a hash, and still different for different numbers.
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[24..].copy_from_slice(&number.to_be_bytes());
    Token::from_bytes(bytes)
}

pub fn claim(token: Token) -> Claim {
    let mut claim = Claim::default();
    claim.token = token;
    claim.attempt = AttemptId::random();
    claim.digest = b"digest".to_vec();
    claim.lease = LEASE;
    claim.ttl = TTL;
    claim.on_interrupt = OnInterrupt::Retry;
    claim.function = "shop::charge(order: u64)".into();
    claim
}

pub fn complete(claim: &Claim, grant: Grant, result: &[u8]) -> Complete {
    let mut complete = Complete::default();
    complete.token = claim.token;
    complete.attempt = claim.attempt;
    complete.fence = grant.fence;
    complete.generation = grant.generation;
    complete.number = grant.number;
    complete.function = claim.function.clone();
    complete.digest = claim.digest.clone();
    complete.result = Payload::from(result);
    complete.kind = Kind::Value;
    complete.ttl = claim.ttl;
    complete
}

/// Asks, and waits for the answer.
pub fn ask(store: &impl Store, request: Request) -> Answer {
    wait(store.ask(request))
}

pub fn wait(asked: Asked) -> Answer {
    asked.wait(Some(PATIENCE)).expect("an answer")
}

pub fn asked_claim(claim: &Claim) -> Request {
    Request::Claim(Arc::new(claim.clone()))
}

pub fn ask_claim(store: &impl Store, claim: &Claim) -> Answer {
    ask(store, asked_claim(claim))
}

/// Claims, and must get it.
pub fn claimed(store: &impl Store, claim: &Claim) -> Grant {
    match ask_claim(store, claim) {
        Ok(Reply::Claimed(grant)) => grant,
        other => panic!("{other:?}"),
    }
}

/// Claims and completes.
pub fn call(store: &impl Store, token: Token, result: &[u8]) -> Grant {
    let claim = claim(token);
    let grant = claimed(store, &claim);
    let answer = ask(store, Request::Complete(Arc::new(complete(&claim, grant, result))));
    assert_eq!(answer.unwrap(), Reply::Completed);
    grant
}

/// What a duplicate gets.
pub fn duplicate(store: &impl Store, token: Token) -> Finished {
    match store.ask(asked_claim(&claim(token))) {
        Asked::Now(Ok(Reply::Done(finished))) => finished,
        other => panic!("{other:?}"),
    }
}

pub fn get(store: &impl Store, token: Token) -> Option<Arc<Record>> {
    match ask(store, Request::Get { token }) {
        Ok(Reply::Record(record)) => record,
        other => panic!("{other:?}"),
    }
}

pub fn open(path: &Path) -> SqliteStore {
    SqliteStore::builder(path).open().unwrap()
}

/// A connection beside the store.
pub fn beside(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    connection
}

/// Looks again until it is so.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < end, "not in {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

const ROLE: &str = "IDEM_SQLITE_TEST_ROLE";

/// What this process is to do, if it is a child that [`start`] started for this test.
pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// This test binary again: it runs `test` alone, which finds `role` set.
pub fn command(program: &Path, test: &str, role: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(ROLE, role);
    command
}

/// A child and the two ways to talk with it. Killed when it is dropped.
pub struct Process {
    pub child: Child,
    pub input: ChildStdin,
    pub output: BufReader<ChildStdout>,
}

pub fn start(mut command: Command) -> Process {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    Process { child, input, output }
}

pub fn start_here(test: &str, role: &str) -> Process {
    start(command(&std::env::current_exe().unwrap(), test, role))
}

impl Process {
    /// Tells it to go on.
    pub fn go(&mut self) {
        writeln!(self.input, "go").unwrap();
    }

    /// The next line that it said with [`say`]; nothing when it has ended.
    pub fn hear(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // The test harness writes to the same place, and does not always end its line.
            if let Some((_, said)) = line.split_once("say:") {
                // A killed child leaves half a line.
                return said.ends_with('\n').then(|| said.trim().to_owned());
            }
        }
    }

    /// Waits for its good end; what it had to say is given.
    pub fn finish(mut self) -> Vec<String> {
        let mut said = Vec::new();
        while let Some(line) = self.hear() {
            said.push(line);
        }
        assert!(self.child.wait().unwrap().success(), "{said:?}");
        said
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a child: says something to the process that started it.
pub fn say(what: impl std::fmt::Display) {
    // One write, so that lines of threads do not mix and a kill leaves no half that looks whole.
    let line = format!("say:{what}\n");
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}

/// In a child: waits for [`Process::go`].
pub fn listen() {
    std::io::stdin().read_line(&mut String::new()).unwrap();
}
