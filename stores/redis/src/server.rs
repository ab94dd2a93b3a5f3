//! What a server says of itself, and which promises that costs.

use std::collections::HashMap;

use idem_runtime::Text;
use idem_runtime::store::{Durability, StoreError};
use redis::Value;

/// What is known of one server. What is not known counts as the weaker.
#[derive(Debug, Default, Clone)]
pub(crate) struct Server {
    info: String,
    /// What `CONFIG` says, of [`ASKED`].
    config: HashMap<String, String>,
}

/// What a server's `CONFIG` is asked for.
pub(crate) const ASKED: [&str; 2] = ["appendfsync", "proto-max-bulk-len"];

impl Server {
    pub(crate) fn new(info: Option<Value>, config: Option<Value>) -> Self {
        let text = |value: Value| redis::from_redis_value::<String>(value).ok();
        let pairs = |value: Value| redis::from_redis_value::<HashMap<String, String>>(value).ok();
        Server {
            info: info.and_then(text).unwrap_or_default(),
            config: config.and_then(pairs).unwrap_or_default(),
        }
    }

    /// How many bytes it takes in one piece.
    pub(crate) fn largest(&self) -> usize {
        const USUAL: usize = 512 << 20;
        self.config.get("proto-max-bulk-len").and_then(|most| most.parse().ok()).unwrap_or(USUAL)
    }

    /// A line of `INFO`.
    fn says(&self, what: &str) -> Option<&str> {
        self.info.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':')).map(str::trim)
    }

    fn number(&self, what: &str) -> Option<u64> {
        self.says(what)?.parse().ok()
    }

    /// The version, if it is one that lacks what the scripts need.
    fn too_old(&self) -> Option<&str> {
        if self.says("valkey_version").is_some() {
            return None;
        }
        let version = self.says("redis_version")?;
        let major: u64 = version.split('.').next()?.parse().ok()?;
        (major < 7).then_some(version)
    }

    /// What its records survive, and in which words it is said if that is not all.
    fn survives(&self) -> (Durability, Option<&'static str>) {
        match (self.number("aof_enabled"), self.config.get("appendfsync").map(String::as_str)) {
            (Some(1), Some("always")) => (Durability::Synced, None),
            (Some(1), Some(_)) => (
                Durability::Machine,
                Some(
                    "appendfsync is not `always`: a power cut loses what was recorded last (a second of it with `everysec`), \
                     and its bodies run again (I1, I2, I5, I10)",
                ),
            ),
            (Some(1), None) => (
                Durability::Machine,
                Some(
                    "it does not say what `appendfsync` is (the user may not ask CONFIG): taken for `everysec`, with which a \
                     power cut loses a second of records, and their bodies run again (I1, I2, I5, I10)",
                ),
            ),
            (Some(_), _) => (
                Durability::Process,
                Some(
                    "appendonly is off: when the server stops, what was recorded since its last snapshot is gone, and its \
                     bodies run again, also with on_interrupt = reject (I1, I2, I5, I10)",
                ),
            ),
            (None, _) => (
                Durability::Process,
                Some(
                    "it does not say whether it keeps anything on its disk (the user may not ask INFO): taken for one that \
                     does not, so that bodies run again after its end (I1, I2, I5, I10)",
                ),
            ),
        }
    }

    /// Whether it drops records to make room.
    fn evicts(&self) -> Option<&str> {
        let policy = self.says("maxmemory_policy")?;
        let limited = self.number("maxmemory").is_none_or(|limit| limit > 0);
        (policy != "noeviction" && limited).then_some(policy)
    }

    fn replicas(&self) -> u64 {
        self.number("connected_slaves").unwrap_or(0)
    }
}

