//! Requests to servers in processes of their own, by as many callers as are wanted, each on a connection of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// A connection that is kept.
pub struct Connection(SendRequest<Full<Bytes>>);

/// An answer.
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Connection {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a TCP connection");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("it speaks HTTP");
        tokio::spawn(connection);
        Connection(sender)
    }

    /// Sends a request, and waits for all of its answer.
    pub async fn ask(&mut self, request: Request<Full<Bytes>>) -> Answer {
        self.0.ready().await.expect("the connection is kept");
        let response = self.0.send_request(request).await.expect("the server answers");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("all of the answer comes").to_bytes();
        Answer { status, body }
    }
}

pub fn get(path: &str) -> Request<Full<Bytes>> {
    let request = Request::builder().uri(path).header(header::HOST, "localhost");
    request.body(Full::default()).expect("a request")
}

/// A request that posts JSON.
pub fn post(path: &str, json: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::builder().method(Method::POST).uri(path).header(header::HOST, "localhost");
    let request = request.header(header::CONTENT_TYPE, "application/json");
    request.body(Full::new(json.into())).expect("a request")
}

/// Nanoseconds per call when so many callers, each on a connection of its own, make so many calls each. A call is given
/// its connection, and gives it back.
pub fn per_call<F: Future<Output = Connection> + Send>(
    runtime: &Runtime,
    address: SocketAddr,
    callers: usize,
    calls: usize,
    call: impl Fn(Connection) -> F + Send + Sync + 'static,
) -> f64 {
    let call = Arc::new(call);
    runtime.block_on(async {
        let mut open = Vec::new();
        for _ in 0..callers {
            open.push(Connection::open(address).await);
        }
        let began = Instant::now();
        let tasks: Vec<_> = open
            .into_iter()
            .map(|mut connection| {
                let call = Arc::clone(&call);
                tokio::spawn(async move {
                    for _ in 0..calls {
                        connection = call(connection).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        began.elapsed().as_nanos() as f64 / (callers * calls) as f64
    })
}
