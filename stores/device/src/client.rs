//! Requests over HTTP/1.1, on connections that are kept.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use idem_runtime::store::{Answer, Asked, Durability, Fault, Reply, Request, State, StoreError};
use idem_runtime::{Text, Token, io};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::answer::{self, Fields};
use crate::options::{DeviceStoreBuilder, Send};
use crate::request::{Ask, ask};

/// How many requests are under way at once; the others wait for one of them. Long polls are not counted.
const AT_ONCE: usize = 64;
/// How long a connection is kept without a request: less than a device keeps it.
const IDLE: Duration = Duration::from_secs(60);
/// How long a device that has no room for one more long poll is left alone.
const NO_ROOM: Duration = Duration::from_millis(500);
/// Of an answer: a page of a device is at most 4 MiB of records, or one larger one.
const MOST: usize = 256 << 20;
/// A limit that is none.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const CBOR: HeaderValue = HeaderValue::from_static("application/cbor");

/// A device, and the connections to it.
pub(crate) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: String,
    name: Text,
    authorization: Option<HeaderValue>,
    send: Send,
    time_limit: Duration,
    room: Semaphore,
}

impl Client {
    /// Reads the system's certificates, so it blocks.
    pub(crate) fn new(builder: &DeviceStoreBuilder) -> Result<Self, StoreError> {
        let name = Text::from(builder.url.clone());
        let authorization = builder.key.as_ref().map(|key| HeaderValue::from_str(&format!("Bearer {key}")));
        let mut authorization = authorization.transpose().map_err(|_| {
            StoreError::refused(name.clone(), "has a key (IDEM_DEVICE_KEY) with characters that no key has")
        })?;
        authorization.iter_mut().for_each(|value| value.set_sensitive(true));

        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(builder.time_limit / 2));
        let provider = ring::default_provider();
        let tls = HttpsConnectorBuilder::new();
        let tls = if builder.url.starts_with("https:") {
            tls.with_provider_and_native_roots(provider).map_err(|error| {
                StoreError::refused(name.clone(), "needs the system's root certificates, and there are none")
                    .with_source(error)
            })?
        } else {
            // Nothing is encrypted, so no certificate is looked at.
            let config =
                ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions();
            let config =
                config.map_err(|error| StoreError::refused(name.clone(), "has no TLS").with_source(error))?;
            tls.with_tls_config(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
        };
        let connector = tls.https_or_http().enable_http1().wrap_connector(connector);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(AT_ONCE)
            .build(connector);
        Ok(Client {
            http,
            url: builder.url.clone(),
            name,
            authorization,
            send: builder.send,
            time_limit: builder.time_limit,
            room: Semaphore::new(AT_ONCE),
        })
    }

    pub(crate) fn name(&self) -> &Text {
        &self.name
    }

    /// Asks what the device is.
    pub(crate) async fn look(self: Arc<Self>) -> Result<Durability, StoreError> {
        let name = self.name.clone();
        let looking = async move {
            let ask = Ask { method: Method::GET, path: "/v1/stats".into(), body: None };
            let (status, body) = self.exchange(&ask, Instant::now() + self.time_limit).await?;
            let unexpected = |error: answer::Unexpected| error.error(&self.name);
            let fields = Fields::read(&body).map_err(|_| {
                StoreError::refused(
                    self.name.clone(),
                    format!("answers ({status}) and is no device: look at the URL"),
                )
            })?;
            let outcome = fields.outcome().map_err(unexpected)?;
            if outcome != "stats" {
                return Err(answer::failed(status, &outcome, &fields, &self.name));
            }
            fields.durability().map_err(unexpected)
        };
        on_io(name, looking).await
    }

    /// Asks, within the time limit.
    pub(crate) async fn ask(&self, request: &Request) -> Answer {
        let until = Instant::now() + self.time_limit;
        let _room = match timeout_at(until, self.room.acquire()).await {
            Ok(room) => room,
            Err(_) => {
                return Err(StoreError::unavailable(
                    self.name.clone(),
                    format!(
                        "has {AT_ONCE} requests of this process under way, and none was answered in time"
                    ),
                ));
            }
        };
        self.ask_until(request, until).await
    }

