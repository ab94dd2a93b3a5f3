//! What a store answers, and what becomes of the record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use idem::Token;
use idem::store::{
    Answer, AttemptId, Claim, Complete, Fault, Grant, Handle, Kind, OnInterrupt, Payload, Query, Record,
    Reopen, Reply, Request, Resolve, State, Store,
};
use idem_servers::Proxy;

use super::faults::{ALL, Breaks, How};
use super::limited;
use super::table::Table;

/// How long a store may take to answer.
const LIMIT: Duration = Duration::from_millis(500);
/// What a loaded machine may take in addition.
const SLACK: Duration = Duration::from_secs(5);

/// An operation: what it finds, and what is asked.
struct Operation {
    name: &'static str,
    make: fn(&Bench) -> Request,
}

const OPERATIONS: &[Operation] = &[
    Operation { name: "claim", make: |bench| bench.claim() },
    Operation {
        name: "complete",
        make: |bench| {
            let grant = bench.granted();
            bench.complete(grant)
        },
    },
    Operation {
        name: "release",
        make: |bench| {
            bench.granted();
            Request::Release { token: bench.token, attempt: bench.attempt, lease: LONG }
        },
    },
    Operation {
        name: "renew",
        make: |bench| {
            bench.granted();
            Request::Renew { token: bench.token, attempt: bench.attempt, lease: LONG }
        },
    },
    Operation {
        name: "interrupt",
        make: |bench| {
            bench.granted();
            Request::Interrupt { token: bench.token, attempt: bench.attempt }
        },
    },
    Operation {
        name: "reopen",
        make: |bench| {
            let fence = bench.interrupted();
            Request::Reopen(Arc::new(Reopen::new(bench.token, fence, "ann")))
        },
    },
    Operation {
        name: "resolve",
        make: |bench| {
            let fence = bench.interrupted();
            Request::Resolve(Arc::new(Resolve::new(bench.token, fence, "ann", LONG)))
        },
    },
    Operation {
        name: "forget",
        make: |bench| {
            bench.completed();
            Request::Forget { token: bench.token }
        },
    },
    Operation {
        name: "get",
        make: |bench| {
            bench.completed();
            Request::Get { token: bench.token }
        },
    },
    Operation {
        name: "list",
        make: |bench| {
            bench.completed();
            Request::List(Arc::new(Query::default()))
        },
    },
    Operation {
        name: "purge",
        make: |bench| {
            bench.completed();
            Request::Purge { limit: 10 }
        },
    },
    Operation {
        name: "watch",
        make: |bench| {
            bench.granted();
            Request::Watch { token: bench.token, limit: LIMIT / 4 }
        },
    },
];

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(3_600);

/// One record, seen by two ways to the store.
struct Bench {
    direct: Handle,
    token: Token,
    attempt: AttemptId,
}

/// What is answered; nothing if that takes too long.
fn answer(store: &Handle, request: Request) -> Option<Answer> {
    store.ask(request).wait(Some(LIMIT + SLACK)).ok()
}

fn ask(store: &Handle, request: Request) -> Answer {
    let operation = request.operation();
    answer(store, request)
        .unwrap_or_else(|| panic!("`{operation}` was not answered within {:?}", LIMIT + SLACK))
}

impl Bench {
    fn new(direct: &Handle) -> Bench {
        let name = AttemptId::random();
        let token = idem::call("connections.operation").arg(&name.to_string()).token().unwrap();
        Bench { direct: direct.clone(), token, attempt: AttemptId::random() }
    }

    fn directly(&self, request: Request) -> Reply {
        ask(&self.direct, request).expect("without a proxy everything is answered")
    }

    fn claim(&self) -> Request {
        let mut claim = Claim::default();
        claim.token = self.token;
        claim.attempt = self.attempt;
        claim.function = "connections.operation".into();
        (claim.lease, claim.ttl) = (LONG, LONG);
        claim.on_interrupt = OnInterrupt::Reject;
        Request::Claim(Arc::new(claim))
    }

    fn granted(&self) -> Grant {
        match self.directly(self.claim()) {
            Reply::Claimed(grant) => grant,
            other => panic!("{other:?}"),
        }
    }

    fn complete(&self, grant: Grant) -> Request {
        let mut complete = Complete::default();
        (complete.token, complete.attempt) = (self.token, self.attempt);
        (complete.fence, complete.generation, complete.number) =
            (grant.fence, grant.generation, grant.number);
        complete.function = "connections.operation".into();
        (complete.result, complete.kind) = (Payload::from(vec![0x18, 0x2a]), Kind::Value);
        complete.ttl = LONG;
        Request::Complete(Arc::new(complete))
    }

    fn completed(&self) {
        let grant = self.granted();
        assert_eq!(self.directly(self.complete(grant)), Reply::Completed);
    }

    fn interrupted(&self) -> u64 {
        let grant = self.granted();
        let stopped = self.directly(Request::Interrupt { token: self.token, attempt: self.attempt });
        assert_eq!(stopped, Reply::Stopped);
        grant.fence
    }

    fn record(&self) -> Option<Seen> {
        match self.directly(Request::Get { token: self.token }) {
            Reply::Record(record) => record.map(|record| Seen::of(&record)),
            other => panic!("{other:?}"),
        }
    }
}

/// What counts of a record.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    state: State,
    number: u32,
    unended: u32,
    result: Vec<u8>,
    by: String,
}

