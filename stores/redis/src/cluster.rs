//! The connections to a Redis Cluster.
//!
//! The client knows which node has which key, follows keys that move and masters that change. Each request is a task of
//! its own, which is patient until its time limit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use idem_runtime::store::Reply;
use idem_runtime::{Text, io};
use redis::cluster::{ClusterClient, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{Cmd, Pipeline, RedisResult, Value};

use crate::core::Settings;
use crate::failure::{Failure, Remedy};
use crate::link::{CONNECT, FIRST_PAUSE, LAST_PAUSE, retry, wait};
use crate::queue::{Asks, Job, Replicas};
use crate::scripts::Scripts;

/// A node's host and port.
pub(crate) type Node = (String, u16);

/// A cluster. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Cluster(Arc<Inner>);

struct Inner {
    client: ClusterClient,
    scripts: Arc<Scripts>,
    settings: Settings,
    name: Text,
    /// The connection, and how many there were before it.
    connection: Mutex<(u64, ClusterConnection)>,
    /// Held by whoever connects anew.
    renewing: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cluster").field(&self.name).finish()
    }
}

/// Connects to all the nodes.
pub(crate) async fn connect(client: ClusterClient, time_limit: Duration) -> RedisResult<ClusterConnection> {
    let config = ClusterConfig::new()
        .set_connection_timeout(CONNECT.min(time_limit))
        // A node that is silent for so long is given up; what was asked of it is asked again.
        .set_response_timeout(time_limit / 2);
    client.get_async_connection_with_config(config).await
}

impl Cluster {
    pub(crate) fn new(
        client: ClusterClient,
        connection: ClusterConnection,
        scripts: Arc<Scripts>,
        settings: Settings,
        name: Text,
    ) -> Self {
        let connection = Mutex::new((0, connection));
        Cluster(Arc::new(Inner { client, scripts, settings, name, connection, renewing: Default::default() }))
    }

    pub(crate) fn push(&self, job: Job) {
        let this = self.clone();
        drop(io().spawn(self.0.name.clone(), async move {
            this.carry(job).await;
            Ok(Reply::Record(None))
        }));
    }

    /// What every master answers, with its address.
    pub(crate) async fn every_master(&self, command: Cmd) -> Result<Vec<(Value, Value)>, Failure> {
        let routing = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
        let (_, mut connection) = self.connection();
        match connection.route_command(command, routing).await? {
            Value::Map(answers) => Ok(answers),
            _ => Err(Failure::Unexpected("no map of its masters")),
        }
    }

    fn connection(&self) -> (u64, ClusterConnection) {
        self.0.connection.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks until there is an answer, or until its time is up.
    async fn carry(&self, mut job: Job) {
        let (settings, scripts) = (self.0.settings, &self.0.scripts);
        let mut pause = FIRST_PAUSE;
        loop {
            let (number, connection) = self.connection();
            let answer = tokio::time::timeout_at(job.until.into(), self.send(connection, &job)).await;
            let failure = match answer {
                Err(_) => return job.lost().late(settings.time_limit),
                Ok(Ok((Value::ServerError(error), _))) => Failure::Server(error),
                Ok(Ok((value, have))) => {
                    let value = match (&job.asks, value) {
                        // The script's answer for its only key.
                        (Asks::Request(..), Value::Array(mut answers)) if answers.len() == 1 => {
                            answers.remove(0)
                        }
                        (_, value) => value,
                    };
                    let replicas = Replicas::new(settings.wait_replicas, have.as_ref());
                    match job.answered(value, scripts, replicas) {
                        Some(next) => {
                            job = next;
                            continue;
                        }
                        None => return,
                    }
                }
                Ok(Err(error)) => Failure::from(error),
            };
            let (broken, moved) = match &failure {
                // The client follows a key by itself, but not where `WAIT` goes with the command.
                Failure::Server(error) => (false, error.code() == "MOVED"),
                _ => (true, false),
            };
            job.lost |= broken;
            job = match retry(job, failure, scripts) {
                Some((job, Remedy::SendSource)) => job,
                Some((job, remedy)) => {
                    if Instant::now() + pause >= job.until {
                        return job.late(settings.time_limit);
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                    // A master that has come back as a replica is not noticed by the client.
                    if broken || moved || remedy == Remedy::Reconnect {
                        self.renew(number, job.until).await;
                    }
                    job
                }
                None => return,
            };
        }
    }

    /// One command, and how many replicas have what it wrote.
    async fn send(
        &self,
        mut connection: ClusterConnection,
        job: &Job,
    ) -> RedisResult<(Value, Option<Value>)> {
        let (key, node) = match &job.asks {
            Asks::Request(operation, ..) => (operation.key(), None),
            Asks::Command(_, node) => (&[][..], node.as_ref()),
        };
        let route = match node {
            Some((host, port)) => SingleNodeRoutingInfo::ByAddress { host: host.clone(), port: *port },
            None => SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master)),
        };
        if self.0.settings.wait_replicas == 0 || !job.writes() {
            let value = connection.route_command(job.command.clone(), RoutingInfo::SingleNode(route)).await?;
            return Ok((value, None));
        }
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.add_command(job.command.clone());
        pipeline.add_command(wait(self.0.settings.wait_replicas, self.0.settings.time_limit));
        let mut values = connection.route_pipeline(pipeline, 0, 2, route).await?;
        let have = values.pop();
        Ok((values.pop().unwrap_or(Value::Nil), have))
    }

    /// Connects anew, unless somebody has.
    async fn renew(&self, number: u64, until: Instant) {
        let _alone = self.0.renewing.lock().await;
        if self.connection().0 != number {
            return;
        }
        let connecting = connect(self.0.client.clone(), self.0.settings.time_limit);
        match tokio::time::timeout_at(until.into(), connecting).await {
            Ok(Ok(connection)) => {
                *self.0.connection.lock().unwrap_or_else(PoisonError::into_inner) = (number + 1, connection);
            }
            Ok(Err(error)) => {
                tracing::debug!(store = %self.0.name, %error, "the cluster is not reached; it is tried again")
            }
            Err(_) => {}
        }
    }
}
