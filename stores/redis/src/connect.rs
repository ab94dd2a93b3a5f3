//! How a description becomes a connected store, and what is looked at on the way.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use idem_runtime::store::{Profile, Reply, StoreError};
use idem_runtime::{Text, io};
use redis::{RedisResult, Value};

use crate::cluster::{self, Cluster};
use crate::core::{Core, Settings, Way};
use crate::failure::{Failure, Remedy};
use crate::lanes::Lanes;
use crate::link;
use crate::options::{RedisStoreBuilder, Servers};
use crate::queue::Queue;
use crate::scripts::Scripts;
use crate::server::{ASKED, Server, judge};
use crate::watch::Watches;

/// An open store: closed when the last handle is dropped.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) core: Arc<Core>,
    pub(crate) watches: Watches,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.core.close();
    }
}

/// Connects; on the library's thread.
pub(crate) async fn open(builder: RedisStoreBuilder) -> Result<(Open, Profile), StoreError> {
    let name = builder.name();
    builder.check().map_err(|message| StoreError::refused(name.clone(), message))?;
    // TLS needs cryptography; whoever has chosen one keeps it.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let settings = Settings {
        time_limit: builder.time_limit,
        wait_replicas: builder.wait_replicas,
        largest: usize::MAX,
    };
    let cluster = matches!(builder.servers, Servers::Cluster(_));
    let scripts = Arc::new(Scripts::new(cluster));
    let way =
        way(&builder, settings, &scripts, &name).await.map_err(|failure| failure.explain(&name, false))?;
    let mut core = Core { way, scripts, ended: Arc::default(), settings, place: builder.place.clone() };
    let servers = servers(&core).await.map_err(|failure| failure.explain(&name, false))?;
    core.settings.largest = servers.iter().map(Server::largest).min().unwrap_or(usize::MAX);
    let core = Arc::new(core);
    let durability = judge(&servers, cluster, builder.wait_replicas, &name)?;
    // A look shows whether the user may do what is needed, and brings the first script to the server.
    let key = crate::key(&crate::prefix(&builder.namespace), idem_runtime::Token::default());
    let look = core.scripts.look.call(&key, 0, 0);
    match core.command(look, None).await.unwrap_or(Err(Failure::Gone)) {
        Ok(_) => {}
        Err(failure) => {
            core.close();
            return Err(failure.explain(&name, false));
        }
    }
    let mut profile = Profile::new(name.clone(), durability);
    profile.time_limit = builder.time_limit;
    let watches = Watches::start(Arc::clone(&core), &builder.servers, name);
    Ok((Open { core, watches }, profile))
}

/// The way to the servers, within the time limit.
async fn way(
    builder: &RedisStoreBuilder,
    settings: Settings,
    scripts: &Arc<Scripts>,
    name: &Text,
) -> Result<Way, Failure> {
    let limit = settings.time_limit;
    match builder.servers.clone() {
        Servers::One(client) => {
            let connection = patiently(limit, || link::connect(client.clone(), limit)).await?;
            let queue = Arc::new(Queue::default());
            // Who waits for replicas waits longer than a thread takes to be woken; and where a panic ends the process,
            // no runtime is tried that may be without I/O.
            let lanes = (settings.wait_replicas == 0 && cfg!(panic = "unwind")).then(|| {
                let (queue, scripts) = (Arc::clone(&queue), Arc::clone(scripts));
                Box::new(Lanes::new(client.clone(), queue, scripts, settings, name.clone()))
            });
            let task = link::run(
                Arc::clone(&queue),
                Arc::clone(scripts),
                settings,
                name.clone(),
                client,
                connection,
            );
            drop(io().spawn(name.clone(), async move {
                task.await;
                Ok(Reply::Record(None))
            }));
            Ok(Way::One(queue, lanes))
        }
        Servers::Cluster(client) => {
            let connection = patiently(limit, || cluster::connect(client.clone(), limit)).await?;
            let scripts = Arc::clone(scripts);
            Ok(Way::Cluster(Cluster::new(client, connection, scripts, settings, name.clone())))
        }
    }
}

/// Tries again what says that it will work in a moment: a server that is still starting.
async fn patiently<T, F>(limit: Duration, connect: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = RedisResult<T>>,
{
    let until = Instant::now() + limit;
    loop {
        let failure = match tokio::time::timeout_at(until.into(), connect()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => Failure::from(error),
            Err(_) => return Err(Failure::Silent(limit)),
        };
        if failure.remedy() != Remedy::Wait || Instant::now() + link::LAST_PAUSE >= until {
            return Err(failure);
        }
        tokio::time::sleep(link::LAST_PAUSE).await;
    }
}

/// What each master says of itself; as far as it says anything.
async fn servers(core: &Core) -> Result<Vec<Server>, Failure> {
    let info = redis::cmd("INFO");
    let config = redis::cmd("CONFIG").arg("GET").arg(&ASKED).take();
    match &core.way {
        Way::One(..) => {
            let info = core.command(info, None).await.unwrap_or(Err(Failure::Gone));
            let config = core.command(config, None).await.unwrap_or(Err(Failure::Gone));
            Ok(vec![Server::new(allowed(info)?, allowed(config)?)])
        }
        Way::Cluster(cluster) => {
            let infos = cluster.every_master(info).await?;
            let mut configs = cluster.every_master(config).await?;
            let servers = infos.into_iter().map(|(address, info)| {
                let at = configs.iter().position(|(other, _)| *other == address);
                let config = at.map(|at| configs.swap_remove(at).1);
                Ok(Server::new(allowed(said(info))?, allowed(config.map_or(Ok(Value::Nil), said))?))
            });
            servers.collect()
        }
    }
}

fn said(value: Value) -> Result<Value, Failure> {
    match value {
        Value::ServerError(error) => Err(Failure::Server(error)),
        value => Ok(value),
    }
}

/// Nothing, where the user may not ask: managed servers forbid `CONFIG`.
fn allowed(answer: Result<Value, Failure>) -> Result<Option<Value>, Failure> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(Failure::Server(error)) if matches!(error.code(), "NOPERM" | "ERR") => Ok(None),
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use redis::{ErrorKind, RedisError};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_starting_is_waited_for_and_one_that_is_gone_is_not() {
        let loading = || {
            let said = redis::parse_redis_value(b"-LOADING soon\r\n");
            let Ok(Value::ServerError(error)) = said else { panic!("{said:?}") };
            RedisError::from(error)
        };
        let gone = || RedisError::from((ErrorKind::Io, "gone"));
        for (first, tried) in [(&loading as &dyn Fn() -> RedisError, 3), (&gone, 1)] {
            let times = AtomicU32::new(0);
            let connect = async || match times.fetch_add(1, Ordering::Relaxed) {
                0 | 1 => Err(first()),
                _ => Ok(()),
            };
            let connected = patiently(Duration::from_secs(3_600), connect).await;
            assert_eq!((connected.is_ok(), times.into_inner()), (tried == 3, tried), "{connected:?}");
        }
    }
}
