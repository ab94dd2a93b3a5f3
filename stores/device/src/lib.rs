//! The client of the idempotent device, as a store of `idem-rs`: records are kept by another service, which makes the
//! tokens, too.
//!
//! ```no_run
//! # async fn connect() -> Result<(), idem_runtime::store::StoreError> {
//! use idem_device_client::DeviceStore;
//!
//! let store = DeviceStore::builder("http://127.0.0.1:4336").key("idem_…").connect().await?;
//! # let _ = store; Ok(()) }
//! ```
//!
//! # What is sent
//!
//! A claim carries scope, function, token and the arguments that make it, in their canonical CBOR encoding; of verified
//! arguments it carries the digests, and the values only where they are recorded. The device makes the token itself and
//! refuses one that differs. With `?send=token` no argument leaves the service: the token and the digests do, and a
//! function that says `record_arguments` is refused.
//!
//! # What it costs
//!
//! A first call is two requests, a duplicate one, and connections are kept. Whoever waits for a running call has a long
//! poll of their own. All of it happens on `idem-io`, with time limits by the real clock.
//!
//! # What it promises
//!
//! What the device's own store promises: [`Profile::durability`] is that of the device. A request whose answer is lost
//! may have been carried out; asking again is safe.

mod answer;
mod client;
mod options;
mod request;

use std::fmt;
use std::sync::Arc;

use idem_runtime::io;
use idem_runtime::store::{Asked, Handle, IntoStore, Profile, Reply, Request, Store, StoreError};

use self::client::Client;
pub use self::options::{DeviceStoreBuilder, Send};

/// A device, as a store.
///
/// Clones are the same store, and share its connections.
#[derive(Clone)]
pub struct DeviceStore(Arc<Inner>);

struct Inner {
    client: Arc<Client>,
    profile: Profile,
}

impl DeviceStore {
    /// Connects to the device that a URL names, with the key in the environment variable `IDEM_DEVICE_KEY`, if it is
    /// set.
    ///
    /// | written | means |
    /// | --- | --- |
    /// | `http://127.0.0.1:4336` | plain HTTP/1.1 |
    /// | `https://idem.example.com` | TLS; the certificate is checked against the system's roots, or those in the file that `SSL_CERT_FILE` names |
    /// | `https://example.com/idem` | the device stands behind a path |
    /// | `http://…?send=token` | no argument is sent, only the token |
    /// | `http://…?time_limit=10s` | how long a request may take; default 5 s |
    ///
    /// # Errors
    /// A URL with something else in it, a device that does not answer, that refuses the key, or that is none. Each
    /// says what to do.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        DeviceStoreBuilder::parse(url)?.connect().await
    }

    /// As [`DeviceStore::connect`], for programs without a runtime: blocks this thread.
    ///
    /// # Errors
    /// As [`DeviceStore::connect`].
    pub fn connect_blocking(url: &str) -> Result<Self, StoreError> {
        DeviceStoreBuilder::parse(url)?.connect_blocking()
    }

    /// Describes a device at this URL, which may have the parameters that [`DeviceStore::connect`] knows.
    pub fn builder(url: impl Into<String>) -> DeviceStoreBuilder {
        DeviceStoreBuilder::new(url.into())
    }

    pub(crate) async fn with(builder: DeviceStoreBuilder) -> Result<Self, StoreError> {
        let send = builder.send;
        let time_limit = builder.time_limit;
        // It reads the system's certificates.
        let client = Arc::new(io().block(move || Client::new(&builder)).await?);
        let durability = Arc::clone(&client).look().await?;
        let mut profile = Profile::new(client.name().clone(), durability);
        profile.time_limit = time_limit;
        profile.wants_arguments = send == Send::Arguments;
        profile.takes_arguments = send == Send::Arguments;
        Ok(DeviceStore(Arc::new(Inner { client, profile })))
    }
}

impl Store for DeviceStore {
    fn ask(&self, request: Request) -> Asked {
        self.0.ask(request)
    }

    fn profile(&self) -> &Profile {
        &self.0.profile
    }

    fn to_handle(&self) -> Handle {
        Handle::from(Arc::clone(&self.0))
    }
}

impl IntoStore for DeviceStore {
    fn into_store(self) -> Handle {
        self.to_handle()
    }
}

impl Store for Inner {
    fn ask(&self, request: Request) -> Asked {
        match request {
            Request::Purge { limit: 0 } => Asked::Now(Ok(Reply::Purged(0))),
            // The call has refused it before; what asks the store itself is told so, too.
            Request::Claim(claim) if claim.record_arguments && !self.profile.takes_arguments => {
                let message = "is sent no arguments (`?send=token`), so it cannot record them";
                Asked::Now(Err(StoreError::refused(self.profile.name.clone(), message)))
            }
            Request::Watch { token, limit } => client::watch(&self.client, token, limit),
            request => {
                let client = Arc::clone(&self.client);
                Asked::Later(io().spawn(client.name().clone(), async move { client.ask(&request).await }))
            }
        }
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }
}

impl fmt::Debug for DeviceStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeviceStore").field(&self.0.profile.name).finish()
    }
}
