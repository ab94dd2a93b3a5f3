//! Connections: how many there are, how long each is waited for, and how they end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt as _;

use crate::device::Device;
use crate::http::Peer;
use crate::stream::{Activity, Patience, Stream};
use crate::tls::Certificates;

/// How connections are treated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How many may be open at once.
    pub(crate) connections: usize,
    pub(crate) patience: Patience,
    /// How long open requests are waited for at the end.
    pub(crate) grace: Duration,
}

/// Everything of the head of a request: more is refused.
const HEAD: usize = 16 * 1024;

/// Answers on a socket until it is told to stop, and then until the open requests are answered or the grace is over.
pub(crate) async fn serve(
    listener: TcpListener,
    device: Arc<Device>,
    routes: Router,
    certificates: Option<Arc<Certificates>>,
    limits: Limits,
    mut stopping: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let server = Arc::new(Server { device, routes, certificates, limits, stopping: stopping.clone() });
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stopping) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // One connection that went away, or no file descriptors left: the next one may be well.
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        match Arc::clone(&room).try_acquire_owned() {
            Ok(permit) => drop(tokio::spawn(Arc::clone(&server).connection(stream, peer, permit))),
            Err(_) => drop(server.device.metrics.refused.inc()),
        }
    }
    drop(listener);
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    if tokio::time::timeout(limits.grace, room.acquire_many(all)).await.is_err() {
        tracing::warn!(
            open = limits.connections - room.available_permits(),
            "connections are cut off: they did not end in {:?}",
            limits.grace
        );
    }
}

struct Server {
    device: Arc<Device>,
    routes: Router,
    certificates: Option<Arc<Certificates>>,
    limits: Limits,
    stopping: watch::Receiver<bool>,
}

/// Counts a connection as long as it is open.
struct Open(Arc<Server>, #[expect(dead_code, reason = "given back when it is dropped")] OwnedSemaphorePermit);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.device.metrics.connections.dec();
    }
}

impl Server {
    async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        self.device.metrics.connections.inc();
        let _open = Open(Arc::clone(&self), permit);
        // Answers are written whole: nothing is won by waiting for more.
        let _ = stream.set_nodelay(true);
        let Some(certificates) = &self.certificates else {
            return self.requests(stream, peer).await;
        };
        let accepting = certificates.acceptor().accept(stream);
        match tokio::time::timeout(self.limits.patience.head, accepting).await {
            Ok(Ok(stream)) => Box::pin(self.requests(stream, peer)).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS connection"),
            Err(_) => tracing::debug!(%peer, "no TLS connection in time"),
        }
    }

    async fn requests(&self, stream: impl AsyncRead + AsyncWrite + Unpin, peer: SocketAddr) {
        let activity = Activity::new();
        let stream = Stream::new(stream, activity.clone(), self.limits.patience);
        let service = service_fn(|request: hyper::Request<Incoming>| {
            activity.answers();
            let mut request: Request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(Peer(peer));
            let answering = self.routes.clone().oneshot(request);
            let activity = activity.clone();
            async move {
                let answered: Result<Response, _> = answering.await;
                activity.answered();
                answered
            }
        });
        let connection =
            http1::Builder::new().max_buf_size(HEAD).serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let mut stopping = self.stopping.clone();
        let mut too_long = std::pin::pin!(activity.too_long(self.limits.patience));
        let mut stops = std::pin::pin!(stopped(&mut stopping));
        let mut stops_once = true;
        let ended = loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => break ended,
                () = stops.as_mut(), if stops_once => {
                    stops_once = false;
                    connection.as_mut().graceful_shutdown();
                }
                () = too_long.as_mut() => return,
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "a connection ended");
        }
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // The sender lives as long as the process.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Lets the process open as many files as its hard limit allows: each connection is one.
pub(crate) fn raise_open_files(wanted: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_add(200);
    let raised = limit.maximum.map_or(wanted, |most| most.min(wanted));
    if limit.current.is_some_and(|current| current < raised) {
        let raised = Rlimit { current: Some(raised), maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
    }
    let current = getrlimit(Resource::Nofile).current;
    if current.is_some_and(|current| current < wanted) {
        tracing::warn!(
            open_files = current,
            wanted,
            "the limit of open files is below what --max-connections may need: raise it (`ulimit -n`, LimitNOFILE=)"
        );
    }
}
