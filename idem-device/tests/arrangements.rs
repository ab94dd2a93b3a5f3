//! The three arrangements, and what a service sees of a device.

mod common;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Device, device, key_file};
use idem::store::{Fault, Handle, Reply, Request, State};
use idem::{DeviceStore, Error, MemoryStore, SqliteStore, Store as _, idempotent};

/// How often a body ran, and the store that its function uses.
struct Shop {
    store: Handle,
    charged: AtomicU64,
}

impl Shop {
    fn new(store: impl idem::store::IntoStore) -> Self {
        Shop { store: store.into_store(), charged: AtomicU64::new(0) }
    }

    #[idempotent(name = "shop.charge", key(order), store = &self.store, skip(self))]
    async fn charge(&self, order: u64, cents: u64) -> Result<String, Error> {
        self.charged.fetch_add(1, Ordering::SeqCst);
        Ok(format!("receipt for order {order}: {cents}"))
    }

    #[idempotent(name = "shop.submit", on_duplicate = reject, record_arguments, store = &self.store, skip(self))]
    async fn submit(&self, form: &str, amount: u64) -> Result<(), Error> {
        self.charged.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    #[idempotent(name = "shop.large", store = &self.store, skip(self))]
    async fn large(&self, bytes: usize) -> Result<String, Error> {
        self.charged.fetch_add(1, Ordering::SeqCst);
        Ok("x".repeat(bytes))
    }

    fn charged(&self) -> u64 {
        self.charged.load(Ordering::SeqCst)
    }
}

/// First call, duplicate, and the same key with another amount.
async fn charges_once(shop: &Shop) {
    let first = shop.charge(7, 1250).await.unwrap();
    assert_eq!(first, "receipt for order 7: 1250");
    assert_eq!(shop.charge(7, 1250).await.unwrap(), first);
    let Err(Error::Mismatch { argument, .. }) = shop.charge(7, 1251).await else { panic!("not a mismatch") };
    assert_eq!(&*argument, "cents");
    assert_eq!(shop.charged(), 1);
}

/// The device as a store, as `IDEM_STORE=http://…` makes it.
async fn through(device: &Device) -> Handle {
    idem::connect(&device.url()).await.unwrap()
}

/// How many requests the device has answered, and not counted here, by operation.
fn requests(device: &Device, operation: &str) -> u64 {
    let metrics = device.get("/metrics");
    let text = String::from_utf8(metrics.body).unwrap();
    let counts = text.lines().filter(|line| {
        line.starts_with("idem_device_answers_total{") && line.contains(&format!("operation=\"{operation}\""))
    });
    counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Token and store live in the service.
#[tokio::test]
async fn service_alone() {
    charges_once(&Shop::new(MemoryStore::new())).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    charges_once(&Shop::new(SqliteStore::builder(&path).open().unwrap())).await;
    // Another process of the service, later.
    let again = Shop::new(SqliteStore::builder(&path).open().unwrap());
    assert_eq!(again.charge(7, 1250).await.unwrap(), "receipt for order 7: 1250");
    assert_eq!(again.charged(), 0);
}

/// The device makes the token, looks it up, stores it and answers.
#[tokio::test]
async fn service_and_device() {
    let mut device = device(&[]);
    let shop = Shop::new(through(&device).await);
    charges_once(&shop).await;

    // Another service, in another language: the same name and arguments are the same call.
    let claim = r#"{"function":"shop.charge","arguments":[7],"verify":{"cents":1250}}"#;
    let found = device.post("/v1/claim", claim);
    assert_eq!((found.status, found.json()["result"].as_str()), (200, Some("receipt for order 7: 1250")));
    let differs = device.post("/v1/claim", &claim.replace("1250", "1251"));
    assert_eq!((differs.status, differs.json()["argument"].as_str()), (422, Some("cents")));

    // The device dies and comes back: nothing runs twice.
    device.kill_and_restart(&[]);
    assert_eq!(shop.charge(7, 1250).await.unwrap(), "receipt for order 7: 1250");
    assert_eq!(shop.charged(), 1);
}

/// The stored record holds token, signature and parameters; a repeated request is given up.
#[tokio::test]
async fn concrete_flow() {
    let device = device(&[]);
    // A caller that only wants to be told.
    let call = r#"{"function":"shop.submit","arguments":["order",1250]}"#;
    let first = device.post("/v1/submit", call);
    assert_eq!(first.status, 201);
    let token = first.json()["token"].as_str().unwrap().to_owned();
    let again = device.post("/v1/submit", call);
    assert_eq!((again.status, &again.json()["message"]), (200, &"Do not submit repeated requests".into()));
    let record = device.get(&format!("/v1/records/{token}")).json();
    assert_eq!(record["token"], token);
    assert_eq!(record["function"], "shop.submit");
    assert_eq!(record["arguments"], serde_json::json!(["order", 1250]));
    assert_eq!(record["state"], "done");

    // An annotated service is told the same, whoever was first.
    let shop = Shop::new(through(&device).await);
    let refused = shop.submit("order", 1250).await.unwrap_err();
    assert!(refused.to_string().starts_with("Do not submit repeated requests"), "{refused}");
    assert_eq!(refused.token().unwrap().to_string(), token);
    shop.submit("order", 1251).await.unwrap();
    assert_eq!(shop.charged(), 1);
    let token = shop.submit("order", 1251).await.unwrap_err().token().unwrap();
    let record = device.get(&format!("/v1/records/{token}")).json();
    assert_eq!(record["arguments"], serde_json::json!(["order", 1251]));
}

#[tokio::test]
async fn a_first_call_is_two_requests_and_a_duplicate_one() {
    let device = device(&["--store", "memory:"]);
    let shop = Shop::new(through(&device).await);
    assert_eq!((requests(&device, "stats"), requests(&device, "claim")), (1, 0));
    for _ in 0..5 {
        shop.charge(7, 1250).await.unwrap();
    }
    assert_eq!((requests(&device, "claim"), requests(&device, "complete")), (5, 1));
    for other in ["stats", "renew", "release", "interrupt", "get"] {
        assert_eq!(requests(&device, other), u64::from(other == "stats"), "{other}");
    }
}

#[tokio::test]
async fn connections_are_kept() {
    let device = device(&["--store", "memory:", "--log", "debug"]);
    let shop = Shop::new(through(&device).await);
    for order in 0..20 {
        shop.charge(order, 1).await.unwrap();
    }
    let log = device.log();
    let mut ports: Vec<_> = log
        .lines()
        .filter(|line| line.contains("answered"))
        .filter_map(|line| line.split("peer=").nth(1))
        .collect();
    ports.iter_mut().for_each(|peer| *peer = peer.split(' ').next().unwrap());
    assert_eq!(ports.len(), 41, "{log}");
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 1, "one connection: {ports:?}");
}

#[tokio::test]
async fn only_the_token_is_sent_where_that_is_asked_for() {
    let device = device(&["--log", "debug"]);
    let url = format!("{}?send=token", device.url());
    let shop = Shop::new(idem::connect(&url).await.unwrap());
    charges_once(&shop).await;
    let error = shop.submit("order", 1250).await.unwrap_err();
    assert!(matches!(error, Error::Misuse { .. }), "{error}");
    assert!(error.to_string().contains("send=token"), "{error}");
    assert_eq!(shop.charged(), 1);
    // It is the same token, whoever makes it.
    assert_eq!(Shop::new(through(&device).await).charge(7, 1250).await.unwrap(), "receipt for order 7: 1250");
}

#[tokio::test]
async fn what_the_device_does_not_take_is_done_all_the_same() {
    let device = device(&["--max-body", "100000"]);
    let shop = Shop::new(through(&device).await);
    assert_eq!(shop.large(200_000).await.unwrap().len(), 200_000);
    let duplicate = shop.large(200_000).await.unwrap_err();
    assert!(matches!(duplicate, Error::Duplicate { .. }), "{duplicate}");
    assert_eq!(shop.charged(), 1);
}

#[tokio::test]
async fn a_device_that_cannot_be_used_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, [key]) = key_file(folder.path(), ["shop"]);
    let device = device(&["--key-file", &keys]);
    let without = idem::connect(&device.url()).await.unwrap_err();
    assert!(without.to_string().contains("IDEM_DEVICE_KEY"), "{without}");
    let with = DeviceStore::builder(device.url()).key(&key).connect().await.unwrap();
    assert_eq!(with.profile().durability.to_string(), "synced");
    charges_once(&Shop::new(&with)).await;
    assert!(!device.log().contains(&key));

    let nobody = idem::connect("http://127.0.0.1:9").await.unwrap_err();
    assert!(nobody.to_string().contains("is the device running"), "{nobody}");
    let elsewhere = idem::connect(&format!("{}/healthz", device.url())).await.unwrap_err();
    assert!(
        elsewhere.to_string().contains("there is nothing at this address")
            || elsewhere.to_string().contains("begin with /v1"),
        "{elsewhere}"
    );
}

