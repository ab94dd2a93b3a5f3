//! A call of a plain function holds its thread up: the store must not need that thread's runtime to answer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use idem::Error;
use idem::MemoryStore;
use idem::store::{Asked, Profile, Request, Store};
use tokio::runtime::Id;

/// Notes which runtime a request is made in.
struct Noting {
    inner: MemoryStore,
    asked: Mutex<Vec<(&'static str, Option<Id>)>>,
}

impl Store for Noting {
    fn ask(&self, request: Request) -> Asked {
        let runtime = tokio::runtime::Handle::try_current().ok().map(|runtime| runtime.id());
        self.asked.lock().unwrap().push((request.operation(), runtime));
        self.inner.ask(request)
    }

    fn profile(&self) -> &Profile {
        self.inner.profile()
    }
}

impl Noting {
    fn new() -> Arc<Self> {
        Arc::new(Noting { inner: MemoryStore::new(), asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<(&'static str, Option<Id>)> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn charge(store: &Arc<Noting>) -> Result<u64, Error> {
    idem::call("charge").arg(&7).store(store).run_blocking(|| {
        idem::current().expect("in a body there is an attempt").check_blocking()?;
        Ok(700)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn asks_in_the_librarys_runtime() {
    let store = Noting::new();
    let own = tokio::runtime::Handle::current().id();
    assert_eq!(charge(&store).unwrap(), 700);
    let asked = store.asked();
    let operations: Vec<_> = asked.iter().map(|(operation, _)| *operation).collect();
    assert_eq!(operations, ["claim", "renew", "complete"]);
    assert!(asked.iter().all(|(_, runtime)| runtime.is_some_and(|runtime| runtime != own)), "{asked:?}");
    // Who awaits the answer leaves it to its own runtime.
    let call = idem::call("charge").arg(&8).store(&store);
    assert_eq!(call.run(async { Ok::<_, Error>(800) }).await.unwrap(), 800);
    let asked = store.asked();
    assert!(!asked.is_empty() && asked.iter().all(|(_, runtime)| *runtime == Some(own)), "{asked:?}");
    assert_eq!(tokio::runtime::Handle::current().id(), own);
}

#[test]
fn asks_in_none_where_there_is_none() {
    let store = Noting::new();
    assert_eq!(charge(&store).unwrap(), 700);
    assert!(store.asked().iter().all(|(_, runtime)| runtime.is_none()));
}

#[tokio::test]
async fn waits_in_the_librarys_runtime_too() {
    let store = Noting::new();
    let other = Arc::clone(&store);
    let (began, begun) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let running = std::thread::spawn(move || {
        idem::call("slow").arg(&1).store(&other).run_blocking(|| {
            began.send(()).unwrap();
            ended.recv().unwrap();
            Ok::<_, Error>(1)
        })
    });
    begun.recv().unwrap();
    store.asked();
    let waiting = std::thread::spawn({
        let (store, runtime) = (Arc::clone(&store), tokio::runtime::Handle::current());
        move || {
            let _entered = runtime.enter();
            let call = idem::call("slow").arg(&1).store(&store).wait(Duration::from_secs(20));
            call.run_blocking(|| Ok::<_, Error>(2))
        }
    });
    let watches = || store.asked.lock().unwrap().iter().any(|(operation, _)| *operation == "watch");
    while !watches() {
        std::thread::yield_now();
    }
    end.send(()).unwrap();
    assert_eq!((running.join().unwrap().unwrap(), waiting.join().unwrap().unwrap()), (1, 1));
    let own = tokio::runtime::Handle::current().id();
    assert!(store.asked().iter().all(|(_, runtime)| *runtime != Some(own)));
}
