//! The SQLite store of `idem-rs`: records in one file, shared by the processes of one machine.
//!
//! ```no_run
//! use idem_sqlite::SqliteStore;
//! use idem_runtime::store::Store;
//!
//! let store = SqliteStore::open("sqlite:orders.db")?;
//! assert_eq!(store.profile().durability.to_string(), "synced");
//! # Ok::<(), idem_runtime::store::StoreError>(())
//! ```
//!
//! # What it promises
//!
//! Every commit is on the disk before it is answered, so that records survive a power cut (durability class
//! `synced`). With `?synchronous=normal` commits are much quicker on a slow disk and survive the end of the process
//! (class `machine`); a power cut may then lose the last completions, so that a body runs again.
//!
//! A duplicate is read on its caller's thread and waits for nobody. Everything else is done by one thread for each
//! open file, which commits together what many callers ask at the same time.
//!
//! # One file, many users
//!
//! * Several processes of one machine may use a file at once, and see each other's records at once; a duplicate
//!   that waits for a call in another process is answered within 50 ms of its end. Network file systems are
//!   refused: SQLite's locks do not hold there.
//! * Clones of a store, and what [`SqliteStore::with_namespace`] gives, share the thread and its commits. Two stores
//!   opened on one path work like two processes.
//! * While the file is open it must not be deleted, moved or replaced, and the files beside it (`-wal`, `-shm`) are
//!   part of it. A file that is not the one that was opened any more is noticed, and every request refused.
//! * A forked child must not use the library before it starts another program (`exec`): threads, and so leases,
//!   do not come along.
//!
//! * Records of up to 1 KiB that were read lately are kept in memory, 8,192 at most in each process, and are answered from
//!   there as long as no process has changed anything in the file: that is looked up for each call, in the memory that
//!   SQLite's connections share.
//!
//! # Time
//!
//! `ttl` is measured by the wall clock. On Linux leases are measured by `CLOCK_BOOTTIME`, which nobody sets, and end
//! with a restart of the machine. Elsewhere they are measured by the wall clock, too: setting it back makes them
//! longer, setting it forward shorter.
//!
//! # Room
//!
//! Expired records are removed in small steps while the store is used, and their room is used again; the file does
//! not shrink (`VACUUM` by hand does that). On a disk that is full a claim is refused, so that the body does not run.

mod busy;
mod clock;
mod connect;
mod failure;
mod file;
mod network;
mod options;
mod overdue;
mod queue;
mod readers;
mod recent;
mod records;
mod schema;
mod version;
mod walk;
mod watch;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use idem_runtime::Text;
use idem_runtime::store::{Asked, Durability, Handle, IntoStore, Profile, Request, Store, StoreError};

pub use self::options::{SqliteStoreBuilder, Synchronous};

use self::file::{File, Open};

/// A store in an SQLite file.
///
/// Clones are the same store. When the last one is dropped, what was asked is still carried out, in the background.
#[derive(Clone)]
pub struct SqliteStore(Arc<Inner>);

/// One namespace of an open file.
struct Inner {
    open: Arc<Open>,
    namespace: Text,
    profile: Profile,
}

impl SqliteStore {
    /// Opens a file, and makes it if it is not there: a path, or a URL.
    ///
    /// | written | opens |
    /// | --- | --- |
    /// | `sqlite:orders.db`, `orders.db` | in the current folder |
    /// | `sqlite:///var/lib/shop/orders.db` | an absolute path |
    /// | `sqlite:orders.db?synchronous=normal` | see [`Synchronous`] |
    /// | `sqlite:orders.db?namespace=shop` | records that other namespaces of the file do not see |
    /// | `sqlite:orders.db?time_limit=10s` | how long a request may wait for other processes that write, and for the disk; default 5 s |
    ///
    /// In a URL `%20` is a space, and so on. Whatever else a path may hold, [`SqliteStore::builder`] takes as it is.
    ///
    /// # Errors
    /// Unknown parameters, a folder that is not there, a file that is not a database, belongs to another program or a
    /// newer version of this crate, cannot be written, or lies on a network file system. Each says what to do.
    pub fn open(path_or_url: &str) -> Result<Self, StoreError> {
        SqliteStoreBuilder::parse(path_or_url)?.open()
    }

    /// Describes a store on this path.
    ///
    /// ```no_run
    /// use idem_sqlite::{SqliteStore, Synchronous};
    ///
    /// let store = SqliteStore::builder("orders.db").synchronous(Synchronous::Normal).namespace("shop").open()?;
    /// # Ok::<(), idem_runtime::store::StoreError>(())
    /// ```
    pub fn builder(path: impl Into<PathBuf>) -> SqliteStoreBuilder {
        SqliteStoreBuilder::new(path.into())
    }

    /// Another namespace of the same open file; both share its thread and its commits.
    #[must_use]
    pub fn with_namespace(&self, namespace: impl Into<Text>) -> Self {
        let namespace = namespace.into();
        let mut profile = self.0.profile.clone();
        profile.name = options::name(self.0.open.file.path(), &namespace);
        SqliteStore(Arc::new(Inner { open: Arc::clone(&self.0.open), namespace, profile }))
    }

    pub(crate) fn with(builder: SqliteStoreBuilder) -> Result<Self, StoreError> {
        let name = options::name(&builder.path, &builder.namespace);
        let (file, connection) = File::open(&builder)?;
        let durability = match builder.synchronous {
            Synchronous::Full => Durability::Synced,
            Synchronous::Normal => {
                tracing::warn!(
                    store = %name,
                    "synchronous=normal: a power cut may lose what was answered last: bodies run again, fences are given twice (I4, I5, I10)"
                );
                Durability::Machine
            }
        };
        let open = Arc::new(Open::start(file, connection)?);
        let mut profile = Profile::new(name, durability);
        profile.time_limit = builder.time_limit;
        Ok(SqliteStore(Arc::new(Inner { open, namespace: builder.namespace, profile })))
    }
}

impl Store for SqliteStore {
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

impl IntoStore for SqliteStore {
    fn into_store(self) -> Handle {
        self.to_handle()
    }
}

impl Store for Inner {
    fn ask(&self, request: Request) -> Asked {
        let file = &self.open.file;
        if let Some(answer) = self.open.read(&self.namespace, &request) {
            return Asked::Now(answer);
        }
        match request {
            Request::Watch { token, limit } => watch::watch(file, &self.namespace, token, limit),
            request => file.write(&self.namespace, request),
        }
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqliteStore").field(&self.0.profile.name).finish()
    }
}
