//! What callers get, how often the body runs, and what the next caller gets.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use idem::store::{AttemptId, Handle, Reply, Request, Store};
use idem::{Error, OnError, on_error};
use idem_servers::Proxy;

use super::faults::{ALL, Breaks};
use super::limited;
use super::table::Table;

const LIMIT: Duration = Duration::from_millis(400);
/// Longer than a connection is broken here, and a body that outlasts its own.
const LEASE: Duration = Duration::from_secs(3);
const SHORT_LEASE: Duration = Duration::from_millis(450);
const SLACK: Duration = Duration::from_secs(5);

/// A step of a call at which its connection breaks.
struct Step {
    name: &'static str,
    /// Whether that is before the body.
    before: bool,
    body: Body,
}

#[derive(Clone, Copy, PartialEq)]
enum Body {
    Ok,
    /// It frees the token.
    Err,
    /// Nobody knows what it did.
    Unknown,
    /// It takes longer than its lease.
    Long,
}

impl Body {
    fn lease(self) -> Duration {
        if self == Body::Long { SHORT_LEASE } else { LEASE }
    }
}

const STEPS: &[Step] = &[
    Step { name: "claim", before: true, body: Body::Ok },
    Step { name: "complete", before: false, body: Body::Ok },
    Step { name: "release", before: false, body: Body::Err },
    Step { name: "interrupt", before: false, body: Body::Unknown },
    Step { name: "renew", before: false, body: Body::Long },
];

/// The function: its `Err` frees the token, or nobody knows what it did.
#[derive(Debug, PartialEq)]
enum Failure {
    Own,
    Library(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Library(error.to_string())
    }
}

fn call(
    store: &Handle,
    id: &str,
    ends: Body,
    body: impl FnOnce() -> Result<u32, Failure>,
) -> Result<u32, Failure> {
    let means = if ends == Body::Unknown { OnError::Interrupt } else { OnError::Release };
    idem::call("connections.call")
        .arg(id)
        .store(store)
        .lease(ends.lease())
        .wait(LEASE * 3 + SLACK)
        .on_error(on_error::With(move |_: &Failure| means))
        .run_blocking(body)
}

/// How many bytes a request and its answer take that end a call, or claim it.
fn bytes(step: &Step, proxied: &Handle, proxy: &Proxy) -> (u64, u64) {
    let mut seen = (0, 0);
    for _ in 0..3 {
        let id = AttemptId::random().to_string();
        let mut at = proxy.bytes();
        let before = at;
        let _ = call(proxied, &id, step.body, || {
            at = proxy.bytes();
            match step.body {
                Body::Ok | Body::Long => Ok(1),
                Body::Err | Body::Unknown => Err(Failure::Own),
            }
        });
        let after = proxy.bytes();
        let (from, to) = if step.before { (before, at) } else { (at, after) };
        seen = (to.0 - from.0, to.1 - from.1);
    }
    seen
}

