//! Several devices over one store on another machine, and devices that die in the middle of what they do.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Device, device, key_file};
use idem::store::Handle;
use idem::{DeviceStore, Error, idempotent};
use idem_servers::{Postgres, Redis};

/// How often the body of each order ran.
struct Shop {
    store: Handle,
    charged: Arc<[AtomicU64]>,
}

const ORDERS: u64 = 40;

impl Shop {
    async fn new(device: &Device, key: &str, charged: &Arc<[AtomicU64]>) -> Self {
        let store = DeviceStore::builder(device.url()).key(key).connect().await.unwrap();
        Shop { store: idem::store::IntoStore::into_store(store), charged: Arc::clone(charged) }
    }

    #[idempotent(name = "shop.charge", lease = "2s", wait = "20s", store = &self.store, skip(self))]
    async fn charge(&self, order: u64) -> Result<String, Error> {
        self.charged[usize::try_from(order).unwrap()].fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        Ok(format!("receipt {order}"))
    }
}

/// Two devices over one store, of which one is killed while calls come to both.
async fn one_of_two_is_killed(url: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (keys, [shop, bank]) = key_file(folder.path(), ["shop", "bank"]);
    let arguments = ["--key-file", &keys, "--store", url];
    let (first, mut second) = (device(&arguments), device(&arguments));
    let charged: Arc<[AtomicU64]> = (0..ORDERS).map(|_| AtomicU64::new(0)).collect();
    let shops = [
        Arc::new(Shop::new(&first, &shop, &charged).await),
        Arc::new(Shop::new(&second, &shop, &charged).await),
    ];
    let mut calls = Vec::new();
    for order in 0..ORDERS {
        for shop in &shops {
            let shop = Arc::clone(shop);
            calls.push(tokio::spawn(async move { (order, shop.charge(order).await) }));
        }
        if order == ORDERS / 2 {
            second.kill_and_restart(&arguments);
        }
    }
    for call in calls {
        let (order, answer) = call.await.unwrap();
        // The device was away: such a call is asked again by its caller.
        let answer = match answer {
            Err(error) if error.is_retryable() => shops[0].charge(order).await,
            answer => answer,
        };
        assert_eq!(answer.unwrap(), format!("receipt {order}"));
    }
    for (order, charged) in charged.iter().enumerate() {
        assert_eq!(charged.load(Ordering::SeqCst), 1, "order {order}");
    }
    // The records are the shop's: through either device, and nobody else's.
    let first = &first;
    let records = |key: &str| {
        let bearer = format!("Bearer {key}");
        let page = first.ask("GET", "/v1/records?state=done", &[("authorization", &bearer)], b"").json();
        page["records"].as_array().unwrap().len() as u64
    };
    assert_eq!((records(&shop), records(&bank)), (ORDERS, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_postgresql() {
    let Some(server) = Postgres::start() else { return };
    one_of_two_is_killed(&format!("{}?migrate=true", server.url())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_redis() {
    let Some(server) = Redis::start() else { return };
    one_of_two_is_killed(&server.url()).await;
}

/// The store goes away, and comes back: the device says so, and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away() {
    let Some(mut server) = Redis::start() else { return };
    let device = device(&["--store", &format!("{}?time_limit=500ms", server.url())]);
    let call = r#"{"function":"f","arguments":[1]}"#;
    assert_eq!(device.post("/v1/submit", call).status, 201);
    assert_eq!(device.get("/readyz").status, 200);
    server.kill();
    let away = device.post("/v1/submit", r#"{"function":"f","arguments":[2]}"#);
    assert_eq!((away.status, away.problem().as_str()), (503, "store"));
    assert!(away.header("retry-after").is_some());
    assert!(["lost", "unavailable"].contains(&away.json()["fault"].as_str().unwrap()));
    assert_eq!((device.get("/readyz").status, device.get("/healthz").status), (503, 200));
    server.restart();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while device.get("/readyz").status != 200 {
        assert!(std::time::Instant::now() < until, "{}", device.log());
    }
    assert_eq!(device.post("/v1/submit", r#"{"function":"f","arguments":[3]}"#).status, 201);
}
