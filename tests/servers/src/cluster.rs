//! A Redis Cluster: three masters, and a replica of each.

use std::sync::Arc;

use redis::{Connection, FromRedisValue};

use crate::folder::Folder;
use crate::process::until;
use crate::redis::{self as single, Redis};

const MASTERS: usize = 3;
const SLOTS: usize = 16_384;

/// Three masters and a replica of each, which takes over about a second after its master has gone. Killed when it is
/// dropped.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts one and waits until all of it answers; `None` if there is no `redis-server` or `valkey-server`.
    ///
    /// # Panics
    /// If the nodes do not find together.
    pub fn start() -> Option<RedisCluster> {
        RedisCluster::start_with(&[])
    }

    /// With lines for the configuration of every node.
    ///
    /// # Panics
    /// As [`RedisCluster::start`].
    pub fn start_with(settings: &[(&str, &str)]) -> Option<RedisCluster> {
        let program = single::find()?;
        let folder = Arc::new(Folder::new());
        let nodes = (0..2 * MASTERS).map(|_| {
            let mut all = vec![
                ("cluster-enabled", "yes"),
                ("cluster-node-timeout", "1000"),
                ("cluster-replica-validity-factor", "0"),
                ("repl-ping-replica-period", "1"),
            ];
            all.extend_from_slice(settings);
            Redis::start_in(&folder, program.clone(), &all)
        });
        let cluster = RedisCluster { nodes: nodes.collect() };
        cluster.form();
        Some(cluster)
    }

    fn form(&self) {
        let mut connections: Vec<Connection> = self.nodes.iter().map(Redis::connection).collect();
        for (number, connection) in connections.iter_mut().enumerate() {
            ask::<()>(connection, &["SET-CONFIG-EPOCH", &(number + 1).to_string()]);
            if number < MASTERS {
                let (first, next) = (SLOTS * number / MASTERS, SLOTS * (number + 1) / MASTERS);
                ask::<()>(connection, &["ADDSLOTSRANGE", &first.to_string(), &(next - 1).to_string()]);
            }
        }
        for node in &self.nodes[1..] {
            let (port, bus) = (node.port().to_string(), node.bus_port().to_string());
            ask::<()>(&mut connections[0], &["MEET", "127.0.0.1", &port, &bus]);
        }
        let ids: Vec<String> = connections.iter_mut().map(|one| ask(one, &["MYID"])).collect();
        for connection in &mut connections {
            until("every node knows every other one", || {
                let nodes: String = ask(connection, &["NODES"]);
                ids.iter().all(|id| nodes.contains(id.as_str())).then_some(())
            });
        }
        for (replica, master) in (MASTERS..2 * MASTERS).zip(&ids) {
            ask::<()>(&mut connections[replica], &["REPLICATE", master]);
        }
        for connection in &mut connections {
            until("every node says that the cluster is well", || {
                let info: String = ask(connection, &["INFO"]);
                let nodes: String = ask(connection, &["NODES"]);
                let replicas = nodes.lines().filter(|line| line.contains("slave")).count();
                (info.contains("cluster_state:ok") && replicas == MASTERS).then_some(())
            });
        }
        for connection in &mut connections[MASTERS..] {
            until("every replica follows its master", || {
                let info: String = redis::cmd("INFO").arg("replication").query(connection).ok()?;
                info.contains("master_link_status:up").then_some(())
            });
        }
    }

    /// The nodes: first the three that began as masters, then a replica of each, in the same order.
    #[must_use]
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// The nodes, to kill, freeze and restart them.
    pub fn nodes_mut(&mut self) -> &mut [Redis] {
        &mut self.nodes
    }

    /// `redis://127.0.0.1:PORT` of every node.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }

    /// Which node serves this slot now, as the first node that runs sees it.
    ///
    /// # Panics
    /// If no node runs, or none serves it.
    #[must_use]
    pub fn master_of(&self, slot: u16) -> usize {
        until("somebody serves the slot", || {
            let mut beside = self.nodes.iter().find(|node| node.is_running())?.connection();
            let nodes: String = ask(&mut beside, &["NODES"]);
            let port =
                nodes.lines().filter(|line| !line.contains("fail")).find_map(|line| serves(line, slot))?;
            self.nodes.iter().position(|node| node.port() == port)
        })
    }
}

/// The port of the node that a line of `CLUSTER NODES` is about, if it serves the slot.
fn serves(line: &str, slot: u16) -> Option<u16> {
    let mut words = line.split(' ');
    let address = words.nth(1)?;
    let port = address.split('@').next()?.rsplit(':').next()?.parse().ok()?;
    let served = words.skip(6).any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        matches!((first.parse::<u16>(), last.parse::<u16>()), (Ok(first), Ok(last)) if (first..=last).contains(&slot))
    });
    served.then_some(port)
}

fn ask<T: FromRedisValue>(connection: &mut Connection, words: &[&str]) -> T {
    redis::cmd("CLUSTER").arg(words).query(connection).expect("an answer about the cluster")
}
