//! How long it takes from the end of a body in one process until whoever waits for it in another one has its result.

use std::io::{BufRead, BufReader, Write};
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::time::Duration;

use idem::store::Handle;
use idem::{Error, idempotent};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Builder;

use crate::measure::quantile;
use crate::table::{Row, time};

/// The argument with which the program starts itself as the process that waits.
pub const CHILD: &str = "wait-for-another-process";
const ROUNDS: u64 = 200;
/// How long a body runs: long enough for the other process to be waiting.
const BODY: Duration = Duration::from_millis(20);

/// All processes of a machine have this clock in common.
fn clock() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Of no type of its own: both processes call the same function.
type Body<'a> = Pin<Box<dyn Future<Output = i64> + 'a>>;

#[idempotent(name = "waiting.charge", key(round), skip(store, body), store = store)]
async fn charge(store: &Handle, round: u64, body: Body<'_>) -> Result<i64, Error> {
    Ok(body.await)
}

/// Waits for each round that it is told of, and tells when it had the result and when the body ended.
pub fn child() {
    let url = std::env::args().nth(2).expect("a URL");
    let store = idem::connect_blocking(&url).expect("connected");
    let runtime = Builder::new_multi_thread().enable_all().build().expect("a runtime");
    for line in std::io::stdin().lines() {
        let round: u64 = line.expect("a line").parse().expect("a number");
        let nobody = async { unreachable!("the other process runs the body") };
        let ended = runtime.block_on(charge(&store, round, Box::pin(nobody))).expect("a result");
        println!("{}", clock() - ended);
    }
}

pub fn row(name: &str, url: &str) -> Row {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args([CHILD, url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts");
    let mut told = child.stdin.take().expect("a pipe");
    let mut heard = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let store = idem::connect_blocking(url).expect("connected");
    let runtime = Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut delays = Vec::new();
    for round in 0..ROUNDS {
        let body = async {
            writeln!(told, "{round}").expect("it listens");
            tokio::time::sleep(BODY).await;
            clock()
        };
        runtime.block_on(charge(&store, round, Box::pin(body))).expect("charged");
        let delay: f64 = heard.next().expect("it tells").expect("a line").parse().expect("a number");
        delays.push(delay);
    }
    drop(told);
    child.wait().expect("it ends");
    let median = quantile(&delays, 0.5);
    let most = time(quantile(&delays, 0.99));
    Row::new(
        format!("from the end of a body to its waiter in another process, {name}, relative to 20 ms"),
        time(median),
        format!("99 of 100 within {most}"),
    )
    .ratio(median / 20e6)
    .at_most(1.0)
}
