//! The conformance suite on the memory store, and on stores that are broken on purpose.

use std::sync::Arc;
use std::time::Duration;

use idem_runtime::Token;
use idem_runtime::conformance::{self, Suite};
use idem_runtime::store::{
    Answer, Asked, AttemptId, Claim, Complete, Finished, Kind, MemoryStore, OnInterrupt, Payload, Pending,
    Profile, Reply, Request, State, Store,
};

#[test]
fn memory() {
    let store = MemoryStore::new();
    let report = Suite::new().shared().elsewhere(MemoryStore::new).run(|| store.clone());
    println!("{report}");
    report.assert();
    assert!(report.results().len() > 50);
    assert_eq!(store.records(), 0, "the suite leaves nothing behind");
}

#[test]
fn memory_with_limits() {
    conformance::run(|| MemoryStore::builder().max_records(1_000).max_bytes(100 << 20).build());
}

#[test]
fn one_way_to_the_records_is_enough() {
    let report = Suite::new().only("shared-").skip("shared-watch", "a reason").run(MemoryStore::new);
    report.assert();
    let text = report.to_string();
    assert!(text.contains("0 passed, 0 failed, 3 skipped") && text.contains("a reason"), "{text}");
}

/// A memory store with one thing wrong.
#[derive(Clone)]
struct Broken {
    store: MemoryStore,
    ask: fn(&MemoryStore, Request) -> Asked,
}

impl Store for Broken {
    fn ask(&self, request: Request) -> Asked {
        (self.ask)(&self.store, request)
    }

    fn profile(&self) -> &Profile {
        self.store.profile()
    }
}

fn claim(request: &Request, change: impl FnOnce(&mut Claim)) -> Request {
    match request {
        Request::Claim(claim) => {
            let mut claim = Claim::clone(claim);
            change(&mut claim);
            Request::Claim(Arc::new(claim))
        }
        other => other.clone(),
    }
}

fn complete(request: &Request, change: impl FnOnce(&mut Complete)) -> Request {
    match request {
        Request::Complete(complete) => {
            let mut complete = Complete::clone(complete);
            change(&mut complete);
            Request::Complete(Arc::new(complete))
        }
        other => other.clone(),
    }
}

/// What the memory store answers at once.
fn now(asked: Asked) -> Answer {
    match asked {
        Asked::Now(answer) => answer,
        Asked::Later(pending) => pending.wait(None).unwrap(),
    }
}

/// What is wrong, the check that has to see it, and how it is done.
type Fault = (&'static str, &'static str, fn(&MemoryStore, Request) -> Asked);

