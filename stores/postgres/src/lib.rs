//! The PostgreSQL store of `idem-rs`.

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
use sqlx::postgres::PgConnectOptions;

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
    /// Connects.
    ///
    /// # Errors
    /// .
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        PostgresStoreBuilder::parse(url)?.connect().await
    }

    /// Blocks.
    ///
    /// # Errors
    /// .
    pub fn connect_blocking(url: &str) -> Result<Self, StoreError> {
        PostgresStoreBuilder::parse(url)?.connect_blocking()
    }

    /// Describes a store.
    pub fn builder(options: impl Into<PgConnectOptions>) -> PostgresStoreBuilder {
        PostgresStoreBuilder::new(options.into())
    }

    /// Makes the tables.
    ///
    /// # Errors
    /// .
    pub async fn migrate(url: &str) -> Result<(), StoreError> {
        let builder = PostgresStoreBuilder::parse(url)?;
        connect::start(builder, connect::migrate).done().await
    }

    /// As migrate.
    ///
    /// # Errors
    /// .
    pub fn migrate_blocking(url: &str) -> Result<(), StoreError> {
        let builder = PostgresStoreBuilder::parse(url)?;
        connect::start(builder, connect::migrate).wait()
    }

    /// The statements that make the tables.
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
