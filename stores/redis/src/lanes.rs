//! Which runtimes have a connection of their own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use idem_runtime::store::Reply;
use idem_runtime::{Text, io};
use redis::Client;
use tokio::runtime::{Handle, Id, RuntimeFlavor};

use crate::batch::SMALL;
use crate::core::Settings;
use crate::lane::{Lane, Pushed};
use crate::queue::{Job, Queue};
use crate::scripts::{self, Scripts};

/// After so many requests a runtime gets a connection.
const OFTEN: u32 = 32;
/// How many runtimes have one at most.
const MOST: usize = 4;
/// How many are known at most.
const KNOWN: usize = 32;
/// How long a runtime goes without after its connection has ended, the first time; then twice as long each time.
const FIRST_REST: Duration = Duration::from_secs(1);
const LAST_REST: Duration = Duration::from_secs(60);

/// The connections of the application's runtimes to one server.
pub(crate) struct Lanes {
    client: Client,
    queue: Arc<Queue>,
    scripts: Arc<Scripts>,
    settings: Settings,
    name: Text,
    runtimes: Mutex<Vec<Runtime>>,
}

/// What is known of one runtime.
#[derive(Debug)]
struct Runtime {
    id: Id,
    /// How often it has asked without a connection.
    asked: u32,
    lane: Option<Arc<Lane>>,
    never: bool,
    not_before: Option<Instant>,
    rest: Duration,
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lanes").field(&self.lock()).finish()
    }
}

impl Lanes {
    pub(crate) fn new(
        client: Client,
        queue: Arc<Queue>,
        scripts: Arc<Scripts>,
        settings: Settings,
        name: Text,
    ) -> Self {
        Lanes { client, queue, scripts, settings, name, runtimes: Mutex::default() }
    }

    /// Sends a job over the connection of the runtime that asks, or gives it back.
    ///
    /// Only a runtime of several threads has one: of a single one the clock may be paused, and the thread held up.
    /// `idem-io` is a runtime of one thread.
    pub(crate) fn push(&self, job: Job) -> Option<Job> {
        // What takes long to write is not written twice.
        if scripts::size(&job.command) > SMALL {
            return Some(job);
        }
        let Ok(runtime) = Handle::try_current() else { return Some(job) };
        if runtime.runtime_flavor() != RuntimeFlavor::MultiThread {
            return Some(job);
        }
        let mut runtimes = self.lock();
        let known = find(&mut runtimes, runtime.id());
        let Some(lane) = runtimes[known].lane.clone() else {
            if runtimes[known].wants() && runtimes.iter().filter(|runtime| runtime.is_live()).count() < MOST {
                let (queue, scripts) = (Arc::clone(&self.queue), Arc::clone(&self.scripts));
                let lane = Arc::new(Lane::new(queue, scripts, self.settings));
                runtimes[known].lane = Some(Arc::clone(&lane));
                // A runtime may run the application's code for each task.
                drop(runtimes);
                self.open(lane, &runtime);
            }
            return Some(job);
        };
        drop(runtimes);
        match lane.push(job) {
            Pushed::Taken => None,
            Pushed::NotYet(job) => Some(job),
            Pushed::Over(job) => {
                let known = |known: &&mut Runtime| known.id == runtime.id();
                if let Some(known) = self.lock().iter_mut().find(known) {
                    known.ended(&lane);
                }
                Some(job)
            }
        }
    }

    fn open(&self, lane: Arc<Lane>, runtime: &Handle) {
        drop(runtime.spawn(Arc::clone(&lane).run(self.client.clone())));
        drop(io().spawn(self.name.clone(), async move {
            lane.supervise().await;
            Ok(Reply::Record(None))
        }));
    }

    /// Nobody asks any more.
    pub(crate) fn close(&self) {
        for runtime in self.lock().drain(..) {
            if let Some(lane) = runtime.lane {
                lane.close();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Runtime>> {
        self.runtimes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runtime {
    fn is_live(&self) -> bool {
        self.lane.as_ref().is_some_and(|lane| !lane.has_ended())
    }

    /// Counts a request; whether it is time for a connection.
    fn wants(&mut self) -> bool {
        self.asked = self.asked.saturating_add(1);
        !self.never && self.asked > OFTEN && self.not_before.is_none_or(|at| at <= Instant::now())
    }

    /// Its connection is no more.
    fn ended(&mut self, lane: &Arc<Lane>) {
        if self.lane.take_if(|ended| Arc::ptr_eq(ended, lane)).is_some() {
            self.asked = 0;
            self.never |= lane.is_impossible();
            self.not_before = Some(Instant::now() + self.rest);
            self.rest = (self.rest * 2).min(LAST_REST);
        }
    }
}

/// Where this runtime stands in the list.
fn find(runtimes: &mut Vec<Runtime>, id: Id) -> usize {
    if let Some(at) = runtimes.iter().position(|runtime| runtime.id == id) {
        return at;
    }
    if runtimes.len() >= KNOWN {
        runtimes.retain(Runtime::is_live);
    }
    runtimes.push(Runtime { id, asked: 0, lane: None, never: false, not_before: None, rest: FIRST_REST });
    runtimes.len() - 1
}
