//! The example `checkout`, as people run it: twice, killed and run again, two at once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

/// What the data asks for: see `examples/checkout/make_deliveries.py`.
const EVENTS: usize = 3500;
const FIRST: &str = "executed 3500, replayed 1150, refused 150, failed 200";
const AGAIN: &str = "executed 0, replayed 4850, refused 150, failed 0";
/// So many deliveries are in hand at a time.
const AT_ONCE: usize = 64;

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
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().expect("a temporary folder"))
    }

    fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(options).current_dir(self.0.path()).env_remove("IDEM_STORE");
        command
    }

    /// Runs it to its end.
    fn run(&self, options: &[&str]) -> Printed {
        Printed::new(self.command(options).output().expect("it starts"))
    }

    /// Runs it until it has handled so many deliveries, and kills it.
    fn kill_at(&self, options: &[&str], deliveries: usize) {
        let mut child =
            self.command(options).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let said = BufReader::new(child.stderr.take().expect("it is piped"));
        let line = format!("{deliveries} of ");
        assert!(
            said.lines().any(|said| said.expect("UTF-8").starts_with(&line)),
            "it ended before it had handled {deliveries} deliveries"
        );
        child.kill().expect("it runs");
        assert!(!child.wait().expect("it has ended").success());
    }

    /// How often each event was charged.
    fn charges(&self) -> BTreeMap<String, usize> {
        let ledger =
            std::fs::read_to_string(self.0.path().join("target/checkout/ledger.jsonl")).expect("the ledger");
        let mut charges = BTreeMap::new();
        for line in ledger.lines().skip(1) {
            let charge: Value = serde_json::from_str(line).expect("a whole line");
            *charges.entry(charge["event"].as_str().expect("an event").to_owned()).or_default() += 1;
        }
        charges
    }

    fn each_event_was_charged_once(&self) {
        let charges = self.charges();
        assert_eq!(charges.len(), EVENTS);
        assert!(charges.values().all(|&times| times == 1));
    }
}

/// What it wrote to its standard output.
struct Printed(String);

impl Printed {
    fn new(output: std::process::Output) -> Self {
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(output.status.success(), "{said}");
        Printed(String::from_utf8(output.stdout).expect("UTF-8"))
    }

    fn summary(&self) -> &str {
        self.0.lines().last().expect("a last line")
    }

    /// Of the last line.
    fn count(&self, what: &str) -> usize {
        let summary = self.summary();
        let counts = summary.split(", ").filter_map(|part| part.split_once(' '));
        let mut counts = counts.filter(|(name, _)| *name == what);
        counts
            .next()
            .and_then(|(_, count)| count.parse().ok())
            .unwrap_or_else(|| panic!("{what} in {summary}"))
    }

    /// The events whose records it shows, and whether it says that they are in the ledger.
    fn interrupted(&self) -> BTreeMap<String, bool> {
        let event =
            |row: &str| row.split_whitespace().find(|word| word.starts_with("evt_")).map(str::to_owned);
        self.0.lines().filter_map(|row| Some((event(row)?, row.ends_with("yes")))).collect()
    }
}

#[test]
fn run_twice_it_executes_nothing_that_succeeded() {
    let place = Place::new();
    assert_eq!(place.run(&[]).summary(), FIRST);
    place.each_event_was_charged_once();
    assert_eq!(place.run(&[]).summary(), AGAIN);
    place.each_event_was_charged_once();
    assert_eq!(place.run(&["--fresh"]).summary(), FIRST);
    place.each_event_was_charged_once();
}

#[test]
fn killed_and_run_again_it_charges_no_event_twice() {
    let place = Place::new();
    assert_eq!(place.run(&[]).summary(), FIRST);
    place.kill_at(&["--fresh"], 2000);
    let before = place.charges();
    assert!(before.len() < EVENTS, "it was killed too late");
    assert!(before.values().all(|&times| times == 1));

    // The next run: what had not ended is refused, and shown, and everything else is charged.
    let next = place.run(&[]);
    let after = place.charges();
    assert!(after.values().all(|&times| times == 1), "charged twice");
    assert_eq!(after.len(), before.len() + next.count("executed"));
    let interrupted = next.interrupted();
    assert!(interrupted.len() <= AT_ONCE, "{} interrupted", interrupted.len());
    for (event, charged) in &interrupted {
        assert_eq!(after.contains_key(event), *charged, "{event}");
    }
    let lost = interrupted.values().filter(|charged| !**charged).count();
    assert_eq!(after.len(), EVENTS - lost, "an event is neither charged nor shown");

    // It stays so until a person has looked.
    let once_more = place.run(&[]);
    assert_eq!(once_more.count("executed"), 0);
    assert_eq!(once_more.interrupted(), interrupted);
    assert_eq!(place.charges(), after);

    let settled = place.run(&["--settle"]);
    assert_eq!(settled.count("executed"), lost);
    assert_eq!(settled.interrupted(), BTreeMap::new());
    place.each_event_was_charged_once();
    assert_eq!(place.run(&[]).summary(), AGAIN);
    place.each_event_was_charged_once();
}

#[test]
fn two_at_once_share_the_work() {
    let place = Place::new();
    let start =
        || place.command(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let both = [start(), start()].map(|child| Printed::new(child.wait_with_output().expect("it ends")));
    let sum = |what| both.iter().map(|printed| printed.count(what)).sum::<usize>();
    // Whichever of them comes first: each event is charged once, and fails as often as the provider is busy.
    assert_eq!((sum("executed"), sum("refused"), sum("failed")), (EVENTS, 300, 200));
    assert_eq!(sum("replayed"), 2 * 5000 - EVENTS - 300 - 200);
    place.each_event_was_charged_once();
}

#[test]
fn what_it_cannot_use_is_said() {
    let place = Place::new();
    let file = place.0.path().join("deliveries.jsonl");
    std::fs::write(
        &file,
        "{\"event\":\"evt_1\",\"order\":\"ord_1\",\"amount_cents\":1,\"busy\":0}\nnothing\n",
    )
    .unwrap();
    let folder = place.0.path().join("a-folder");
    std::fs::create_dir(&folder).unwrap();

    let mut said = BTreeSet::new();
    for (options, store) in [
        (vec!["--frsh"], ""),
        (vec![file.to_str().unwrap()], ""),
        (vec![], "mermory:"),
        (vec![], "sqlite:a-folder"),
    ] {
        let output = place.command(&options).env("IDEM_STORE", store).output().expect("it starts");
        assert!(!output.status.success(), "{options:?} {store}");
        said.insert(String::from_utf8(output.stderr).expect("UTF-8"));
    }
    let said: String = said.into_iter().collect();
    for part in [
        "no option --frsh",
        "deliveries.jsonl, line 2: ",
        "there is no store for `mermory:`",
        "sqlite:a-folder",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!place.0.path().join("target/checkout/ledger.jsonl").exists(), "nothing was begun");
}
