//! Which runtimes have a connection of their own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
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
    runtimes: RwLock<Vec<Runtime>>,
}

/// What is known of one runtime.
#[derive(Debug)]
struct Runtime {
    id: Id,
    /// How often it has asked without a connection.
    asked: AtomicU32,
    lane: Option<Arc<Lane>>,
    never: bool,
    not_before: Option<Instant>,
    rest: Duration,
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lanes").field(&self.read()).finish()
    }
}

/// What a runtime has.
enum Known {
    Lane(Arc<Lane>),
    None,
    /// It is new, or it is time for a connection.
    Wants,
}

impl Lanes {
    pub(crate) fn new(
        client: Client,
        queue: Arc<Queue>,
        scripts: Arc<Scripts>,
        settings: Settings,
        name: Text,
    ) -> Self {
        Lanes { client, queue, scripts, settings, name, runtimes: RwLock::default() }
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
        let lane = match self.known(runtime.id()) {
            Known::Lane(lane) => lane,
            Known::None => return Some(job),
            Known::Wants => {
                self.begin(&runtime);
                return Some(job);
            }
        };
        match lane.push(job) {
            Pushed::Taken => None,
            Pushed::NotNow(job) => Some(job),
            Pushed::Over(job) => {
                if let Some(known) = self.write().iter_mut().find(|known| known.id == runtime.id()) {
                    known.ended(&lane);
                }
                Some(job)
            }
        }
    }

    /// What this runtime has. Counts a request of one that has nothing.
    fn known(&self, id: Id) -> Known {
        let runtimes = self.read();
        let Some(known) = runtimes.iter().find(|known| known.id == id) else { return Known::Wants };
        if let Some(lane) = &known.lane {
            return Known::Lane(Arc::clone(lane));
        }
        known.asked.fetch_add(1, Ordering::Relaxed);
        if known.wants() { Known::Wants } else { Known::None }
    }

    /// Knows the runtime from now on; makes a connection if it is time.
    fn begin(&self, runtime: &Handle) {
        let mut runtimes = self.write();
        let known = find(&mut runtimes, runtime.id());
        let room = runtimes.iter().filter(|runtime| runtime.is_live()).count() < MOST;
        let known = &mut runtimes[known];
        if known.lane.is_some() || !known.wants() {
            return;
        }
        if !room {
            return known.rests();
        }
        let (queue, scripts) = (Arc::clone(&self.queue), Arc::clone(&self.scripts));
        let lane = Arc::new(Lane::new(queue, scripts, self.settings));
        known.lane = Some(Arc::clone(&lane));
        // A runtime may run the application's code for each task.
        drop(runtimes);
        self.open(lane, runtime);
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
        for runtime in self.write().drain(..) {
            if let Some(lane) = runtime.lane {
                lane.close();
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Runtime>> {
        self.runtimes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Runtime>> {
        self.runtimes.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runtime {
    fn is_live(&self) -> bool {
        self.lane.as_ref().is_some_and(|lane| !lane.has_ended())
    }

    /// Whether it is time for a connection.
    fn wants(&self) -> bool {
        !self.never
            && self.asked.load(Ordering::Relaxed) >= OFTEN
            && self.not_before.is_none_or(|at| at <= Instant::now())
    }

    /// Its connection is no more.
    fn ended(&mut self, lane: &Arc<Lane>) {
        if self.lane.take_if(|ended| Arc::ptr_eq(ended, lane)).is_some() {
            *self.asked.get_mut() = 0;
            self.never |= lane.is_impossible();
            self.rests();
        }
    }

    /// It goes without one for a while.
    fn rests(&mut self) {
        self.not_before = Some(Instant::now() + self.rest);
        self.rest = (self.rest * 2).min(LAST_REST);
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
    let asked = AtomicU32::new(1);
    runtimes.push(Runtime { id, asked, lane: None, never: false, not_before: None, rest: FIRST_REST });
    runtimes.len() - 1
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime as Tokio};

    use super::*;

    fn tokio() -> Tokio {
        Builder::new_current_thread().build().unwrap()
    }

    fn lane() -> Arc<Lane> {
        Arc::new(Lane::new(Arc::default(), Arc::new(Scripts::new(false)), Settings::of_a_test()))
    }

    fn client() -> Client {
        Client::open("redis://127.0.0.1:1").unwrap()
    }

    #[test]
    fn of_many_runtimes_those_with_a_connection_stay_known() {
        let tokios: Vec<_> = (0..=KNOWN).map(|_| tokio()).collect();
        let id = |at: usize| tokios[at].handle().id();
        let mut runtimes = Vec::new();
        for at in (0..KNOWN).chain(0..KNOWN) {
            assert_eq!(find(&mut runtimes, id(at)), at);
        }
        let (live, over) = (lane(), lane());
        drop(Arc::clone(&over).run(client()));
        runtimes[3].lane = Some(live);
        runtimes[5].lane = Some(over);
        assert_eq!(find(&mut runtimes, id(KNOWN)), 1);
        let known: Vec<_> = runtimes.iter().map(|runtime| runtime.id).collect();
        assert_eq!(known, [id(3), id(KNOWN)]);
    }

    #[test]
    fn a_runtime_gets_a_connection_when_it_asks_often_and_has_rested() {
        let tokio = tokio();
        let mut runtimes = Vec::new();
        let at = find(&mut runtimes, tokio.handle().id());
        let runtime = &mut runtimes[at];
        assert!(!runtime.wants());
        runtime.asked = OFTEN.into();
        assert!(runtime.wants());

        let mine = lane();
        runtime.lane = Some(Arc::clone(&mine));
        runtime.ended(&lane());
        assert!(runtime.is_live(), "it was another's");
        runtime.ended(&mine);
        assert!(runtime.lane.is_none() && !runtime.wants());
        assert_eq!(*runtime.asked.get_mut(), 0);
        runtime.asked = OFTEN.into();
        assert!(!runtime.wants(), "it rests");
        let rest = runtime.not_before.unwrap().saturating_duration_since(Instant::now());
        assert!(!rest.is_zero() && rest <= FIRST_REST);
        runtime.not_before = Some(Instant::now());
        assert!(runtime.wants(), "it has rested");
        let impossible = lane();
        tokio.block_on(Arc::clone(&impossible).run(client()));
        runtime.lane = Some(Arc::clone(&impossible));
        runtime.ended(&impossible);
        (runtime.asked, runtime.not_before) = (OFTEN.into(), None);
        assert!(!runtime.wants(), "it can do no I/O");
        for seconds in [4, 8, 16, 32, 60, 60] {
            assert_eq!(runtime.rest, Duration::from_secs(seconds));
            runtime.rests();
        }
    }
}
