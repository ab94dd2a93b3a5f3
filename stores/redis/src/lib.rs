//! The Redis store of `idem-rs`: records on a Redis or Valkey server, or in a Redis Cluster, shared by the processes of
//! many machines.
//!
//! ```no_run
//! use idem_redis::RedisStore;
//! use idem_runtime::store::Store;
//!
//! let store = RedisStore::connect_blocking("redis://127.0.0.1:6379?namespace=shop")?;
//! println!("its records survive: {}", store.profile().durability);
//! # Ok::<(), idem_runtime::store::StoreError>(())
//! ```
//!
//! # What it promises
//!
//! What the server does: the durability class is read from its settings when the store connects (`appendonly`,
//! `appendfsync`), and what a weak one costs is warned of. Replication of Redis is asynchronous, so that a failover may
//! lose what was answered last. The guide of `idem-rs` has a page about this, about permissions and about sizing.
//!
//! # How it works
//!
//! One key per token, so that every operation touches one slot; its value is one packed record. What happens on every
//! call is decided by a script in one round trip: a first call is two, a duplicate one that writes nothing. Everything
//! else is decided by the protocol's own transitions, and written if the record is still what it was. Time is the
//! server's.
//!
//! Connections are driven by the library's own thread, and one more by each runtime of several threads that asks often:
//! what its tasks ask wakes no other thread. What fails there is asked again over the library's own. What many callers ask at the same time goes out in one write over
//! one connection, in the order in which it was asked. A connection that breaks is made again, and what was sent and not
//! answered is asked again until the time limit. Who waits is told by a message, on a connection of its own; messages that
//! are lost cost a look every two seconds.
//!
//! * Clones of a store, and what [`RedisStore::with_namespace`] gives, share the connections.
//! * A forked child must not use the library before it starts another program (`exec`): threads do not come along.

mod batch;
mod cluster;
mod connect;
mod core;
mod drive;
mod ended;
mod failure;
mod flight;
mod lane;
mod lanes;
mod layout;
mod link;
mod operation;
mod options;
mod queue;
mod scripts;
mod server;
mod subscriber;
mod walk;
mod watch;

use std::fmt;
use std::sync::Arc;

use idem_runtime::store::{Answer, Asked, Handle, IntoStore, Profile, Reply, Request, Store, StoreError};
use idem_runtime::{Text, Token, io};

pub use redis;

pub use self::options::RedisStoreBuilder;

use self::connect::Open;

/// A store on a Redis server or in a Redis Cluster.
///
/// Clones are the same store. When the last one is dropped, what was asked is still carried out, in the background.
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

/// One namespace.
struct Inner {
    open: Arc<Open>,
    /// What every key of the namespace begins with.
    prefix: Text,
    profile: Profile,
}