const FAULTS: &[Fault] = &[
    ("the digest is not looked at", "claim-mismatch", |store, request| {
        store.ask(claim(&request, |claim| claim.digest = vec![1]))
    }),
    ("`accept` is not looked at", "claim-mismatch", |store, request| {
        store.ask(claim(&request, |claim| claim.accept = None))
    }),
    ("other arguments after a release keep the generation", "generation", |store, request| {
        match now(store.ask(request)) {
            Ok(Reply::Claimed(mut grant)) if grant.number > 1 => {
                grant.generation -= 1;
                Asked::Now(Ok(Reply::Claimed(grant)))
            }
            answer => Asked::Now(answer),
        }
    }),
    ("fences begin again after a release", "fence-grows", |store, request| match now(store.ask(request)) {
        Ok(Reply::Claimed(mut grant)) => {
            grant.fence = u64::from(grant.number);
            Asked::Now(Ok(Reply::Claimed(grant)))
        }
        answer => Asked::Now(answer),
    }),
    ("a lease is over too early", "claim-lease-over-retry", |store, request| {
        store.ask(claim(&request, |claim| claim.lease /= 3))
    }),
    ("the policy of the record is not looked at", "claim-reject", |store, request| {
        store.ask(claim(&request, |claim| claim.on_interrupt = OnInterrupt::Retry))
    }),
    ("attempts are not counted", "claim-attempts-used-up", |store, request| {
        store.ask(claim(&request, |claim| claim.max_attempts = None))
    }),
    ("a late claim is granted", "claim-late", |store, request| match now(store.ask(request.clone())) {
        Ok(Reply::LeaseLost { .. }) if matches!(request, Request::Claim(_)) => {
            store.ask(claim(&request, |claim| claim.attempt = AttemptId::random()))
        }
        answer => Asked::Now(answer),
    }),
    ("a release of nothing leaves no trace", "release-nothing", |store, request| {
        if let (Request::Release { token, .. }, Ok(Reply::Record(None))) =
            (&request, now(store.ask(Request::Get { token: request.token().unwrap_or_default() })))
        {
            let _ = store.ask(Request::Forget { token: *token });
            return Asked::Now(Ok(Reply::Released));
        }
        store.ask(request)
    }),
    ("a release by anybody frees", "release-anything-else", |store, request| match &request {
        Request::Release { token, lease, .. } => match now(store.ask(Request::Get { token: *token })) {
            Ok(Reply::Record(Some(record))) => {
                let attempt = record.head.attempt;
                store.ask(Request::Release { token: *token, attempt, lease: *lease })
            }
            _ => store.ask(request),
        },
        _ => store.ask(request),
    }),
    ("anybody renews", "renew-anything-else", |store, request| match &request {
        Request::Renew { token, lease, .. } => match now(store.ask(Request::Get { token: *token })) {
            Ok(Reply::Record(Some(record))) => {
                let attempt = record.head.attempt;
                store.ask(Request::Renew { token: *token, attempt, lease: *lease })
            }
            _ => store.ask(request),
        },
        _ => store.ask(request),
    }),
    ("anybody interrupts", "interrupt-anything-else", |store, request| match &request {
        Request::Interrupt { token, .. } => match now(store.ask(Request::Get { token: *token })) {
            Ok(Reply::Record(Some(record))) => {
                store.ask(Request::Interrupt { token: *token, attempt: record.head.attempt })
            }
            _ => store.ask(request),
        },
        _ => store.ask(request),
    }),
    ("a stale owner completes", "complete-taken-over", |store, request| {
        match now(store.ask(request.clone())) {
            Ok(Reply::LeaseLost { .. }) if matches!(request, Request::Complete(_)) => {
                Asked::Now(Ok(Reply::Completed))
            }
            answer => Asked::Now(answer),
        }
    }),
    ("a stale owner overwrites a result", "complete-done-by-another", |store, request| {
        if let Request::Complete(complete) = &request {
            let token = complete.token;
            if let Ok(Reply::LeaseLost { winner: Some(_) }) = now(store.ask(request.clone())) {
                let _ = store.ask(Request::Forget { token });
            }
        }
        store.ask(request)
    }),
    ("what completes without a record is lost", "complete-nothing", |store, request| {
        if let (Request::Complete(_), Ok(Reply::Record(None))) =
            (&request, now(store.ask(Request::Get { token: request.token().unwrap_or_default() })))
        {
            return Asked::Now(Ok(Reply::Completed));
        }
        store.ask(request)
    }),
    ("`complete` does not carry the digest", "complete-nothing", |store, request| {
        store.ask(complete(&request, |complete| complete.digest.clear()))
    }),
    ("records expire too late", "complete-expires", |store, request| {
        store.ask(complete(&request, |complete| complete.ttl = Duration::from_secs(1_000)))
    }),
    ("records expire too early", "complete-expires", |store, request| {
        store.ask(complete(&request, |complete| complete.ttl /= 3))
    }),
    ("`0` is nothing", "value-falsy", |store, request| {
        store.ask(complete(&request, |complete| {
            if *complete.result == [0] {
                complete.result = Payload::default();
                complete.kind = Kind::None;
            }
        }))
    }),
    ("errors come back as values", "value-error", |store, request| {
        store.ask(complete(&request, |complete| {
            if complete.kind == Kind::Error {
                complete.kind = Kind::Value;
            }
        }))
    }),
    ("nobody is woken", "watch-woken", |store, request| match request {
        Request::Watch { .. } => {
            let (responder, pending) = Pending::channel("broken:");
            Asked::Later(pending.with_stop(move || drop(responder)))
        }
        request => store.ask(request),
    }),
    ("a watch is answered before its deadline", "watch-deadline", |store, request| match request {
        Request::Watch { token, .. } => store.ask(Request::Get { token }),
        request => store.ask(request),
    }),
    ("what runs is forgotten", "forget-running", |store, request| {
        if let Request::Forget { token } = request {
            if let Ok(Reply::Record(Some(record))) = now(store.ask(Request::Get { token })) {
                let attempt = record.head.attempt;
                let _ = store.ask(Request::Release { token, attempt, lease: Duration::ZERO });
            }
        }
        store.ask(request)
    }),
    ("an old fence reopens", "reopen-anything-else", |store, request| match &request {
        Request::Reopen(reopen) => match now(store.ask(Request::Get { token: reopen.token })) {
            Ok(Reply::Record(Some(record))) => {
                let mut reopen = idem_runtime::store::Reopen::clone(reopen);
                reopen.fence = record.head.fence;
                store.ask(Request::Reopen(Arc::new(reopen)))
            }
            _ => store.ask(request),
        },
        _ => store.ask(request),
    }),
    ("pages overlap", "list-pages", |store, request| match now(store.ask(request)) {
        Ok(Reply::Page(mut page)) => {
            page.next = page.next.and(page.records.first().map(|first| first.token));
            Asked::Now(Ok(Reply::Page(page)))
        }
        answer => Asked::Now(answer),
    }),
    ("a purge takes what has not expired", "purge", |store, request| {
        if let Request::Purge { .. } = request {
            let all = Request::List(Arc::default());
            if let Ok(Reply::Page(page)) = now(store.ask(all)) {
                for listed in page.records {
                    let _ = store.ask(Request::Forget { token: listed.token });
                }
            }
        }
        store.ask(request)
    }),
    ("looking up and claiming are two steps", "race-claim", |store, request| {
        if let Request::Claim(claim) = &request {
            let free = matches!(now(store.ask(Request::Get { token: claim.token })), Ok(Reply::Record(None)));
            std::thread::yield_now();
            if free {
                let grant = idem_runtime::store::Grant::new(1, 1, 1);
                let _ = store.ask(request);
                return Asked::Now(Ok(Reply::Claimed(grant)));
            }
        }
        store.ask(request)
    }),
];

