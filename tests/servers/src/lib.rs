//! Starts real servers for tests: Redis, a Redis Cluster, PostgreSQL. From the programs on this machine, in temporary
//! folders, on free ports; and stops them whatever happens, also when the test run is killed.
//!
//! A server that is not installed gives `None`, and a line on the standard error stream says so; with
//! `IDEM_REQUIRE_SERVERS=1` it is a panic instead.
//!
//! ```no_run
//! let Some(mut redis) = idem_servers::Redis::start() else { return };
//! redis.kill(); // the machine is gone
//! redis.restart(); // and back, at the same address
//! ```

mod cluster;
mod folder;
mod pgbouncer;
mod port;
mod postgres;
mod process;
mod program;
mod proxy;
mod redis;

pub use cluster::RedisCluster;
pub use pgbouncer::PgBouncer;
pub use postgres::Postgres;
pub use proxy::{Fault, Proxy};
pub use redis::Redis;
