//! Two processes serve the same method over HTTP, on one store that both share. A script of requests hits both at
//! once; each order is charged once, by one of them, and both answer with its receipt.
//!
//! ```text
//! IDEM_STORE=sqlite:orders.db cargo run --example two_services
//! IDEM_STORE=redis://127.0.0.1 cargo run --features redis --example two_services
//! IDEM_STORE=postgres://shop@localhost/shop?migrate=true cargo run --features postgres --example two_services
//! ```
//!
//! Any store will do that more than one process can use. Services on two machines would do the same, and do not know
//! of each other.

#[path = "common/http.rs"]
mod http;

use std::collections::BTreeMap;
use std::error::Error;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use idem::idempotent;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

const ORDERS: usize = 200;
/// So many requests for each order, half of them to each service.
const REPEATED: usize = 4;

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    id: String,
    amount_cents: u64,
}

#[derive(Serialize, Deserialize, PartialEq, Eq, Clone)]
struct Receipt {
    order: String,
    /// Which of all the charges of its service this one was.
    payment: String,
}

/// What the service has really charged.
static CHARGED: AtomicUsize = AtomicUsize::new(0);

#[idempotent(name = "two_services.charge", key(order.id), on_cancel = finish)]
async fn charge(order: Order) -> Result<Receipt, idem::Error> {
    // The payment provider takes its time, so that the other service asks in the meantime.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let number = CHARGED.fetch_add(1, Ordering::Relaxed) + 1;
    Ok(Receipt { order: order.id, payment: format!("{}-{number}", std::process::id()) })
}

async fn handle(Json(order): Json<Order>) -> Result<Json<Receipt>, (StatusCode, String)> {
    charge(order).await.map(Json).map_err(|error| {
        let status = StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, error.to_string())
    })
}

/// What each of the two processes does.
async fn serve(url: &str) -> Result<(), Box<dyn Error>> {
    idem::install(idem::connect(url).await?)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/charge", post(handle))).await?;
    Ok(())
}

/// One of the two, as the script sees it. It ends with the script.
struct Service {
    address: String,
    _process: Child,
}

impl Service {
    async fn start() -> Result<Service, Box<dyn Error>> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("serve")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let out = process.stdout.take().ok_or("the service has no output")?;
        let address = BufReader::new(out).lines().next_line().await?.ok_or("the service did not start")?;
        Ok(Service { address, _process: process })
    }
}

/// Sends the same order `REPEATED` times to both services in turn, without waiting for an answer, and gives all answers.
async fn submit(order: Order, addresses: [String; 2]) -> Vec<Result<Receipt, String>> {
    let mut sent = Vec::new();
    for number in 0..REPEATED {
        sent.push(http::post(&addresses[number % 2], "/charge", &order).await);
    }
    let mut answers = Vec::new();
    for request in sent {
        let answer = match request {
            Ok(request) => request.answer().await,
            Err(error) => Err(error),
        };
        answers.push(match answer {
            Ok((status, body)) => serde_json::from_str(&body).map_err(|_| format!("{status}: {body}")),
            Err(error) => Err(error.to_string()),
        });
    }
    answers
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("IDEM_STORE").map_err(|_| {
        "set IDEM_STORE to a store that two processes can share: sqlite:orders.db, redis://…, postgres://…"
    })?;
    if std::env::args().nth(1).is_some_and(|word| word == "serve") {
        return serve(&url).await;
    }
    if url.starts_with("memory:") {
        return Err("two processes cannot share `memory:`: try IDEM_STORE=sqlite:orders.db".into());
    }
    let (one, two) = (&Service::start().await?, &Service::start().await?);
    println!("two services: {} and {}", one.address, two.address);

    // Orders of this run, so that it can be run again.
    let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
    let mut submitted = JoinSet::new();
    for number in 1..=ORDERS {
        let order = Order { id: format!("{run}-{number}"), amount_cents: 100 * number as u64 };
        let addresses = if number % 2 == 0 { [one, two] } else { [two, one] };
        submitted.spawn(submit(order, addresses.map(|service| service.address.clone())));
    }
    let mut receipts = BTreeMap::<String, Receipt>::new();
    let mut payments = BTreeMap::<String, usize>::new();
    let mut wrong = Vec::new();
    for answer in submitted.join_all().await.into_iter().flatten() {
        let receipt = match answer {
            Ok(receipt) => receipt,
            Err(error) => {
                wrong.push(error);
                continue;
            }
        };
        let first = receipts.entry(receipt.order.clone()).or_insert_with(|| {
            let (process, _) = receipt.payment.split_once('-').unwrap_or_default();
            *payments.entry(process.to_owned()).or_default() += 1;
            receipt.clone()
        });
        if *first != receipt {
            wrong.push(format!("order {} was charged twice", receipt.order));
        }
    }
    for (process, charged) in &payments {
        println!("service {process} has charged {charged} orders");
    }
    wrong.iter().for_each(|error| println!("wrong: {error}"));
    println!("orders {}, requests {}, wrong {}", receipts.len(), ORDERS * REPEATED, wrong.len());
    if wrong.is_empty() && receipts.len() == ORDERS {
        Ok(())
    } else {
        Err("not every order was charged once".into())
    }
}
