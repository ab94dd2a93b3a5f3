//! What can be set: by a URL or by a builder.

use std::fmt;
use std::time::Duration;

use idem_runtime::Text;
use idem_runtime::store::StoreError;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};
use url::Url;

use crate::RedisStore;

/// A store that is being described; [`RedisStore::builder`] begins one.
#[derive(Clone)]
#[must_use = "`connect` connects to the store"]
pub struct RedisStoreBuilder {
    pub(crate) servers: Servers,
    /// Where, without a password.
    pub(crate) place: String,
    pub(crate) namespace: Text,
    pub(crate) time_limit: Duration,
    pub(crate) wait_replicas: u32,
}

/// One server, or a cluster of them.
#[derive(Clone)]
pub(crate) enum Servers {
    One(Client),
    Cluster(ClusterClient),
}

impl RedisStoreBuilder {
    pub(crate) fn one(client: Client) -> Self {
        let place = place(client.get_connection_info());
        // Small writes go out at once: many of them are already one.
        let info = client.get_connection_info().clone();
        let settings = info.tcp_settings().clone().set_nodelay(true);
        let client = Client::open(info.set_tcp_settings(settings)).unwrap_or(client);
        Self::new(Servers::One(client), place)
    }

    pub(crate) fn many(client: ClusterClient, place: String) -> Self {
        Self::new(Servers::Cluster(client), place)
    }

    fn new(servers: Servers, place: String) -> Self {
        RedisStoreBuilder {
            servers,
            place,
            namespace: Text::EMPTY,
            time_limit: Duration::from_secs(5),
            wait_replicas: 0,
        }
    }

    /// Keeps applications on one server apart; default: none. It is part of the key's name: see the crate's front page.
    pub fn namespace(mut self, namespace: impl Into<Text>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// How long a request may take, with all that is tried again; default 5 seconds.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// How many replicas must have what was written before it is answered (`WAIT`); default 0. It makes it rarer that a
    /// failover loses a record, and not impossible.
    pub fn wait_replicas(mut self, count: u32) -> Self {
        self.wait_replicas = count;
        self
    }

    /// Connects, and looks at what the server is and how it is set.
    ///
    /// # Errors
    /// As [`RedisStore::connect`].
    pub async fn connect(self) -> Result<RedisStore, StoreError> {
        RedisStore::with(self).await
    }

    /// As [`RedisStoreBuilder::connect`], for programs without a runtime: blocks this thread.
    ///
    /// # Errors
    /// As [`RedisStore::connect`].
    pub fn connect_blocking(self) -> Result<RedisStore, StoreError> {
        RedisStore::with_blocking(self)
    }

    /// What a URL says.
    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        let shown = shown(text);
        parse(text).map_err(|message| StoreError::refused(shown, message))
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        if self.time_limit.is_zero() {
            return Err(
                "has a `time_limit` of 0, in which nothing can be answered: the default is `5s`".into()
            );
        }
        Ok(())
    }

    /// How logs and errors call it.
    pub(crate) fn name(&self) -> Text {
        name(&self.place, &self.namespace)
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisStoreBuilder").field(&self.name()).finish()
    }
}

pub(crate) fn name(place: &str, namespace: &str) -> Text {
    let mut name = place.to_owned();
    if !namespace.is_empty() {
        name.push_str("?namespace=");
        name.push_str(namespace);
    }
    Text::from(name)
}

fn parse(text: &str) -> Result<RedisStoreBuilder, String> {
    // The parser's own words are about any URL.
    let mut url =
        Url::parse(text).map_err(|error| format!("is not a URL ({error}): write `redis://HOST:6379`"))?;
    let cluster = match url.scheme() {
        "redis-cluster" | "valkey-cluster" => Some("redis"),
        "rediss-cluster" | "valkeys-cluster" => Some("rediss"),
        "redis" | "rediss" | "valkey" | "valkeys" | "unix" | "redis+unix" | "valkey+unix" => None,
        scheme => {
            return Err(format!(
                "has the scheme `{scheme}:`: write `redis://`, `rediss://`, `redis-cluster://`, `rediss-cluster://` or \
                 `redis+unix://`"
            ));
        }
    };
    let unix = url.scheme().ends_with("unix");
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for (name, value) in url.query_pairs().into_owned() {
        match name.as_str() {
            "namespace" | "time_limit" | "wait_replicas" => ours.push((name, value)),
            "node" if cluster.is_some() => ours.push((name, value)),
            "db" | "user" | "pass" if unix => theirs.push((name, value)),
            _ => {
                return Err(format!(
                    "has the unknown parameter `{name}` in its URL: known are `namespace`, `time_limit`{}{}",
                    if cluster.is_some() { ", `node` and `wait_replicas`" } else { " and `wait_replicas`" },
                    if unix { ", and `db`, `user` and `pass` of the socket" } else { "" },
                ));
            }
        }
    }
    url.set_query(None);
    if !theirs.is_empty() {
        url.query_pairs_mut().extend_pairs(theirs);
    }
    let mut builder = match cluster {
        Some(scheme) => {
            let nodes = ours.iter().filter(|(name, _)| name == "node").map(|(_, node)| node.as_str());
            many(&url, scheme, nodes)?
        }
        None => {
            let client = Client::open(url).map_err(said)?;
            RedisStoreBuilder::one(client)
        }
    };
    for (name, value) in ours {
        builder = match name.as_str() {
            "namespace" => builder.namespace(value),
            "time_limit" => match humantime::parse_duration(&value) {
                Ok(limit) => builder.time_limit(limit),
                Err(error) => {
                    return Err(format!(
                        "has `time_limit={value}` in its URL, which is not a duration such as `5s`: {error}"
                    ));
                }
            },
            "wait_replicas" => match value.parse() {
                Ok(count) => builder.wait_replicas(count),
                Err(_) => {
                    return Err(format!("has `wait_replicas={value}` in its URL: write a whole number"));
                }
            },
            _ => builder,
        };
    }
    Ok(builder)
}

