//! Callers of the device who cost it something without asking for much: many who wait, and many who are slow.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::device::Server;
use crate::http::{Connection, get, post};
use crate::measure::quantile;
use crate::postgres::runtime;
use crate::table::{Row, time};

const WAITING: usize = 10_000;
const SLOW: usize = 5_000;
const MINUTE: Duration = Duration::from_secs(60);
/// How many callers ask as usual.
const USUAL: usize = 8;
const SUBMIT: &str = r#"{"function":"orders.charge","arguments":[7,"ann"]}"#;

pub fn rows(folder: &Path) -> Vec<Row> {
    std::fs::create_dir_all(folder).expect("the folder can be made");
    let folder = tempfile::tempdir_in(folder).expect("a folder for the files");
    let runtime = runtime();
    vec![waiting(&runtime, folder.path()), slow(&runtime, folder.path())]
}

/// The device's memory before and while so many callers wait for one running attempt.
fn waiting(runtime: &Runtime, folder: &Path) -> Row {
    let device = Server::device(folder, "sqlite:waiting.db");
    let json = |more: &str| format!(r#"{{"function":"orders.charge","arguments":[7,"ann"]{more}}}"#);
    let claim = |more: &str| post("/v1/claim", json(more));
    let beyond = runtime.block_on(async {
        let mut connection = Connection::open(device.address).await;
        assert_eq!(connection.ask(claim(r#","lease_ms":600000"#)).await.status, 201);
        // What the first requests take once is not the waiters'.
        for _ in 0..1_000 {
            assert_eq!(connection.ask(claim("")).await.status, 409);
        }
        let before = device.memory();
        let json = json(r#","wait_ms":60000"#);
        let length = json.len();
        let request = format!(
            "POST /v1/claim HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{json}"
        );
        let mut waiters = Vec::with_capacity(WAITING);
        for _ in 0..WAITING {
            let mut stream = TcpStream::connect(device.address).await.expect("it listens");
            stream.write_all(request.as_bytes()).await.expect("it listens");
            waiters.push(stream);
        }
        let all = format!("idem_device_waiting {WAITING}\n");
        let until = Instant::now() + Duration::from_secs(40);
        while !String::from_utf8_lossy(&connection.ask(get("/metrics")).await.body).contains(&all) {
            assert!(Instant::now() < until, "{WAITING} callers were to wait");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        device.memory() - before
    });
    let each = beyond / WAITING as f64 / 1024.0;
    Row::new(
        format!("memory of the device per waiting caller, {WAITING} waiting, relative to 20 KiB"),
        format!("{each:.1} KiB"),
        "its resident set before",
    )
    .ratio(each / 20.0)
    .at_most(1.0)
}

/// What duplicates take while many connections send a byte a second, beside what they take without.
fn slow(runtime: &Runtime, folder: &Path) -> Row {
    let device = Server::device(folder, "sqlite:slow.db");
    let (alone, beside, closed) = runtime.block_on(async {
        let mut connection = Connection::open(device.address).await;
        assert_eq!(connection.ask(post("/v1/submit", SUBMIT)).await.status, 201);
        let alone = usual(device.address, Duration::from_secs(20)).await;
        let (over, closed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..SLOW)
            .map(|_| tokio::spawn(drip(device.address, Arc::clone(&over), Arc::clone(&closed))))
            .collect();
        let beside = usual(device.address, MINUTE).await;
        over.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.expect("no panic");
        }
        (alone, beside, closed.load(Ordering::Relaxed))
    });
    Row::new(
        format!("a duplicate through the device while {SLOW} connections send a byte a second, for a minute"),
        time(beside),
        format!("without them: {}; {closed} of them were closed meanwhile, and came again", time(alone)),
    )
    .ratio(beside / alone)
    .at_most(2.0)
}

/// The median time of a request of those who ask as usual, a hundred times a second each.
async fn usual(address: SocketAddr, how_long: Duration) -> f64 {
    let took = Arc::new(Mutex::new(Vec::new()));
    let until = Instant::now() + how_long;
    let callers = (0..USUAL).map(|_| {
        let took = Arc::clone(&took);
        tokio::spawn(async move {
            let mut connection = Connection::open(address).await;
            while Instant::now() < until {
                let began = Instant::now();
                assert_eq!(connection.ask(post("/v1/submit", SUBMIT)).await.status, 200);
                took.lock().expect("no panic").push(began.elapsed().as_nanos() as f64);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("no panic");
    }
    let took = took.lock().expect("no panic");
    quantile(&took, 0.5)
}

/// Sends a byte a second of a request that has no end, and begins again where the connection is closed.
async fn drip(address: SocketAddr, over: Arc<AtomicBool>, closed: Arc<AtomicUsize>) {
    let start = b"POST /v1/submit HTTP/1.1\r\nhost: localhost\r\nx-slow: ";
    while !over.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(address).await else { continue };
        let mut bytes = start.iter().copied().chain(std::iter::repeat(b'x'));
        while !over.load(Ordering::Relaxed) {
            let byte = [bytes.next().expect("it has no end")];
            if stream.write_all(&byte).await.is_err() {
                closed.fetch_add(1, Ordering::Relaxed);
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