#[test]
fn a_broken_store_is_found_out() {
    let suite =
        Suite::new().unit(Duration::from_millis(40)).patience(Duration::from_millis(600)).races(8, 300);
    let mut silent = Vec::new();
    for (fault, check, ask) in FAULTS {
        let report = suite.clone().only(*check).run(|| Broken { store: MemoryStore::new(), ask: *ask });
        if !report.failures().any(|failed| failed.name.starts_with(check)) {
            silent.push(format!("{fault}: {report}"));
        }
    }
    assert!(silent.is_empty(), "not seen: {silent:#?}");
}

/// A memory store whose look before a claim takes no notice of the digest.
#[derive(Clone)]
struct Careless(MemoryStore);

impl Store for Careless {
    fn ask(&self, request: Request) -> Asked {
        self.0.ask(request)
    }

    fn finished(&self, token: &Token, _: &[u8]) -> Option<Finished> {
        let record = match now(self.0.ask(Request::Get { token: *token })) {
            Ok(Reply::Record(Some(record))) if record.head.state == State::Done => record,
            _ => return None,
        };
        self.0.finished(token, &record.digest)
    }

    fn profile(&self) -> &Profile {
        self.0.profile()
    }
}

#[test]
fn a_look_that_sees_something_else_than_a_claim_is_found_out() {
    let report = Suite::new().only("claim-mismatch").run(|| Careless(MemoryStore::new()));
    let failed = report.failures().next().expect("one check failed");
    assert!(format!("{:?}", failed.verdict).contains("`finished` gives"), "{report}");
}

#[test]
#[should_panic(expected = "the protocol: digest differs, and is not the one in `accept`")]
fn a_failure_says_which_row() {
    let ask: fn(&MemoryStore, Request) -> Asked =
        |store, request| store.ask(claim(&request, |claim| claim.digest = vec![1]));
    conformance::run(|| Broken { store: MemoryStore::new(), ask });
}
