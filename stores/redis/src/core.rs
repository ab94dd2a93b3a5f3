//! What every namespace of one server shares: the way to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use idem_runtime::Text;
use idem_runtime::store::{Pending, Request};
use redis::{Cmd, Value};

use crate::cluster::{Cluster, Node};
use crate::ended::Ended;
use crate::failure::Failure;
use crate::lanes::Lanes;
use crate::operation::Operation;
use crate::queue::{Asks, Job, Queue};
use crate::scripts::Scripts;

/// What is set, for all that talk with a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) time_limit: Duration,
    /// How many replicas must have what was written before it is answered.
    pub(crate) wait_replicas: u32,
    /// How many bytes the servers take in one piece.
    pub(crate) largest: usize,
}

impl Settings {
    /// Those of a test that is not about them.
    #[cfg(test)]
    pub(crate) fn of_a_test() -> Self {
        Settings { time_limit: Duration::from_secs(5), wait_replicas: 0, largest: usize::MAX }
    }

    /// Until when what is asked then is answered.
    pub(crate) fn until(self, since: Instant) -> Instant {
        since + self.time_limit.min(LONG)
    }
}

/// As good as for ever.
const LONG: Duration = Duration::from_secs(365 * 24 * 3600);

/// So long from now, or as good as never.
pub(crate) fn deadline(limit: Duration) -> Instant {
    Instant::now() + limit.min(LONG)
}

/// The way to the server, or to the servers.
#[derive(Debug)]
pub(crate) enum Way {
    /// One server, and the connections of the application's runtimes to it.
    One(Arc<Queue>, Option<Box<Lanes>>),
    Cluster(Cluster),
}

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) way: Way,
    pub(crate) scripts: Arc<Scripts>,
    pub(crate) ended: Arc<Ended>,
    pub(crate) settings: Settings,
    /// Where, without a password.
    pub(crate) place: String,
}

impl Core {
    /// Starts a request about one record.
    pub(crate) fn ask(&self, request: Request, key: Vec<u8>, name: &Text) -> Pending {
        let (responder, pending) = Pending::channel(name.clone());
        let operation = Box::new(Operation::new(request, key, self.settings, Arc::clone(&self.ended)));
        match operation.start(&self.scripts) {
            Ok(command) => self.send(command, Asks::Request(operation, responder, name.clone())),
            Err(failure) => responder.answer(Err(failure.explain(name, false))),
        }
        pending
    }

    /// Sends a command of the store's own; in a cluster to this node.
    pub(crate) fn command(
        &self,
        command: Cmd,
        node: Option<&Node>,
    ) -> oneshot::Receiver<Result<Value, Failure>> {
        let (sender, receiver) = oneshot::channel();
        self.send(command, Asks::Command(sender, node.cloned()));
        receiver
    }

    fn send(&self, command: Cmd, asks: Asks) {
        let since = Instant::now();
        let until = self.settings.until(since);
        let job = Job { command, asks, since, until, lost: false, alone: false, failed: None };
        match &self.way {
            Way::One(queue, lanes) => {
                let left = match lanes {
                    // What the store itself wants to know has time.
                    Some(lanes) if matches!(job.asks, Asks::Request(..)) => lanes.push(job),
                    _ => Some(job),
                };
                if let Some(job) = left {
                    queue.push(job);
                }
            }
            Way::Cluster(cluster) => cluster.push(job),
        }
    }

    /// Nobody asks any more.
    pub(crate) fn close(&self) {
        match &self.way {
            Way::One(queue, lanes) => {
                if let Some(lanes) = lanes {
                    lanes.close();
                }
                queue.leave();
            }
            // Its tasks end by themselves.
            Way::Cluster(_) => {}
        }
    }
}