#[tokio::test]
async fn many_at_once_run_one_body() {
    let device = device(&["--store", "memory:"]);
    let shop = std::sync::Arc::new(Shop::new(through(&device).await));
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let shop = std::sync::Arc::clone(&shop);
            tokio::spawn(async move { shop.charge(7, 1250).await.unwrap() })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), "receipt for order 7: 1250");
    }
    assert_eq!(shop.charged(), 1);
}

#[test]
fn a_plain_function_through_a_device() {
    let device = device(&["--store", "memory:"]);
    let store = idem::connect_blocking(&device.url()).unwrap();
    let ran = AtomicU64::new(0);
    for _ in 0..3 {
        let number: u64 = idem::call("shop.next")
            .arg(&7)
            .store(&store)
            .run_blocking(|| Ok::<_, Error>(ran.fetch_add(1, Ordering::SeqCst) + 1))
            .unwrap();
        assert_eq!(number, 1);
    }
}

/// Who waits at a device that has no room asks again; who is refused does not.
#[tokio::test]
async fn a_watch_asks_again_where_that_may_help() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, [key]) = key_file(folder.path(), ["shop"]);
    let mut device = device(&["--key-file", &keys, "--max-waiting", "0"]);
    let store = DeviceStore::builder(device.url()).key(&key).connect().await.unwrap();
    let claimed = device.post_as(&key, "/v1/claim", r#"{"function":"shop.charge","arguments":[7]}"#).json();
    let token = claimed["token"].as_str().unwrap().parse().unwrap();
    let watch = async |limit| {
        let watching = store.ask(Request::Watch { token, limit });
        tokio::time::timeout(Duration::from_secs(30), watching).await.expect("answered")
    };
    let limit = Duration::from_millis(700);
    let asked_at = Instant::now();
    let answer = watch(limit).await;
    assert!(
        matches!(&answer, Ok(Reply::Record(Some(record))) if record.head.state == State::Running),
        "{answer:?}"
    );
    assert!(asked_at.elapsed() >= limit);

    let (others, _) = key_file(device.folder.path(), ["bank"]);
    device.kill_and_restart(&["--key-file", &others]);
    let error = watch(Duration::MAX).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Refused, "{error}");
}

