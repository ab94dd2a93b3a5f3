//! The idempotent device: beside the store in which it keeps its records, and beside a handler of the same web framework
//! that reads as much, answers as much, and does nothing.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path as PathOf;
use axum::http::{Request, StatusCode, header};
use axum::routing::post as on_post;
use http_body_util::Full;
use idem::store::Handle;
use idem::{Error, idempotent};
use idem_servers::Redis;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::http::{self, Connection, post};
use crate::postgres::{in_turns, per_call, runtime};
use crate::subject::arguments;
use crate::table::Row;

/// The argument with which the program starts itself as the server that does nothing.
pub const CHILD: &str = "answer-and-do-nothing";
const CALLERS: usize = 32;
const CALLS: usize = 300;
const ROUNDS: usize = 11;
const RECORDS: usize = 1_000;

/// A server in a process of its own.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts a server that prints its address.
    fn start(command: &mut Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let address = line.split("://").nth(1).and_then(|rest| rest.split([';', '\n']).next());
        let address = address.and_then(|address| address.parse().ok());
        Server { child, address: address.unwrap_or_else(|| panic!("no address in `{line}`")) }
    }

    /// The device, on a free port.
    pub fn device(folder: &Path, store: &str) -> Server {
        let mut command = Command::new(program());
        command.args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--store", store]);
        Server::start(command.current_dir(folder))
    }

    /// How much memory it has, in bytes.
    pub fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident set");
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib * 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The device's program, built as this one was.
fn program() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--package", "idem-device", "--bin", "idem", "--target-dir"])
        .arg(target)
        .status();
    assert!(built.expect("cargo starts").success(), "the device does not build");
    target.join("release/idem")
}

/// What is answered to each kind of request.
#[derive(Clone, Serialize, Deserialize)]
struct Answers {
    claim: (u16, String),
    complete: (u16, String),
}

/// The server that answers and does nothing.
pub fn child(answers: &str) {
    let Answers { claim, complete } = serde_json::from_str(answers).expect("answers");
    runtime().block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        println!("http://{}", listener.local_addr().expect("an address"));
        let answer = |(status, body): (u16, String)| {
            let (status, body) = (StatusCode::from_u16(status).expect("a status"), Bytes::from(body));
            move || (status, [(header::CONTENT_TYPE, "application/json")], body.clone())
        };
        let (claim, complete) = (answer(claim), answer(complete));
        let claimed = on_post(async move |read: Bytes| {
            black_box(read);
            claim()
        });
        let completed = on_post(async move |PathOf(token): PathOf<String>, read: Bytes| {
            black_box((token, read));
            complete()
        });
        let routes =
            Router::new().route("/v1/claim", claimed).route("/v1/records/{token}/complete", completed);
        axum::serve(listener, routes).await.expect("it serves");
    });
}

fn nothing(answers: &Answers) -> Server {
    let answers = serde_json::to_string(answers).expect("JSON");
    Server::start(Command::new(std::env::current_exe().expect("this program")).args([CHILD, &answers]))
}

type Asked = Request<Full<Bytes>>;

fn claim(index: usize) -> Asked {
    post("/v1/claim", arguments_as_json(index))
}

