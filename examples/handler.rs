//! A web service whose client hangs up in the middle: the charge is made and recorded all the same, and the retry
//! gets its receipt.
//!
//! `cargo run --example handler`

#[path = "common/http.rs"]
mod http;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use idem::{MemoryStore, idempotent};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::Notify;

#[derive(Serialize, Deserialize)]
struct Order {
    id: u64,
    amount_cents: u64,
}

#[derive(Serialize, Deserialize)]
struct Receipt {
    payment: String,
    amount_cents: u64,
}

struct Shop {
    idem: MemoryStore,
    /// Told when a body has begun, and when the handler that called it is gone: for this program only.
    begun: Notify,
    hung_up: Notify,
}

impl Shop {
    /// `self: Arc<Self>`, because with `on_cancel = finish` the body may outlive its caller.
    #[idempotent(
        name = "shop.charge",
        key(order.id),
        skip(self),
        store = &self.idem,
        on_cancel = finish,
        on_interrupt = reject
    )]
    async fn charge(self: Arc<Self>, order: Order) -> Result<Receipt, idem::Error> {
        println!(
            "service: order {}: the payment provider is asked for {} cents",
            order.id, order.amount_cents
        );
        self.begun.notify_one();
        // The answer of the provider comes when the client is no longer there.
        self.hung_up.notified().await;
        println!("service: order {}: charged", order.id);
        Ok(Receipt { payment: format!("pay_{}", order.id), amount_cents: order.amount_cents })
    }
}

/// The library's own advice on what a refused caller is told.
struct Refusal(idem::Error);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let seconds = self.0.retry_after().map(|after| after.as_secs().max(1).to_string());
        let retry = seconds.map(|seconds| [(header::RETRY_AFTER, seconds)]);
        (status, retry, self.0.to_string()).into_response()
    }
}

async fn charge(State(shop): State<Arc<Shop>>, Json(order): Json<Order>) -> Result<Json<Receipt>, Refusal> {
    struct Gone(Arc<Shop>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.hung_up.notify_one();
        }
    }
    let _gone = Gone(Arc::clone(&shop));
    shop.charge(order).await.map(Json).map_err(Refusal)
}

#[tokio::main]
async fn main() -> Result<(), http::Error> {
    let shop = Arc::new(Shop { idem: MemoryStore::new(), begun: Notify::new(), hung_up: Notify::new() });
    let service = Router::new().route("/charge", post(charge)).with_state(Arc::clone(&shop));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move { axum::serve(listener, service).await });

    let order = Order { id: 7, amount_cents: 1250 };
    println!("client:  POST /charge");
    let sent = http::post(&address, "/charge", &order).await?;
    shop.begun.notified().await;
    println!("client:  hangs up without an answer");
    drop(sent);

    for order in [order, Order { id: 7, amount_cents: 9999 }] {
        println!("client:  POST /charge again, {} cents", order.amount_cents);
        let (status, body) = http::post(&address, "/charge", &order).await?.answer().await?;
        println!("client:  {status}: {body}");
    }
    Ok(())
}