#[tokio::test]
async fn a_watch_without_a_limit_is_asked_again_until_the_end() {
    let device = device(&["--max-wait", "100ms"]);
    let store = DeviceStore::connect(&device.url()).await.unwrap();
    let claimed = device.post("/v1/claim", r#"{"function":"shop.charge","arguments":[7]}"#).json();
    let (token, attempt) = (claimed["token"].as_str().unwrap(), claimed["attempt"].as_str().unwrap());
    let watching = store.ask(Request::Watch { token: token.parse().unwrap(), limit: Duration::MAX });
    let until = Instant::now() + Duration::from_secs(20);
    while requests(&device, "get") < 3 {
        assert!(Instant::now() < until, "one answer is not the end of it");
    }
    let body = format!(r#"{{"attempt":"{attempt}","result":"receipt"}}"#);
    assert_eq!(device.post(&format!("/v1/records/{token}/complete"), &body).status, 200);
    let answer = watching.await;
    assert!(
        matches!(&answer, Ok(Reply::Record(Some(record))) if record.head.state == State::Done),
        "{answer:?}"
    );
}

/// With the command, for the environment of this process is everybody's.
#[test]
fn the_key_is_taken_from_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, [key]) = key_file(folder.path(), ["shop"]);
    let device = device(&["--key-file", &keys]);
    let list = |key: &[u8]| {
        let mut command = Command::new(common::PROGRAM);
        command.arg("ls").env("IDEM_STORE", device.url()).env("IDEM_DEVICE_KEY", OsStr::from_bytes(key));
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (listed, said) = list(format!(" {key}\n").as_bytes());
    assert!(listed, "{said}");
    for (key, why) in [(&b" "[..], "set IDEM_DEVICE_KEY"), (b"idem_\xff", "is not Unicode")] {
        let (listed, said) = list(key);
        assert!(!listed && said.contains(why), "{said}");
    }
}