fn broken(
    step: &Step,
    breaks: &Breaks,
    bytes: (u64, u64),
    direct: &Handle,
    proxied: &Handle,
    proxy: &Proxy,
) -> (String, Option<String>) {
    settled(proxied);
    let id = AttemptId::random().to_string();
    let token = idem::call("connections.call").arg(id.as_str()).token().expect("a text makes a token");
    let runs = AtomicU32::new(0);
    let began = Instant::now();
    if step.before {
        breaks.put(proxy, bytes);
    }
    let first = call(proxied, &id, step.body, || {
        let run = runs.fetch_add(1, Ordering::Relaxed) + 1;
        if !step.before {
            breaks.put(proxy, bytes);
        }
        match step.body {
            Body::Ok => Ok(run),
            Body::Err | Body::Unknown => Err(Failure::Own),
            Body::Long => {
                std::thread::sleep(SHORT_LEASE * 3 / 2);
                Ok(run)
            }
        }
    });
    let took = began.elapsed();
    let ran = runs.load(Ordering::Relaxed);
    let record = match direct.ask(Request::Get { token }).wait(Some(SLACK)) {
        Ok(Ok(Reply::Record(record))) => {
            record.map_or("no record".to_owned(), |record| record.head.state.to_string())
        }
        other => panic!("{other:?}"),
    };
    proxy.heal();
    let asked = Instant::now();
    let next = call(direct, &id, Body::Ok, || Ok(runs.fetch_add(1, Ordering::Relaxed) + 1));
    let waited = asked.elapsed();
    let last = call(direct, &id, Body::Ok, || Ok(runs.fetch_add(1, Ordering::Relaxed) + 1));
    let runs = runs.load(Ordering::Relaxed);

    let given = match &first {
        Ok(_) => "own `Ok`",
        Err(Failure::Own) => "own `Err`",
        Err(Failure::Library(_)) => "store error",
    };
    let cell = format!("{given}, {record}, next: {}", if runs == ran { "replayed" } else { "runs" });
    // Renewals that do not arrive for longer than the lease: then the store cannot know that the body still runs.
    let outlasted = step.body == Body::Long && breaks.lasts && record == "running";
    let most = LIMIT * 2 + SLACK;
    let wrong = match (step.body, &first) {
        _ if took > most => Some(format!("its caller waited for {took:?}")),
        _ if waited > LEASE + LIMIT + SLACK => Some(format!("the next caller waited for {waited:?}")),
        _ if last != next => Some(format!("the next callers got {next:?} and {last:?}")),
        _ if outlasted && runs <= 2 => None,
        (_, Err(Failure::Library(_))) if !step.before => {
            Some(format!("the body ended, and the caller got {first:?}"))
        }
        (_, Err(Failure::Library(_))) if ran != 0 => Some(format!("refused, and the body ran: {first:?}")),
        (Body::Ok | Body::Long, Ok(1)) if next != Ok(1) || runs != 1 => {
            Some(format!("done, and the next caller got {next:?} after {runs} runs"))
        }
        (Body::Err | Body::Unknown, Err(Failure::Own)) if next != Ok(2) || runs != 2 => {
            Some(format!("not done, and the next caller got {next:?} after {runs} runs"))
        }
        (_, Err(Failure::Library(_))) if next != Ok(1) => {
            Some(format!("it did not run, and the next caller got {next:?}"))
        }
        _ => None,
    };
    (cell, wrong)
}

/// Waits until the store is connected again.
fn settled(proxied: &Handle) {
    let until = Instant::now() + SLACK;
    while !matches!(proxied.ask(Request::Get { token: idem::Token::default() }).wait(Some(SLACK)), Ok(Ok(_)))
    {
        assert!(Instant::now() < until, "healed, and still not connected");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn run(url: &str) -> Table {
    let columns = ALL.iter().map(|breaks| breaks.name.to_owned());
    let title =
        format!("Calls on {url}: what the caller gets, what the record is then, what the next caller gets");
    let mut table = Table::new(title, columns);
    let direct = idem::connect_blocking(url).expect("the store is there");
    let rows: Vec<_> = std::thread::scope(|threads| {
        let rows: Vec<_> = STEPS
            .iter()
            .map(|step| {
                let direct = direct.clone();
                threads.spawn(move || {
                    let proxy = Proxy::to(url);
                    let proxied = limited(proxy.url(), LIMIT);
                    let proxied = idem::connect_blocking(&proxied).expect("the store is there");
                    let bytes = bytes(step, &proxied, &proxy);
                    let cells =
                        ALL.iter().map(|breaks| broken(step, breaks, bytes, &direct, &proxied, &proxy));
                    (step.name, cells.collect())
                })
            })
            .collect();
        rows.into_iter().map(|row| row.join().expect("a step's row")).collect()
    });
    rows.into_iter().for_each(|(name, cells)| table.row(name, cells));
    table
}
