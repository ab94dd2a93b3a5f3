//! What others do on Redis, each a program of its own, beside idem in the same run.

use std::process::Command;

use serde_json::Value;
use tokio::runtime::Runtime;

use crate::measure::Times;
use crate::redis::{Callers, Work, seconds};
use crate::table::{Row, time};

/// How many calls each program makes.
const CALLS: usize = 1_000;
const ROUNDS: usize = 9;

/// A program that prints what a first call and a duplicate take, and what its rows are held to.
struct Other {
    name: &'static str,
    /// Names what it needs: a Python, a folder with `node_modules`, or the program itself.
    variable: &'static str,
    how: &'static str,
    /// What it takes relative to idem: a first call, a duplicate.
    at_least: [f64; 2],
    /// Who calls, and what the numbers that it prints end with. Its function and its client share a thread, as idem's do
    /// where a task calls.
    callers: &'static [(&'static str, Callers, &'static str)],
    /// How many of the numbers that it prints make a nanosecond.
    unit: f64,
}

const OTHERS: [Other; 3] = [
    Other {
        name: "the crate `idempotent`",
        variable: "IDEM_BESIDE_IDEMPOTENT",
        how: "the program of benches/others/idempotent, built with `cargo build --release --ignore-rust-version`",
        at_least: [1.0, 1.0],
        callers: &[
            ("of the main function", Callers::Main, "_of_main"),
            ("of a task", Callers::Tasks(1), ""),
            ("of 50 tasks", Callers::Tasks(50), "_of_50"),
        ],
        unit: 1.0,
    },
    Other {
        name: "Powertools for Python",
        variable: "IDEM_POWERTOOLS_PYTHON",
        how: "a Python with `aws-lambda-powertools[redis]` and `boto3`",
        at_least: [1.6, 4.0],
        callers: &[("of a task", Callers::Tasks(1), "")],
        unit: 1e3,
    },
    Other {
        name: "Powertools for TypeScript",
        variable: "IDEM_POWERTOOLS_NODE",
        how: "a folder where npm has installed `@aws-lambda-powertools/idempotency` and `@redis/client`",
        at_least: [1.6, 4.0],
        callers: &[("of a task", Callers::Tasks(1), "")],
        unit: 1e3,
    },
];

impl Other {
    fn command(&self, needed: &std::ffi::OsStr, url: &str) -> Command {
        let script = |name: &str| format!("{}/others/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut command = match self.variable {
            "IDEM_POWERTOOLS_PYTHON" => {
                let mut python = Command::new(needed);
                python.arg(script("powertools.py"));
                python
            }
            "IDEM_POWERTOOLS_NODE" => {
                let mut node = Command::new("node");
                node.arg(script("powertools.mjs")).arg(needed);
                node
            }
            _ => Command::new(needed),
        };
        command.arg(url).arg(CALLS.to_string());
        command
    }

    fn rows(&self, runtime: &Runtime, url: &str) -> Vec<Row> {
        let Some(needed) = std::env::var_os(self.variable) else {
            eprintln!("{} is left out: set {} to {}", self.name, self.variable, self.how);
            return Vec::new();
        };
        let mut measured = Vec::new();
        for (who, callers, end) in self.callers {
            let calls = CALLS * if matches!(callers, Callers::Tasks(50)) { 20 } else { 1 };
            for (what, name, work, at_least) in [
                ("first call", "first", Work::First, self.at_least[0]),
                ("duplicate", "duplicate", Work::Duplicate, self.at_least[1]),
            ] {
                measured.push((
                    format!("{what} {who}, Redis"),
                    format!("{name}{end}"),
                    work,
                    *callers,
                    calls,
                    at_least,
                ));
            }
        }
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let said = self.command(&needed, url).output().expect("it runs");
            let theirs: Value = serde_json::from_slice(&said.stdout)
                .unwrap_or_else(|_| panic!("{}: {}", self.name, String::from_utf8_lossy(&said.stderr)));
            let mut round = Vec::new();
            for (_, name, work, callers, calls, _) in &measured {
                round.push(seconds(runtime, *work, *callers, *calls) * 1e9 / *calls as f64);
                round.push(theirs[name].as_f64().expect("a number") * self.unit);
            }
            rounds.push(round);
        }
        let times = Times::from_rounds(rounds);
        let row = |(index, (what, .., at_least)): (usize, (String, String, Work, Callers, usize, f64))| {
            let (ours, theirs) = (2 * index, 2 * index + 1);
            Row::new(what, time(times.of(ours)), format!("{}: {}", self.name, time(times.of(theirs))))
                .ratio(times.ratio(theirs, ours))
                .at_least(at_least)
        };
        measured.into_iter().enumerate().map(row).collect()
    }
}

pub fn rows(runtime: &Runtime, url: &str) -> Vec<Row> {
    OTHERS.iter().flat_map(|other| other.rows(runtime, url)).collect()
}