/// A cluster that is found through any of these nodes.
fn many<'a>(
    url: &Url,
    scheme: &str,
    more: impl Iterator<Item = &'a str>,
) -> Result<RedisStoreBuilder, String> {
    let (_, rest) = url.as_str().split_once(':').unwrap_or_default();
    let first: Url = format!("{scheme}:{rest}").parse().map_err(|_| "is not a URL".to_owned())?;
    if !matches!(first.path(), "" | "/" | "/0") {
        return Err("names a database: a Redis Cluster has database 0 only".into());
    }
    let mut nodes = vec![first.clone().into_connection_info().map_err(said)?];
    for node in more {
        let mut url = first.clone();
        let (host, port) = node.rsplit_once(':').unwrap_or((node, "6379"));
        let port = port.parse().map_err(|_| format!("has `node={node}` in its URL: write `HOST:PORT`"))?;
        url.set_host(Some(host)).map_err(|_| format!("has `node={node}` in its URL: write `HOST:PORT`"))?;
        url.set_port(Some(port)).map_err(|()| format!("has `node={node}` in its URL: write `HOST:PORT`"))?;
        nodes.push(url.into_connection_info().map_err(said)?);
    }
    let place = place(&nodes[0]).replacen("redis", "redis-cluster", 1).replacen("clusters:", "cluster:", 1);
    let place = if scheme == "rediss" { place.replacen("redis-", "rediss-", 1) } else { place };
    Ok(RedisStoreBuilder::many(cluster(nodes)?, place))
}

/// What the client of a cluster is told. It is patient here and not there: time limits are the store's.
fn cluster(nodes: Vec<ConnectionInfo>) -> Result<ClusterClient, String> {
    let settings = nodes[0].tcp_settings().clone().set_nodelay(true);
    ClusterClientBuilder::new(nodes)
        .tcp_settings(settings)
        // Messages for those who wait come as pushes, which the older protocol does not have.
        .use_protocol(ProtocolVersion::RESP3)
        .retries(3)
        .min_retry_wait(5)
        .max_retry_wait(100)
        .build()
        .map_err(said)
}

fn said(error: redis::RedisError) -> String {
    format!("cannot be used: {error}")
}

/// Where a connection leads to, without its password.
pub(crate) fn place(info: &ConnectionInfo) -> String {
    let user = info.redis_settings().username().map_or(String::new(), |user| format!("{user}@"));
    let db = match info.redis_settings().db() {
        0 => String::new(),
        db => format!("/{db}"),
    };
    match info.addr() {
        ConnectionAddr::Tcp(host, port) => format!("redis://{user}{}:{port}{db}", bracketed(host)),
        ConnectionAddr::TcpTls { host, port, .. } => {
            format!("rediss://{user}{}:{port}{db}", bracketed(host))
        }
        ConnectionAddr::Unix(path) => format!("redis+unix://{user}{}{db}", path.display()),
        other => format!("redis:{other}"),
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// A URL that is wrong, without what may be a password.
fn shown(text: &str) -> String {
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    let text = match text.rsplit_once('@') {
        Some((_, after)) => format!("{scheme}://{after}"),
        None => text.to_owned(),
    };
    match text.split_once('?') {
        // `pass=` of a socket.
        Some((before, query)) if query.contains("pass") => before.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_wrong_url_is_shown_without_its_password() {
        for (url, expected) in [
            ("redis://shop:secret@host/1?namespace=shop", "redis://host/1?namespace=shop"),
            ("redis://host?nmspace=shop", "redis://host?nmspace=shop"),
            ("redis+unix:///run/redis.sock?user=shop&pass=secret", "redis+unix:///run/redis.sock"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }
}