fn arguments_as_json(index: usize) -> String {
    let (order, who) = arguments(index);
    format!(r#"{{"function":"orders.charge","arguments":[{order},"{who}"]}}"#)
}

/// Completes what was claimed with this answer.
fn complete(claimed: &[u8]) -> Asked {
    let of = |name: &str| {
        let text = std::str::from_utf8(claimed).expect("JSON");
        let at = text.find(name).expect("it is there") + name.len();
        &text[at..at + text[at..].find('"').expect("its end")]
    };
    let (token, attempt) = (of(r#""token":""#), of(r#""attempt":""#));
    let result = r#"{"payment":"pay_1000000000","amount_cents":1250}"#;
    let json = format!(r#"{{"attempt":"{attempt}","result":{result}}}"#);
    post(&format!("/v1/records/{token}/complete"), json)
}

/// Which call is the next that nobody has made.
static NEXT: AtomicUsize = AtomicUsize::new(RECORDS);

/// One of the records that are there.
fn any() -> usize {
    static AT: AtomicUsize = AtomicUsize::new(0);
    AT.fetch_add(7_919, Ordering::Relaxed) % RECORDS
}

async fn first(mut connection: Connection) -> Connection {
    let claimed = connection.ask(claim(NEXT.fetch_add(1, Ordering::Relaxed))).await;
    assert_eq!(claimed.status, 201, "{}", String::from_utf8_lossy(&claimed.body));
    let completed = connection.ask(complete(&claimed.body)).await;
    assert_eq!(completed.status, 200, "{}", String::from_utf8_lossy(&completed.body));
    connection
}

async fn duplicate(mut connection: Connection) -> Connection {
    let answer = connection.ask(claim(any())).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    connection
}

#[derive(Clone, Serialize, Deserialize)]
struct Receipt {
    payment: String,
    amount_cents: u64,
}

#[idempotent(name = "orders.charge", skip(store), store = store)]
async fn charge(store: &Handle, order: u64, who: &str) -> Result<Receipt, Error> {
    black_box((order, who));
    Ok(Receipt { payment: "pay_1000000000".into(), amount_cents: 1250 })
}

/// A device with the records of duplicates; and what it answers.
fn filled(runtime: &Runtime, folder: &Path, store: &str) -> (Server, Answers, Answers) {
    let device = Server::device(folder, store);
    let (firsts, duplicates) = runtime.block_on(async {
        let mut connection = Connection::open(device.address).await;
        let mut text = async |request: Asked| {
            let answer = connection.ask(request).await;
            (answer.status, String::from_utf8(answer.body.into()).expect("JSON"))
        };
        let mut answers = None;
        for index in 0..RECORDS {
            let claim = text(claim(index)).await;
            let complete = text(complete(claim.1.as_bytes())).await;
            answers = Some(Answers { claim, complete });
        }
        let firsts = answers.expect("some records");
        let again = text(claim(RECORDS - 1)).await;
        let done: Value = serde_json::from_str(&again.1).expect("JSON");
        assert_eq!(done["result"]["amount_cents"], 1250);
        (firsts.clone(), Answers { claim: again, ..firsts })
    });
    (device, firsts, duplicates)
}

fn beside(runtime: &Runtime, folder: &Path, name: &str, urls: [&str; 2], at_least: f64) -> Vec<Row> {
    let (device, firsts, duplicates) = filled(runtime, folder, urls[0]);
    let (bare_firsts, bare_duplicates) = (nothing(&firsts), nothing(&duplicates));
    let store = idem::connect_blocking(urls[1]).expect("the store opens");
    let by_library = |call: fn(usize) -> usize| {
        let store = store.clone();
        move || {
            let store = store.clone();
            per_call(runtime, CALLERS, CALLS, move || {
                let (store, (order, who)) = (store.clone(), arguments(call(0)));
                async move {
                    black_box(charge(&store, order, who).await.expect("charged"));
                }
            })
        }
    };
    for index in 0..RECORDS {
        let (order, who) = arguments(index);
        runtime.block_on(charge(&store, order, who)).expect("charged");
    }
    let firsts = in_turns(
        ROUNDS,
        &[
            Box::new(|| http::per_call(runtime, device.address, CALLERS, CALLS, first)),
            Box::new(|| http::per_call(runtime, bare_firsts.address, CALLERS, CALLS, first)),
            Box::new(by_library(|_| NEXT.fetch_add(1, Ordering::Relaxed))),
        ],
    );
    let duplicates = in_turns(
        ROUNDS,
        &[
            Box::new(|| http::per_call(runtime, device.address, CALLERS, CALLS, duplicate)),
            Box::new(|| http::per_call(runtime, bare_duplicates.address, CALLERS, CALLS, duplicate)),
            Box::new(by_library(|_| any())),
        ],
    );
    let rate = |nanos: f64| format!("{:.0} per second", 1e9 / nanos);
    let mut rows = Vec::new();
    for (what, times, target) in
        [("claim and complete", &firsts, None), ("duplicates", &duplicates, Some(at_least))]
    {
        let what = format!("{what} of {CALLERS} callers, the device over {name}");
        let besides = [("a bare axum handler", 1), ("by the library on the store itself", 2)];
        for (other, index) in besides {
            let row = Row::new(&what, rate(times.of(0)), format!("{other}: {}", rate(times.of(index))));
            let row = row.ratio(times.ratio(index, 0));
            rows.push(match target {
                Some(target) if index == 1 => row.at_least(target),
                _ => row,
            });
        }
    }
    rows
}

/// The reverse proxy `idempotent-proxy`, in front of the handler that does nothing.
fn proxy(runtime: &Runtime, folder: &Path, redis: &Redis) -> Vec<Row> {
    let Some(program) = std::env::var_os("IDEM_BESIDE_PROXY") else {
        eprintln!(
            "idempotent-proxy is left out: set IDEM_BESIDE_PROXY to the program that `cargo install idempotent-proxy-server` makes"
        );
        return Vec::new();
    };
    let (device, _, duplicates) = filled(runtime, folder, &format!("{}/1", redis.url()));
    let behind = nothing(&duplicates);
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.expect("a free port");
    // It wants this file, and finds everything in its environment.
    std::fs::write(folder.join(".env"), "").expect("the file can be written");
    let environment = BTreeMap::from([
        ("SERVER_ADDR", address.to_string()),
        ("REDIS_URL", format!("{}/2", redis.url())),
        ("URL_CHARGE", format!("http://{}/v1/claim", behind.address)),
        ("LOG_LEVEL", "error".to_owned()),
    ]);
    let mut command = Command::new(program);
    command.envs(environment).current_dir(folder).stdout(Stdio::null());
    let child = command.spawn().expect("it starts");
    let proxy = Server { child, address };
    runtime.block_on(async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let next = Arc::new(AtomicUsize::new(0));
    let by_proxy = |index: Arc<dyn Fn() -> usize + Send + Sync>| {
        move || {
            let index = Arc::clone(&index);
            http::per_call(runtime, proxy.address, CALLERS, CALLS, move |mut connection| {
                let index = index();
                async move {
                    let mut request = post("/URL_CHARGE", arguments_as_json(index));
                    request.headers_mut().insert("idempotency-key", index.into());
                    let answer = connection.ask(request).await;
                    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
                    connection
                }
            })
        }
    };
    let new = {
        let next = Arc::clone(&next);
        Arc::new(move || next.fetch_add(1, Ordering::Relaxed))
    };
    let (proxied_first, proxied_again) = (by_proxy(new), by_proxy(Arc::new(|| any() % 1_000)));
    let firsts = in_turns(
        ROUNDS,
        &[
            Box::new(|| http::per_call(runtime, device.address, CALLERS, CALLS, first)),
            Box::new(proxied_first),
        ],
    );
    let duplicates = in_turns(
        ROUNDS,
        &[
            Box::new(|| http::per_call(runtime, device.address, CALLERS, CALLS, duplicate)),
            Box::new(proxied_again),
        ],
    );
    let rate = |nanos: f64| format!("{:.0} per second", 1e9 / nanos);
    [("first calls", firsts), ("duplicates", duplicates)]
        .into_iter()
        .map(|(what, times)| {
            Row::new(
                format!("{what} of {CALLERS} callers, the device over Redis"),
                rate(times.of(0)),
                format!("`idempotent-proxy` over Redis: {}", rate(times.of(1))),
            )
            .ratio(times.ratio(1, 0))
        })
        .collect()
}

pub fn rows(folder: &Path) -> Vec<Row> {
    let runtime = runtime();
    std::fs::create_dir_all(folder).expect("the folder can be made");
    let folder = tempfile::tempdir_in(folder).expect("a folder for the files");
    let file = format!("sqlite:{}", folder.path().join("library.db").display());
    let mut rows = beside(&runtime, folder.path(), "SQLite", ["sqlite:device.db", &file], 0.5);
    if let Some(redis) = Redis::start() {
        let (of_device, of_library) = (redis.url(), format!("{}/3", redis.url()));
        rows.extend(beside(&runtime, folder.path(), "Redis", [&of_device, &of_library], 0.3));
        rows.extend(proxy(&runtime, folder.path(), &redis));
    }
    rows
}