/// What all of them are good for, and warnings by the names of the promises that their settings cost.
pub(crate) fn judge(
    servers: &[Server],
    cluster: bool,
    wait_replicas: u32,
    name: &Text,
) -> Result<Durability, StoreError> {
    let refuse = |message: String| Err(StoreError::refused(name.clone(), message));
    for server in servers {
        if let Some(version) = server.too_old() {
            return refuse(format!("is Redis {version}: idem needs Redis 7.0 or later, or Valkey"));
        }
        match server.says("redis_mode") {
            Some("cluster") if !cluster => {
                return refuse(
                    "is a node of a Redis Cluster: write `redis-cluster://` instead of `redis://`".into(),
                );
            }
            Some("standalone") if cluster => {
                return refuse("is a single server: write `redis://` instead of `redis-cluster://`".into());
            }
            Some("sentinel") => {
                return refuse(
                    "is a Sentinel, which keeps no records: give the address of the master".into(),
                );
            }
            _ => {}
        }
        if server.says("role") == Some("slave") {
            return refuse("is a read-only replica: give the address of the master".into());
        }
    }
    let weakest = servers.iter().map(Server::survives).min_by_key(|(durability, _)| *durability);
    let (durability, warning) = weakest.unwrap_or((Durability::Process, None));
    if let Some(warning) = warning {
        tracing::warn!(store = %name, "{warning}");
    }
    if let Some(policy) = servers.iter().find_map(Server::evicts) {
        tracing::warn!(
            store = %name,
            "maxmemory-policy is `{policy}`: a full server drops records, running ones too, and their bodies run again \
             (I1, I2, I5, I10); set it to `noeviction`"
        );
    }
    if wait_replicas == 0 && servers.iter().any(|server| server.replicas() > 0) {
        tracing::warn!(
            store = %name,
            "it has replicas, and they have a record a moment later: a failover may lose what was answered last, and its \
             bodies run again (I1, I2, I5, I10); `?wait_replicas=1` makes that rarer"
        );
    }
    Ok(durability)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(info: &str, fsync: Option<&str>) -> Server {
        let config = fsync.map(|fsync| ("appendfsync".to_owned(), fsync.to_owned()));
        Server { info: info.replace(' ', "\r\n"), config: config.into_iter().collect() }
    }

    fn refused(info: &str, cluster: bool) -> String {
        judge(&[server(info, None)], cluster, 0, &"redis://a:1".into()).unwrap_err().to_string()
    }

    #[test]
    fn what_records_survive() {
        for (info, fsync, durability) in [
            ("aof_enabled:1", Some("always"), Durability::Synced),
            ("aof_enabled:1", Some("everysec"), Durability::Machine),
            ("aof_enabled:1", Some("no"), Durability::Machine),
            ("aof_enabled:1", None, Durability::Machine),
            ("aof_enabled:0", Some("always"), Durability::Process),
            ("", None, Durability::Process),
        ] {
            let server = self::server(info, fsync);
            assert_eq!(server.survives().0, durability, "{info} {fsync:?}");
            let strong = self::server("aof_enabled:1", Some("always"));
            let both = judge(&[strong, server], true, 0, &"redis-cluster://a:1".into()).unwrap();
            assert_eq!(both, durability, "the weakest of a cluster counts");
        }
    }

    #[test]
    fn what_evicts() {
        let evicts = |info: &str| server(info, None).evicts().map(str::to_owned);
        assert_eq!(evicts("maxmemory:1000 maxmemory_policy:volatile-ttl").as_deref(), Some("volatile-ttl"));
        assert_eq!(evicts("maxmemory_policy:allkeys-lru").as_deref(), Some("allkeys-lru"));
        assert_eq!(evicts("maxmemory:0 maxmemory_policy:allkeys-lru"), None);
        assert_eq!(evicts("maxmemory:1000 maxmemory_policy:noeviction"), None);
        assert_eq!(evicts(""), None);
    }

    #[test]
    fn what_is_refused() {
        assert!(refused("redis_version:6.2.14", false).contains("needs Redis 7.0"));
        assert!(refused("redis_mode:cluster", false).contains("`redis-cluster://`"));
        assert!(refused("redis_mode:standalone", true).contains("write `redis://`"));
        assert!(refused("redis_mode:sentinel", false).contains("the master"));
        assert!(refused("role:slave", false).contains("read-only replica"));
        let valkey = server("redis_version:7.2.4 valkey_version:8.0.1 aof_enabled:1", Some("always"));
        assert_eq!(judge(&[valkey], false, 0, &"a".into()).unwrap(), Durability::Synced);
        let newer = server("redis_version:7.0.15 role:master", None);
        assert!(judge(&[newer], false, 0, &"a".into()).is_ok());
    }
}
