//! What others do on Redis, each a program of its own, and idem, also one of its own, in turns.

use std::ops::Range;
use std::process::Command;
use std::time::Instant;

use serde_json::{Map, Value};
use tokio::runtime::{Builder, Runtime};

use crate::measure::Times;
use crate::redis::{Callers, call, connect, tasks};
use crate::table::{Row, time};

/// The argument with which the program starts itself as the one that calls.
pub const CHILD: &str = "call-on-redis";
/// How many calls each program makes: so many that it is as quick as it gets.
const CALLS: usize = 5_000;
const MANY: usize = 50;
const ROUNDS: usize = 9;

/// Who calls, as rows say it, and what the names of the numbers that the programs print end with.
const MAIN: (&str, &str) = ("of the main function", "_of_main");
const TASK: (&str, &str) = ("of a task", "");
const TASKS: (&str, &str) = ("of 50 tasks", "_of_50");

/// A program that prints what a first call and a duplicate take, and what its rows are held to.
struct Other {
    name: &'static str,
    /// Names what it needs: a Python, a folder with `node_modules`, or the program itself.
    variable: &'static str,
    how: &'static str,
    /// What it takes relative to idem: a first call, a duplicate.
    at_least: [f64; 2],
    /// Who calls. Where it does not say, its function and its client share a thread, as idem's do where a task calls.
    callers: &'static [(&'static str, &'static str)],
    /// How many of the numbers that it prints make a nanosecond.
    unit: f64,
}

const OTHERS: [Other; 3] = [
    Other {
        name: "the crate `idempotent`",
        variable: "IDEM_BESIDE_IDEMPOTENT",
        how: "the program of benches/others/idempotent, built with `cargo build --release --ignore-rust-version`",
        at_least: [1.0, 1.0],
        callers: &[MAIN, TASK, TASKS],
        unit: 1.0,
    },
    Other {
        name: "Powertools for Python",
        variable: "IDEM_POWERTOOLS_PYTHON",
        how: "a Python with `aws-lambda-powertools[redis]` and `boto3`",
        at_least: [1.6, 4.0],
        callers: &[TASK],
        unit: 1e3,
    },
    Other {
        name: "Powertools for TypeScript",
        variable: "IDEM_POWERTOOLS_NODE",
        how: "a folder where npm has installed `@aws-lambda-powertools/idempotency` and `@redis/client`",
        at_least: [1.6, 4.0],
        callers: &[TASK],
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

    fn rows(&self, url: &str) -> Vec<Row> {
        let Some(needed) = std::env::var_os(self.variable) else {
            eprintln!("{} is left out: set {} to {}", self.name, self.variable, self.how);
            return Vec::new();
        };
        let mut measured = Vec::new();
        for (who, end) in self.callers {
            for (what, name, at_least) in
                [("first call", "first", self.at_least[0]), ("duplicate", "duplicate", self.at_least[1])]
            {
                measured.push((format!("{what} {who}, Redis"), format!("{name}{end}"), at_least));
            }
        }
        let mut idem = Command::new(std::env::current_exe().expect("this program"));
        idem.args([CHILD, url]);
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let theirs = said(self.name, &mut self.command(&needed, url));
            let ours = said("idem", &mut idem);
            let nanos = |said: &Value, name: &str| said[name].as_f64().expect("a number");
            let round = measured
                .iter()
                .flat_map(|(_, name, _)| [nanos(&ours, name), nanos(&theirs, name) * self.unit]);
            rounds.push(round.collect());
        }
        let times = Times::from_rounds(rounds);
        let row = |(index, (what, _, at_least)): (usize, (String, String, f64))| {
            let (ours, theirs) = (2 * index, 2 * index + 1);
            Row::new(what, time(times.of(ours)), format!("{}: {}", self.name, time(times.of(theirs))))
                .ratio(times.ratio(theirs, ours))
                .at_least(at_least)
        };
        measured.into_iter().enumerate().map(row).collect()
    }
}

/// The numbers that a program prints.
fn said(name: &str, program: &mut Command) -> Value {
    let said = program.output().expect("it runs");
    serde_json::from_slice(&said.stdout)
        .unwrap_or_else(|_| panic!("{name}: {}", String::from_utf8_lossy(&said.stderr)))
}

/// Calls by idem, and prints what the program of the crate `idempotent` prints.
pub fn child(url: &str) {
    // As `#[tokio::main]` makes it.
    let runtime = Builder::new_multi_thread().enable_all().build().expect("a runtime");
    connect(url);
    // Orders that no earlier process had.
    let mut next = (std::process::id() as usize) << 32;
    let mut orders = |calls| {
        next += calls;
        next - calls..next
    };
    nanoseconds(&runtime, Callers::Main, orders(CALLS / 10));
    let mut measured = Map::new();
    for ((_, end), callers, calls) in [
        (MAIN, Callers::Main, CALLS),
        (TASK, Callers::Tasks(1), CALLS),
        (TASKS, Callers::Tasks(MANY), CALLS * 4),
    ] {
        let orders = orders(calls);
        for what in ["first", "duplicate"] {
            let nanos = nanoseconds(&runtime, callers, orders.clone());
            measured.insert(format!("{what}{end}"), nanos.into());
        }
    }
    println!("{}", Value::from(measured));
}

/// Nanoseconds for each call of these orders.
fn nanoseconds(runtime: &Runtime, callers: Callers, orders: Range<usize>) -> f64 {
    let calls = orders.len();
    let began = Instant::now();
    match callers {
        Callers::Main => runtime.block_on(async {
            for order in orders {
                call(order).await;
            }
        }),
        Callers::Tasks(count) => tasks(runtime, count, calls, |caller, _| {
            let orders = orders.clone().skip(caller).step_by(count);
            async move {
                for order in orders {
                    call(order).await;
                }
            }
        }),
    }
    began.elapsed().as_nanos() as f64 / calls as f64
}

pub fn rows(url: &str) -> Vec<Row> {
    OTHERS.iter().flat_map(|other| other.rows(url)).collect()
}
