//! From options to a connection, and from a connection to an open store.

use std::future::Future;
use std::sync::Arc;

use idem_runtime::store::{Durability, Reply, StoreError};
use idem_runtime::{Text, io};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Error};
use tokio::time::timeout;

use crate::options::PostgresStoreBuilder;
use crate::schema::{self, Names};
use crate::shared::Shared;
use crate::{failure, server};

/// Work on the library's thread, awaited on any executor or by a thread that blocks.
pub(crate) struct Started<T> {
    receiver: oneshot::Receiver<Result<T, StoreError>>,
    name: Text,
}

/// Does something with a store that is being described, on the library's thread.
pub(crate) fn start<T, F>(
    builder: PostgresStoreBuilder,
    run: impl FnOnce(PostgresStoreBuilder) -> F,
) -> Started<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, StoreError>> + Send + 'static,
{
    let name = builder.name();
    let (sender, receiver) = oneshot::channel();
    let work = run(builder);
    drop(io().spawn(name.clone(), async move {
        // Nobody may wait any more: then what was opened is closed again.
        let _ = sender.send(work.await);
        Ok(Reply::Record(None))
    }));
    Started { receiver, name }
}

impl<T> Started<T> {
    pub(crate) async fn done(self) -> Result<T, StoreError> {
        let Started { receiver, name } = self;
        receiver.await.unwrap_or_else(|_| Err(dropped(name)))
    }

    pub(crate) fn wait(self) -> Result<T, StoreError> {
        let Started { receiver, name } = self;
        receiver.recv().unwrap_or_else(|_| Err(dropped(name)))
    }
}

fn dropped(name: Text) -> StoreError {
    StoreError::lost(name, "was dropped while it was being connected to; connect again")
}

/// Opens a connection, within the store's time limit.
pub(crate) async fn connection(
    options: &PgConnectOptions,
    builder: &PostgresStoreBuilder,
) -> Result<PgConnection, Error> {
    match timeout(builder.time_limit, options.connect()).await {
        Ok(result) => result,
        Err(_) => {
            let message = format!("no answer within {}", humantime::format_duration(builder.time_limit));
            Err(Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, message)))
        }
    }
}

/// The first connection of all, with what the builder says of the tables done.
async fn first(
    builder: &PostgresStoreBuilder,
    names: &Names,
    name: &Text,
) -> Result<PgConnection, StoreError> {
    builder.check().map_err(|message| StoreError::refused(name.clone(), message))?;
    let connecting = |error| failure::connecting(error, name);
    let mut connection = connection(&builder.session(), builder).await.map_err(connecting)?;
    if builder.migrate {
        schema::migrate(&mut connection, names, name).await?;
    }
    Ok(connection)
}

/// Makes the tables, and nothing else.
pub(crate) async fn migrate(builder: PostgresStoreBuilder) -> Result<(), StoreError> {
    let builder = builder.migrate(true);
    let names = Names::new(builder.schema.as_ref());
    first(&builder, &names, &builder.name()).await.map(drop)
}

/// Opens a store: its connections are at work when this returns.
pub(crate) async fn open(builder: PostgresStoreBuilder) -> Result<(Arc<Shared>, Durability), StoreError> {
    let (name, names) = (builder.name(), Names::new(builder.schema.as_ref()));
    let mut connection = first(&builder, &names, &name).await?;
    let server = server::check(&mut connection, &names, &name).await?;
    let (durability, weak) = server.durability();
    for setting in weak {
        tracing::warn!(
            store = %name,
            "{setting}: bodies whose result is lost run again, fences are given twice (I4, I5, I10)"
        );
    }
    Ok((Shared::start(builder, name, names, connection), durability))
}
