//! Services in other languages: the examples, as they are, beside callers in Rust. They get each other's results.

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use common::{Device, device, key_file};
use idem::DeviceStore;
use idem::store::{Handle, IntoStore as _};

/// A service that runs.
struct Service {
    child: Child,
    port: u16,
    charged: Arc<Mutex<Vec<u64>>>,
    reading: Option<thread::JoinHandle<()>>,
}

impl Service {
    /// Nothing where the language is not installed, and a line says so; with `IDEM_REQUIRE_SERVERS=1` that is a panic.
    fn start(program: &str, file: &str, device: &Device, key: &str) -> Option<Service> {
        let file = format!("{}/../examples/clients/{file}", env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(program);
        command.args([&file, "0"]).env("IDEM_STORE", device.url()).env("IDEM_DEVICE_KEY", key);
        let Ok(mut child) = command.stdout(Stdio::piped()).spawn() else {
            assert!(std::env::var("IDEM_REQUIRE_SERVERS").is_err(), "{program} is not installed");
            eprintln!("SKIPPED: {program} is not installed");
            return None;
        };
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let port = lines.next().unwrap().strip_prefix("listens on ").unwrap().parse().unwrap();
        let charged = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&charged);
        let reading = thread::spawn(move || {
            for line in lines {
                let order = line.strip_prefix("charged ").unwrap().parse().unwrap();
                list.lock().unwrap().push(order);
            }
        });
        Some(Service { child, port, charged, reading: Some(reading) })
    }

    fn charge(&self, order: u64, cents: u64) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let body = format!(r#"{{"order": {order}, "cents": {cents}}}"#);
        let length = body.len();
        write!(stream, "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
            .unwrap();
        let answer = common::read(&mut stream);
        let text = String::from_utf8(answer.body.clone()).unwrap();
        // Node sends what it does not know the length of in chunks.
        let chunked = answer.header("transfer-encoding") == Some("chunked");
        (answer.status, if chunked { text.lines().nth(1).unwrap().to_owned() } else { text })
    }

    /// Stops it, and says what it has charged.
    fn charged(mut self) -> Vec<u64> {
        self.stop();
        self.reading.take().unwrap().join().unwrap();
        std::mem::take(&mut *self.charged.lock().unwrap())
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The same call in Rust.
fn charge(store: &Handle, order: u64, cents: u64, charged: &Mutex<Vec<u64>>) -> Result<String, idem::Error> {
    idem::call("orders.charge").arg(&order).arg(&cents).store(store).run_blocking(|| {
        charged.lock().unwrap().push(order);
        Ok(format!("receipt for order {order}: {cents}"))
    })
}

#[test]
fn every_language_gets_the_results_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, [key]) = key_file(folder.path(), ["shop"]);
    let device = device(&["--key-file", &keys]);
    let store = DeviceStore::builder(device.url()).key(&key).connect_blocking().unwrap().into_store();
    let (Some(python), Some(node)) = (
        Service::start("python3", "service.py", &device, &key),
        Service::start("node", "service.mjs", &device, &key),
    ) else {
        return;
    };
    let of_rust = Mutex::default();
    let receipt = |order: u64| (200, format!("receipt for order {order}: 1250"));
    let rust = |order: u64| (200, charge(&store, order, 1250, &of_rust).unwrap());

    // One after the other, each language first.
    assert_eq!([rust(1), python.charge(1, 1250), node.charge(1, 1250)], [receipt(1), receipt(1), receipt(1)]);
    assert_eq!([python.charge(2, 1250), node.charge(2, 1250), rust(2)], [receipt(2), receipt(2), receipt(2)]);
    assert_eq!([node.charge(3, 1250), rust(3), python.charge(3, 1250)], [receipt(3), receipt(3), receipt(3)]);
    assert_eq!(of_rust.lock().unwrap().len(), 1);

    // All at once: 40 orders, each from every language, twice.
    let next = AtomicUsize::new(0);
    let asked = 40 * 6;
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= asked {
                        return;
                    }
                    let order = 100 + number as u64 / 6;
                    let answer = match number % 3 {
                        // A plain function does not wait for a first call that runs, unless it is told to.
                        0 => loop {
                            match charge(&store, order, 1250, &of_rust) {
                                Err(error) if error.is_retryable() => thread::yield_now(),
                                charged => break (200, charged.unwrap()),
                            }
                        },
                        1 => python.charge(order, 1250),
                        _ => node.charge(order, 1250),
                    };
                    assert_eq!(answer, receipt(order));
                }
            });
        }
    });

    let mut times = BTreeMap::new();
    for order in [of_rust.into_inner().unwrap(), python.charged(), node.charged()].concat() {
        *times.entry(order).or_insert(0) += 1;
    }
    assert_eq!(times.len(), 43);
    assert!(times.values().all(|times| *times == 1), "{times:?}");
}

/// What nobody knows the outcome of, and what a person has decided without a result, is refused in every language.
#[test]
fn every_language_is_refused_alike() {
    let device = device(&[]);
    for (program, file, order) in [("python3", "service.py", 1), ("node", "service.mjs", 2)] {
        let Some(service) = Service::start(program, file, &device, "") else { return };
        let claim = format!(
            r#"{{"function": "orders.charge", "arguments": [{order}, 1250], "on_interrupt": "reject",
                "attempt": "00000000-0000-0000-0000-000000000007"}}"#
        );
        let token = device.post("/v1/claim", &claim).json()["token"].as_str().unwrap().to_owned();
        let of = |operation: &str| format!("/v1/records/{token}/{operation}");
        let attempt = r#"{"attempt": "00000000-0000-0000-0000-000000000007"}"#;
        assert_eq!(device.post(&of("interrupt"), attempt).status, 200);
        let (status, why) = service.charge(order, 1250);
        assert!(status == 409 && why.contains("reopened or resolved"), "{program}: {status} {why}");

        let fence = device.get(&format!("/v1/records/{token}")).json()["fence"].clone();
        let resolve = format!(r#"{{"fence": {fence}, "by": "ann"}}"#);
        assert_eq!(device.post(&of("resolve"), &resolve).status, 200);
        assert_eq!(
            service.charge(order, 1250),
            (409, "Do not submit repeated requests".to_owned()),
            "{program}"
        );
        assert!(service.charged().is_empty(), "{program}");
    }
}
