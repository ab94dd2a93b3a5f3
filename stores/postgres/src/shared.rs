//! What the handles of a store hold together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use idem_runtime::store::{Answer, Pending, Reply, Request, StoreError};
use idem_runtime::{Text, io};
use sqlx::Error;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use crate::failure;
use crate::listen::Listener;
use crate::options::PostgresStoreBuilder;
use crate::queue::{Job, Queue};
use crate::schema::Names;
use crate::sql::Statements;
use crate::watch::Watches;
use crate::worker;

/// What a request may wait for while there is no connection at all.
const WITHOUT: Duration = Duration::from_secs(1);

/// One database, open.
pub(crate) struct Shared {
    pub(crate) name: Text,
    pub(crate) builder: PostgresStoreBuilder,
    pub(crate) names: Names,
    pub(crate) session: PgConnectOptions,
    pub(crate) sql: Statements,
    pub(crate) queue: Queue,
    pub(crate) watches: Watches,
    pub(crate) listener: Listener,
    /// How many connections are at work.
    up: AtomicUsize,
    /// Why the last one could not be opened.
    trouble: Mutex<Option<StoreError>>,
    /// How many records have been made since expired ones were looked for.
    pub(crate) made: AtomicUsize,
}

impl Shared {
    /// Sets the connections to work.
    pub(crate) fn start(
        builder: PostgresStoreBuilder,
        name: Text,
        names: Names,
        connection: PgConnection,
    ) -> Arc<Self> {
        let shared = Arc::new(Shared {
            name,
            session: builder.session(),
            sql: Statements::new(&names),
            queue: Queue::default(),
            watches: Watches::default(),
            listener: Listener::default(),
            up: AtomicUsize::new(0),
            trouble: Mutex::new(None),
            // So that what was left behind is looked for soon.
            made: AtomicUsize::new(1),
            names,
            builder,
        });
        let mut first = Some(connection);
        for _ in 0..shared.builder.connections {
            shared.spawn(worker::work(Arc::clone(&shared), first.take()));
        }
        shared.spawn(worker::keep_time(Arc::clone(&shared)));
        shared.spawn(worker::tidy(Arc::clone(&shared)));
        shared
    }

    /// Whether the end of attempts is told to those who wait.
    pub(crate) fn notifies(&self) -> bool {
        self.builder.notify && !self.builder.pooled
    }

    /// Starts work on the library's thread that nobody waits for.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(io().spawn(self.name.clone(), async move {
            work.await;
            Ok(Reply::Record(None))
        }));
    }

    /// Starts a request.
    pub(crate) fn ask(&self, namespace: &Text, request: Request) -> Pending {
        let (responder, pending) = Pending::channel(self.name.clone());
        self.queue.push(Job {
            namespace: namespace.clone(),
            request,
            responder,
            since: Instant::now(),
            sent: false,
        });
        pending
    }

    /// Answers a request, and lets the next one of its attempt go out.
    pub(crate) fn answer(&self, job: Job, answer: Answer) {
        let attempt = job.attempt();
        job.responder.answer(answer);
        self.queue.over(attempt);
    }

    /// A connection is at work.
    pub(crate) fn up(&self) {
        self.up.fetch_add(1, Ordering::Relaxed);
    }

    /// It is not any more.
    pub(crate) fn down(&self) {
        self.up.fetch_sub(1, Ordering::Relaxed);
    }

    /// A connection could not be opened.
    pub(crate) fn trouble(&self, error: StoreError) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// Answers what has waited for too long for a connection.
    pub(crate) fn give_up(&self) {
        let limit = self.builder.time_limit;
        // What is out has a quarter of the time at least, and together no more than all of it.
        let limit = limit - limit / 4;
        let up = self.up.load(Ordering::Relaxed);
        let late = self.queue.late(if up == 0 { limit.min(WITHOUT) } else { limit });
        if late.is_empty() {
            return;
        }
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for job in late {
            let error = match &trouble {
                _ if job.sent => StoreError::lost(
                    self.name.clone(),
                    "was lost while it was asked, and does not come back in time; ask again",
                ),
                Some(error) if up == 0 => error.clone(),
                _ => StoreError::unavailable(
                    self.name.clone(),
                    "has more to do than its connections carry within the time limit: \
                     raise `connections` or `time_limit`, or ask less of it",
                ),
            };
            self.answer(job, Err(error));
        }
    }

    /// How long what has waited for so long may be out.
    pub(crate) fn left(&self, since: Instant) -> Duration {
        let limit = self.builder.time_limit;
        limit.saturating_sub(since.elapsed()).max(limit / 4)
    }

    /// What is said of a connection that could not be opened.
    pub(crate) fn connecting(&self, error: Error) -> StoreError {
        failure::connecting(error, &self.name)
    }
}
