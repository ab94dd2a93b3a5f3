//! The PostgreSQL store of `idem-rs`: records in a database that many processes on many machines share.
//!
//! ```no_run
//! use idem_postgres::PostgresStore;
//! use idem_runtime::store::Store;
//!
//! # async fn connect() -> Result<(), idem_runtime::store::StoreError> {
//! let url = "postgres://shop@db.example/shop?namespace=orders";
//! PostgresStore::migrate(url).await?; // once, by whoever may make tables
//! let store = PostgresStore::connect(url).await?;
//! assert_eq!(store.profile().durability.to_string(), "synced");
//! # Ok(()) }
//! ```
//!
//! The guide of `idem-rs` has a page on it: URL and options, what is created, permissions, what it costs, durability,
//! failover, proxies, upgrading.
//!
//! # How it works
//!
//! A store has a few connections of its own, opened and driven by a thread of the library, and a queue before them.
//! Whoever has a free connection takes what waits: several claims or several completions, which share a statement and a
//! commit, or one of anything else. Requests of one attempt are never out at the same time.
//!
//! * A claim reads, and inserts only where nothing was found: one statement, which writes nothing for a duplicate.
//! * A completion, a release, a sign of life are one update of the row of the attempt that runs.
//! * Everything else is decided by [`protocol`](idem_runtime::store::protocol) on the row that was read, and written only
//!   over the version that was read; else it is read and decided again.

mod carry;
mod connect;
mod failure;
mod listen;
mod options;
mod queue;
mod row;
mod schema;
mod server;
mod shared;
mod sql;
mod value;
mod watch;
mod worker;

use std::fmt;
use std::sync::Arc;

use idem_runtime::Text;
use idem_runtime::store::{Asked, Handle, IntoStore, Profile, Request, Store, StoreError};
pub use sqlx::postgres::PgConnectOptions;

pub use self::options::PostgresStoreBuilder;

use self::shared::Shared;

/// A store in a PostgreSQL database.
///
/// Clones are the same store. When the last one is dropped, what was asked is still carried out, in the background.
#[derive(Clone)]
pub struct PostgresStore(Arc<Inner>);

/// One namespace of an open database.
struct Inner {
    open: Arc<Open>,
    namespace: Text,
    profile: Profile,
}

/// What the handles of a database hold together: when the last of them goes, its connections end.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.queue.close();
    }
}

impl PostgresStore {
    /// Connects to the database that a URL names, and checks everything that can be checked.
    ///
    /// | parameter | |
    /// | --- | --- |
    /// | `namespace=NAME` | [`PostgresStoreBuilder::namespace`] |
    /// | `schema=NAME` | [`PostgresStoreBuilder::schema`] |
    /// | `connections=4` | [`PostgresStoreBuilder::connections`] |
    /// | `time_limit=5s` | [`PostgresStoreBuilder::time_limit`] |
    /// | `notify=off` | [`PostgresStoreBuilder::notify`] |
    /// | `pooled=transaction` | [`PostgresStoreBuilder::transaction_pooling`] |
    /// | `migrate=true` | [`PostgresStoreBuilder::migrate`] |
    ///
    /// and those of PostgreSQL's own programs: `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `application_name`,
    /// `options`, `host`, `port`, `dbname`, `user`, `password`.
    ///
    /// It works on any executor. Dropped, it has changed nothing but what `migrate=true` asks for.
    ///
    /// # Errors
    /// Unknown parameters, a server that cannot be reached, is too old or takes no writes, a wrong password, a missing
    /// database, tables that are missing, older, newer or not ours, missing permissions. Each says what to do, and none
    /// repeats the password.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        PostgresStoreBuilder::parse(url)?.connect().await
    }

    /// As [`PostgresStore::connect`], for programs without a runtime: blocks this thread.
    ///
    /// # Errors
    /// As [`PostgresStore::connect`].
    pub fn connect_blocking(url: &str) -> Result<Self, StoreError> {
        PostgresStoreBuilder::parse(url)?.connect_blocking()
    }

    /// Describes a store in the database that these options lead to.
    ///
    /// ```no_run
    /// use idem_postgres::{PgConnectOptions, PostgresStore};
    ///
    /// let options = PgConnectOptions::new().host("db.example").username("shop").database("shop");
    /// let store = PostgresStore::builder(options).namespace("orders").connections(8).connect_blocking()?;
    /// # Ok::<(), idem_runtime::store::StoreError>(())
    /// ```
    pub fn builder(options: PgConnectOptions) -> PostgresStoreBuilder {
        PostgresStoreBuilder::new(options)
    }

    /// Makes the tables where they are missing, and brings older ones to the present version; else it does nothing.
    ///
    /// Several processes may do so at once: one does it, the others wait for it. It is one transaction.
    ///
    /// # Errors
    /// As [`PostgresStore::connect`], and if the user may not make tables.
    pub async fn migrate(url: &str) -> Result<(), StoreError> {
        let builder = PostgresStoreBuilder::parse(url)?;
        connect::start(builder, connect::migrate).done().await
    }

    /// As [`PostgresStore::migrate`], for programs without a runtime: blocks this thread.
    ///
    /// # Errors
    /// As [`PostgresStore::migrate`].
    pub fn migrate_blocking(url: &str) -> Result<(), StoreError> {
        let builder = PostgresStoreBuilder::parse(url)?;
        connect::start(builder, connect::migrate).wait()
    }

    /// The statements that make the tables where there are none, for people who run them by hand.
    ///
    /// ```
    /// println!("{}", idem_postgres::PostgresStore::schema());
    /// ```
    #[must_use]
    pub fn schema() -> String {
        schema::text()
    }

    /// Another namespace of the same open database; both share its connections.
    #[must_use]
    pub fn with_namespace(&self, namespace: impl Into<Text>) -> Self {
        let shared = &self.0.open.0;
        let builder = shared.builder.clone().namespace(namespace);
        let mut profile = self.0.profile.clone();
        profile.name = builder.name();
        PostgresStore(Arc::new(Inner {
            open: Arc::clone(&self.0.open),
            namespace: builder.namespace,
            profile,
        }))
    }

    pub(crate) async fn open(builder: PostgresStoreBuilder) -> Result<Self, StoreError> {
        let namespace = builder.namespace.clone();
        let (shared, durability) = connect::open(builder).await?;
        let mut profile = Profile::new(shared.name.clone(), durability);
        profile.time_limit = shared.builder.time_limit;
        Ok(PostgresStore(Arc::new(Inner { open: Arc::new(Open(shared)), namespace, profile })))
    }
}

impl Store for PostgresStore {
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

impl IntoStore for PostgresStore {
    fn into_store(self) -> Handle {
        self.to_handle()
    }
}

impl Store for Inner {
    fn ask(&self, request: Request) -> Asked {
        let shared = &self.open.0;
        if let Err(error) = row::check(&self.profile.name, &request) {
            return Asked::Now(Err(error));
        }
        match request {
            Request::Watch { token, limit } => watch::watch(shared, &self.namespace, token, limit),
            request => Asked::Later(shared.ask(&self.namespace, request)),
        }
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresStore").field(&self.0.profile.name).finish()
    }
}
