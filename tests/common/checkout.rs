//! The example `checkout`, run as people run it, in a folder of its own.

#![allow(dead_code, missing_docs, reason = "each test uses some of it")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

/// What the data asks for: see `examples/checkout/make_deliveries.py`.
pub const EVENTS: usize = 3500;
pub const FIRST: &str = "executed 3500, replayed 1150, refused 150, failed 200";
pub const AGAIN: &str = "executed 0, replayed 4850, refused 150, failed 0";
/// So many deliveries are in hand at a time.
pub const AT_ONCE: usize = 64;

/// The example's program, built as this test was. `cargo test --test checkout` does not build examples by itself.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder in the target folder");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--package", "idem-rs", "--all-features", "--example", "checkout"]);
        cargo.args(["--message-format", "json-render-diagnostics", "--target-dir"]).arg(target);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let built =
            cargo.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit()).output().expect("cargo");
        assert!(built.status.success(), "the example does not build");
        let messages = String::from_utf8(built.stdout).expect("cargo writes UTF-8");
        let message =
            messages.lines().map(|line| serde_json::from_str::<Value>(line).expect("cargo writes JSON"));
        let is_it =
            |message: &Value| message["target"]["name"] == "checkout" && message["executable"].is_string();
        let found = message.filter(is_it).find(|message| message["target"]["kind"][0] == "example");
        found.expect("cargo names the program")["executable"].as_str().expect("a path").into()
    })
}

/// A folder to run it in.
pub struct Place {
    folder: TempDir,
    /// What `IDEM_STORE` is, if it is set.
    store: Option<String>,
}

impl Place {
    pub fn new() -> Self {
        Place { folder: tempfile::tempdir().expect("a temporary folder"), store: None }
    }

    pub fn with_store(url: &str) -> Self {
        Place { store: Some(url.to_owned()), ..Place::new() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(options).current_dir(self.path()).env_remove("IDEM_STORE");
        command.envs(self.store.iter().map(|url| ("IDEM_STORE", url)));
        command
    }

    /// Runs it to its end.
    pub fn run(&self, options: &[&str]) -> Printed {
        Printed::new(self.command(options).output().expect("it starts"))
    }

    /// Runs it until it has handled so many deliveries, and kills it.
    pub fn kill_at(&self, options: &[&str], deliveries: usize) {
        let mut child =
            self.command(options).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut said = child.stderr.take().expect("it is piped");
        handled(&mut BufReader::new(&mut said), deliveries);
        child.kill().expect("it runs");
        assert!(!child.wait().expect("it has ended").success());
    }

    /// Runs it to its end, and does something once it has handled so many deliveries. Some calls may fail.
    pub fn run_through(&self, options: &[&str], deliveries: usize, act: impl FnOnce()) -> Printed {
        let mut child =
            self.command(options).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut said = BufReader::new(child.stderr.take().expect("it is piped"));
        handled(&mut said, deliveries);
        act();
        // What it says on is read, so that it can say it.
        let mut rest = String::new();
        said.read_to_string(&mut rest).expect("UTF-8");
        let mut printed = String::new();
        child.stdout.take().expect("it is piped").read_to_string(&mut printed).expect("UTF-8");
        child.wait().expect("it ends");
        Printed(printed)
    }

    /// How often each event was charged.
    pub fn charges(&self) -> BTreeMap<String, usize> {
        let ledger =
            std::fs::read_to_string(self.path().join("target/checkout/ledger.jsonl")).expect("the ledger");
        let mut charges = BTreeMap::new();
        for line in ledger.lines().skip(1) {
            let charge: Value = serde_json::from_str(line).expect("a whole line");
            *charges.entry(charge["event"].as_str().expect("an event").to_owned()).or_default() += 1;
        }
        charges
    }

    pub fn each_event_was_charged_once(&self) {
        let charges = self.charges();
        assert_eq!(charges.len(), EVENTS);
        assert!(charges.values().all(|&times| times == 1));
    }
}

/// Waits until it has handled so many deliveries.
fn handled(said: &mut impl BufRead, deliveries: usize) {
    let line = format!("{deliveries} of ");
    assert!(
        said.lines().any(|said| said.expect("UTF-8").starts_with(&line)),
        "it ended before it had handled {deliveries} deliveries"
    );
}

/// What it wrote to its standard output.
pub struct Printed(String);

impl Printed {
    pub fn new(output: std::process::Output) -> Self {
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(output.status.success(), "{said}");
        Printed(String::from_utf8(output.stdout).expect("UTF-8"))
    }

    pub fn summary(&self) -> &str {
        self.0.lines().last().expect("a last line")
    }

    /// Of the last line.
    pub fn count(&self, what: &str) -> usize {
        let summary = self.summary();
        let counts = summary.split(", ").filter_map(|part| part.split_once(' '));
        let mut counts = counts.filter(|(name, _)| *name == what);
        counts
            .next()
            .and_then(|(_, count)| count.parse().ok())
            .unwrap_or_else(|| panic!("{what} in {summary}"))
    }

    /// The events whose records it shows, and whether it says that they are in the ledger.
    pub fn interrupted(&self) -> BTreeMap<String, bool> {
        let event =
            |row: &str| row.split_whitespace().find(|word| word.starts_with("evt_")).map(str::to_owned);
        self.0.lines().filter_map(|row| Some((event(row)?, row.ends_with("yes")))).collect()
    }
}