impl Seen {
    fn of(record: &Record) -> Seen {
        Seen {
            state: record.head.state,
            number: record.head.number,
            unended: record.head.unended,
            result: record.result.to_vec(),
            by: record.by.to_string(),
        }
    }
}

fn state(seen: &Option<Seen>) -> String {
    seen.as_ref().map_or("no record".to_owned(), |seen| seen.state.to_string())
}

/// The kind of a reply.
fn kind(reply: &Reply) -> String {
    let text = format!("{reply:?}");
    text.split(['(', ' ', '{']).next().unwrap_or_default().to_lowercase()
}

/// What an operation does where nothing breaks.
struct Clean {
    reply: String,
    after: Option<Seen>,
    bytes: (u64, u64),
}

fn clean(operation: &Operation, direct: &Handle, proxied: &Handle, proxy: &Proxy) -> Clean {
    // The first time it may have to say more: which script it means, say.
    for _ in 0..2 {
        let bench = Bench::new(direct);
        let request = (operation.make)(&bench);
        ask(proxied, request).expect("nothing breaks");
    }
    let bench = Bench::new(direct);
    let request = (operation.make)(&bench);
    let before = proxy.bytes();
    let reply = ask(proxied, request).expect("nothing breaks");
    let after = proxy.bytes();
    Clean { reply: kind(&reply), after: bench.record(), bytes: (after.0 - before.0, after.1 - before.1) }
}

/// Asks where the connection breaks; gives what is written into the table, and what is wrong.
fn broken(
    operation: &Operation,
    breaks: &Breaks,
    clean: &Clean,
    direct: &Handle,
    proxied: &Handle,
    proxy: &Proxy,
) -> (String, Option<String>) {
    settled(proxied);
    let bench = Bench::new(direct);
    let request = (operation.make)(&bench);
    let before = bench.record();
    breaks.put(proxy, clean.bytes);
    let began = Instant::now();
    let answer = answer(proxied, request.clone());
    let took = began.elapsed();
    let after = bench.record();
    proxy.heal();
    let Some(answer) = answer else {
        return ("nothing".to_owned(), Some(format!("it was not answered within {took:?}")));
    };
    let shown = match &answer {
        Ok(reply) => kind(reply),
        Err(error) => format!("{:?}", error.fault()).to_lowercase(),
    };
    let cell = format!("{shown}, {}", state(&after));
    let done = after == clean.after;
    let undone = after == before;
    let late = matches!(breaks.how, How::RequestHeld);
    let wrong = match &answer {
        Ok(reply) if kind(reply) != clean.reply => Some(format!("answered {reply:?}")),
        Ok(_) if !done => Some(format!("answered {shown}, and the record is {after:?}")),
        Err(error) if error.fault() == Fault::Lost && !(done || undone) => {
            Some(format!("lost, and the record is {after:?}"))
        }
        Err(error) if error.fault() != Fault::Lost && !undone => {
            Some(format!("{shown}, and the record has become {after:?}"))
        }
        // Then it must never come.
        Err(error) if error.fault() != Fault::Lost && late && later(&bench) != before => {
            Some(format!("{shown}, and it came later: {:?}", bench.record()))
        }
        _ if took > LIMIT + SLACK => Some(format!("it took {took:?}")),
        _ => None,
    };
    (cell, wrong.or_else(|| asked_again(&bench, &request, clean, proxied)))
}

/// The record, once what was held has had time to arrive.
fn later(bench: &Bench) -> Option<Seen> {
    std::thread::sleep(LIMIT / 5);
    bench.record()
}

/// The same request once more is answered as the first one would have been, and does nothing twice.
fn asked_again(bench: &Bench, request: &Request, clean: &Clean, proxied: &Handle) -> Option<String> {
    let until = Instant::now() + SLACK;
    let reply = loop {
        match ask(proxied, request.clone()) {
            Ok(reply) => break reply,
            Err(error) if Instant::now() > until => return Some(format!("healed, and still {error}")),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let after = bench.record();
    if kind(&reply) != clean.reply {
        return Some(format!("asked again it was answered {reply:?}"));
    }
    (after != clean.after).then(|| format!("asked again, the record is {after:?}"))
}

/// Waits until the store is connected again.
fn settled(proxied: &Handle) {
    let until = Instant::now() + SLACK;
    while let Err(error) = ask(proxied, Request::Get { token: Token::default() }) {
        assert!(Instant::now() < until, "healed, and still {error}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn run(url: &str) -> Table {
    let columns = ALL.iter().map(|breaks| breaks.name.to_owned());
    let mut table = Table::new(format!("Operations on {url}: what is answered, what the record is"), columns);
    let direct = idem::connect_blocking(url).expect("the store is there");
    // Each operation on a connection of its own, at the same time.
    let rows: Vec<_> = std::thread::scope(|threads| {
        let rows: Vec<_> = OPERATIONS
            .iter()
            .map(|operation| {
                let direct = direct.clone();
                threads.spawn(move || {
                    let proxy = Proxy::to(url);
                    let proxied = limited(proxy.url(), LIMIT);
                    let proxied = idem::connect_blocking(&proxied).expect("the store is there");
                    let clean = clean(operation, &direct, &proxied, &proxy);
                    let cells =
                        ALL.iter().map(|breaks| broken(operation, breaks, &clean, &direct, &proxied, &proxy));
                    (operation.name, cells.collect())
                })
            })
            .collect();
        rows.into_iter().map(|row| row.join().expect("an operation's row")).collect()
    });
    rows.into_iter().for_each(|(name, cells)| table.row(name, cells));
    table
}
