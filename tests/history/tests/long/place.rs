//! The store of a run, and the server that was started for it.

use std::sync::Arc;

use idem_servers::{Postgres, Redis, RedisCluster};

pub struct Place {
    url: String,
    kept: Kept,
}

/// What must live as long as the run.
enum Kept {
    Nothing,
    Folder { _folder: tempfile::TempDir },
    Postgres(Arc<Postgres>, String),
    Redis(Arc<Redis>),
    Cluster(Arc<RedisCluster>),
}

impl Place {
    /// The store that a URL, or one word, names.
    pub fn open(store: &str) -> Result<Place, String> {
        let missing = || format!("`{store}` cannot be started: its programs are not installed");
        let (url, kept) = match store {
            "memory" => ("memory:".to_owned(), Kept::Nothing),
            "sqlite" => {
                let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
                let url = format!("sqlite:{}", folder.path().join("history.db").display());
                (url, Kept::Folder { _folder: folder })
            }
            "postgres" => {
                let server = Postgres::start().ok_or_else(missing)?;
                let url = server.database();
                idem::PostgresStore::migrate_blocking(&url).map_err(|error| error.to_string())?;
                let name = url.rsplit('/').next().unwrap_or_default().to_owned();
                (url, Kept::Postgres(Arc::new(server), name))
            }
            "redis" => {
                let server = Redis::start().ok_or_else(missing)?;
                (server.url(), Kept::Redis(Arc::new(server)))
            }
            "redis-cluster" => {
                let cluster = RedisCluster::start().ok_or_else(missing)?;
                let url = cluster.urls()[0].replace("redis:", "redis-cluster:");
                (url, Kept::Cluster(Arc::new(cluster)))
            }
            url if url.contains(':') => (url.to_owned(), Kept::Nothing),
            _ => {
                return Err(format!(
                    "`{store}` is neither a URL nor one of `memory`, `sqlite`, `postgres`, `redis`, `redis-cluster`"
                ));
            }
        };
        Ok(Place { url, kept })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// What cuts every connection to the server, where it is one of ours.
    pub fn cut(&self) -> Option<Box<dyn Fn() + Send + Sync>> {
        match &self.kept {
            Kept::Postgres(server, name) => {
                let (server, name) = (Arc::clone(server), name.clone());
                Some(Box::new(move || server.cut_connections(&name)))
            }
            Kept::Redis(server) => {
                let server = Arc::clone(server);
                Some(Box::new(move || server.cut_connections()))
            }
            Kept::Cluster(cluster) => {
                let cluster = Arc::clone(cluster);
                Some(Box::new(move || cluster.nodes().iter().for_each(Redis::cut_connections)))
            }
            Kept::Nothing | Kept::Folder { .. } => None,
        }
    }
}