impl RedisStore {
    /// Connects to the server, or the cluster, that a URL names.
    ///
    /// | written | connects to |
    /// | --- | --- |
    /// | `redis://USER:PASSWORD@HOST:PORT/DATABASE` | one server; all but the host may be left out |
    /// | `rediss://…` | the same with TLS |
    /// | `redis-cluster://HOST:PORT?node=HOST:PORT`, `rediss-cluster://…` | a Redis Cluster, through any of the nodes named |
    /// | `redis+unix:///run/redis.sock?db=1&user=shop&pass=…` | a Unix socket |
    /// | `…?namespace=shop` | records that other namespaces do not see |
    /// | `…?time_limit=10s` | how long a request may take with all that is tried again; default 5 s |
    /// | `…?wait_replicas=1` | writes are answered when so many replicas have them |
    ///
    /// Dropped, it connects all the same, and closes what it has opened.
    ///
    /// # Errors
    /// Unknown parameters, a server that is not there or not of the kind that the URL says, one that is too old or a
    /// read-only replica, a wrong password, a user who may too little. Each says what to do.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        RedisStoreBuilder::parse(url)?.connect().await
    }

    /// As [`RedisStore::connect`], for programs without a runtime: blocks this thread.
    ///
    /// # Errors
    /// As [`RedisStore::connect`].
    pub fn connect_blocking(url: &str) -> Result<Self, StoreError> {
        RedisStoreBuilder::parse(url)?.connect_blocking()
    }

    /// Describes a store on the server that a client of the application's leads to. The store makes connections of its
    /// own, with the client's options.
    ///
    /// ```no_run
    /// use idem_redis::{RedisStore, redis};
    /// use std::time::Duration;
    ///
    /// let client = redis::Client::open("redis://127.0.0.1").expect("a URL");
    /// let store = RedisStore::builder(client).namespace("shop").time_limit(Duration::from_secs(2)).connect_blocking()?;
    /// # Ok::<(), idem_runtime::store::StoreError>(())
    /// ```
    pub fn builder(client: redis::Client) -> RedisStoreBuilder {
        RedisStoreBuilder::one(client)
    }

    /// Describes a store in the cluster that a client of the application's leads to; `place` is how logs and errors call
    /// it. With [`redis::ProtocolVersion::RESP3`] those who wait are told by messages, else they look now and then.
    ///
    /// ```no_run
    /// use idem_redis::{RedisStore, redis};
    /// use redis::cluster::ClusterClientBuilder;
    ///
    /// let client = ClusterClientBuilder::new(["redis://10.0.0.1", "redis://10.0.0.2"])
    ///     .use_protocol(redis::ProtocolVersion::RESP3)
    ///     .build()
    ///     .expect("URLs");
    /// let store = RedisStore::cluster(client, "redis-cluster://10.0.0.1").connect_blocking()?;
    /// # Ok::<(), idem_runtime::store::StoreError>(())
    /// ```
    pub fn cluster(client: redis::cluster::ClusterClient, place: &str) -> RedisStoreBuilder {
        RedisStoreBuilder::many(client, place.to_owned())
    }

    /// Another namespace of the same server; both share its connections.
    #[must_use]
    pub fn with_namespace(&self, namespace: impl Into<Text>) -> Self {
        let namespace = namespace.into();
        let mut profile = self.0.profile.clone();
        profile.name = options::name(&self.0.open.core.place, &namespace);
        RedisStore(Arc::new(Inner { open: Arc::clone(&self.0.open), prefix: prefix(&namespace), profile }))
    }

    async fn with(builder: RedisStoreBuilder) -> Result<Self, StoreError> {
        let name = builder.name();
        let lost = || StoreError::lost(name.clone(), "was not connected to: the program is ending");
        connecting(builder).await.unwrap_or_else(|_| Err(lost()))
    }

    fn with_blocking(builder: RedisStoreBuilder) -> Result<Self, StoreError> {
        let name = builder.name();
        let lost = || StoreError::lost(name.clone(), "was not connected to: the program is ending");
        connecting(builder).recv().unwrap_or_else(|_| Err(lost()))
    }
}

/// Connects on the library's thread, which drives the connection from then on.
fn connecting(builder: RedisStoreBuilder) -> oneshot::Receiver<Result<RedisStore, StoreError>> {
    let (sender, receiver) = oneshot::channel();
    drop(io().spawn(builder.name(), async move {
        let namespace = builder.namespace.clone();
        let store = connect::open(builder).await.map(|(open, profile)| {
            RedisStore(Arc::new(Inner { open: Arc::new(open), prefix: prefix(&namespace), profile }))
        });
        let _ = sender.send(store);
        Ok(Reply::Record(None))
    }));
    receiver
}

/// What the keys of a namespace begin with.
fn prefix(namespace: &str) -> Text {
    Text::from(format!("idem:{namespace}:"))
}

/// The key of a record.
fn key(prefix: &str, token: Token) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut key = Vec::with_capacity(prefix.len() + 64);
    key.extend_from_slice(prefix.as_bytes());
    for byte in token.as_bytes() {
        key.push(DIGITS[usize::from(byte >> 4)]);
        key.push(DIGITS[usize::from(byte & 15)]);
    }
    key
}

impl Store for RedisStore {
    #[inline]
    fn ask(&self, request: Request) -> Asked {
        self.0.ask(request)
    }

    #[inline]
    fn profile(&self) -> &Profile {
        &self.0.profile
    }

    fn to_handle(&self) -> Handle {
        Handle::from(Arc::clone(&self.0))
    }
}

impl IntoStore for RedisStore {
    fn into_store(self) -> Handle {
        self.to_handle()
    }
}

impl Store for Inner {
    fn ask(&self, request: Request) -> Asked {
        let (open, name) = (&self.open, &self.profile.name);
        match request {
            Request::Watch { token, limit } if !limit.is_zero() => {
                Asked::Later(open.watches.watch(key(&self.prefix, token), token, name, limit))
            }
            Request::Watch { token, .. } => {
                Asked::Later(open.core.ask(Request::Get { token }, key(&self.prefix, token), name))
            }
            Request::List(query) => Asked::Later(walk::list(&open.core, &self.prefix, name, query)),
            // The server removes what has expired.
            Request::Purge { .. } => Asked::Now(Ok(Reply::Purged(0))),
            request => match request.token() {
                Some(token) => Asked::Later(open.core.ask(request, key(&self.prefix, token), name)),
                None => Asked::Now(unknown(&request, name)),
            },
        }
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }
}

fn unknown(request: &Request, name: &Text) -> Answer {
    let message = format!("does not know the operation `{}`: update idem-redis", request.operation());
    Err(StoreError::refused(name.clone(), message))
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisStore").field(&self.0.profile.name).finish()
    }
}