    async fn ask_until(&self, request: &Request, until: Instant) -> Answer {
        let Some(ask) = ask(request, self.send) else {
            let message = format!("does not know the operation `{}`", request.operation());
            return Err(StoreError::refused(self.name.clone(), message));
        };
        let (status, body) = self.exchange(&ask, until).await?;
        answer::read(request, status, &body, &self.name)
    }

    /// One request and its answer.
    async fn exchange(&self, ask: &Ask, until: Instant) -> Result<(StatusCode, Bytes), StoreError> {
        let lost = |message: &'static str| StoreError::lost(self.name.clone(), message);
        let refused = |error: hyper::http::Error| {
            StoreError::refused(self.name.clone(), "cannot be sent this request").with_source(error)
        };
        let uri: Result<Uri, _> = format!("{}{}", self.url, ask.path).parse();
        let uri = uri.map_err(|error| refused(error.into()))?;
        let mut request = hyper::Request::builder().method(ask.method.clone()).uri(uri).header(ACCEPT, CBOR);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let body = match &ask.body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, CBOR);
                Full::from(body.clone())
            }
            None => Full::default(),
        };
        let request = request.body(body).map_err(refused)?;
        let exchange = async {
            let response = self.http.request(request).await.map_err(|error| {
                if error.is_connect() {
                    StoreError::unavailable(
                        self.name.clone(),
                        "cannot be reached: is the device running, and the URL right?",
                    )
                    .with_source(error)
                } else {
                    lost("broke the connection off").with_source(error)
                }
            })?;
            let status = response.status();
            let collected = Limited::new(response.into_body(), MOST).collect().await;
            let body = collected.map_err(|_| lost("broke its answer off"))?.to_bytes();
            Ok((status, body))
        };
        match timeout_at(until, exchange).await {
            Ok(answered) => answered,
            Err(_) => Err(lost("did not answer in time")),
        }
    }
}

/// Answers once the record is not running, or after `limit`. Dropped, it hangs up.
pub(crate) fn watch(client: &Arc<Client>, token: Token, limit: Duration) -> Asked {
    let hang_up = Arc::new(Notify::new());
    let (client, stopped) = (Arc::clone(client), Arc::clone(&hang_up));
    let pending = io().spawn(client.name().clone(), async move {
        tokio::select! {
            answer = client.watched(token, limit) => answer,
            () = stopped.notified() => Ok(Reply::Record(None)),
        }
    });
    Asked::Later(pending.with_stop(move || hang_up.notify_one()))
}

impl Client {
    /// Long polls, one after the other: a device lets nobody wait longer than it likes to.
    async fn watched(&self, token: Token, limit: Duration) -> Answer {
        let now = Instant::now();
        let until = now.checked_add(limit).unwrap_or(now + FOR_EVER);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let request = Request::Watch { token, limit: left };
            let answer =
                self.ask_until(&request, Instant::now() + left.min(FOR_EVER) + self.time_limit).await;
            let left = until.saturating_duration_since(Instant::now());
            match &answer {
                Ok(Reply::Record(Some(record))) if record.head.state == State::Running && !left.is_zero() => {
                }
                // Whoever waits asks again as soon as this is answered: not at once, where that was no help.
                Err(error) if error.fault() != Fault::Refused && !left.is_zero() => {
                    tokio::time::sleep(left.min(NO_ROOM)).await;
                }
                _ => return answer,
            }
        }
    }
}

/// Does work on `idem-io`, where its connections are, and waits for it anywhere.
pub(crate) async fn on_io<T: std::marker::Send + 'static>(
    store: Text,
    work: impl Future<Output = Result<T, StoreError>> + std::marker::Send + 'static,
) -> Result<T, StoreError> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let lost = StoreError::lost(store.clone(), "was not asked to the end; ask again");
    drop(io().spawn(store, async move {
        // Nobody may be waiting any more.
        let _ = sender.send(work.await);
        Ok(Reply::Released)
    }));
    receiver.await.unwrap_or(Err(lost))
}
