//! A store that decides by `protocol::apply`, which can be wrapped: what a store on a network does, in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use idem_runtime::store::{
    Answer, Asked, Durability, Profile, Record, Reply, Request, State, Store, protocol,
};
use idem_runtime::{LeaseTime, Now, Timestamp, Token, io};

/// Carries one request out: `protocol::apply`, or something around it.
pub type Apply = fn(&mut Option<Record>, &Request, &Now, u64) -> Reply;

/// Records in this process, with leases that need renewal. Clones are the same store.
#[derive(Clone)]
pub struct Held {
    records: Arc<Mutex<Records>>,
    apply: Apply,
    profile: Arc<Profile>,
    /// How long its answers take.
    slow: fn(&Request) -> Duration,
    began: Instant,
}

#[derive(Default)]
struct Records {
    held: HashMap<Token, Option<Record>>,
    fence: u64,
}

pub fn apply(record: &mut Option<Record>, request: &Request, now: &Now, fence: u64) -> Reply {
    protocol::apply(record, request, now, || fence)
}

impl Held {
    pub fn new(apply: Apply) -> Held {
        Held {
            records: Arc::default(),
            apply,
            profile: Arc::new(Profile::new("held:", Durability::Machine)),
            slow: |_| Duration::ZERO,
            began: Instant::now(),
        }
    }

    pub fn slow(mut self, by: fn(&Request) -> Duration) -> Held {
        self.slow = by;
        self
    }

    fn answer(&self, request: &Request) -> Answer {
        let token = request.token().expect("nothing is listed here");
        let mut records = self.records.lock().unwrap();
        records.fence += 1;
        let fence = records.fence;
        let micros = self.began.elapsed().as_micros() as u64;
        let now = Now { wall: Timestamp::now(), lease: LeaseTime { run: 0, micros } };
        Ok((self.apply)(records.held.entry(token).or_default(), request, &now, fence))
    }

    async fn watch(self, token: Token, limit: Duration) -> Answer {
        let until = Instant::now() + limit;
        loop {
            let answer = self.answer(&Request::Get { token });
            let runs =
                matches!(&answer, Ok(Reply::Record(Some(record))) if record.head.state == State::Running);
            if !runs || Instant::now() >= until {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
}

impl Store for Held {
    fn ask(&self, request: Request) -> Asked {
        let store = self.clone();
        Asked::Later(io().spawn("held:", async move {
            if let Request::Watch { token, limit } = request {
                return store.watch(token, limit).await;
            }
            let answer = store.answer(&request);
            let slow = (store.slow)(&request);
            if !slow.is_zero() {
                tokio::time::sleep(slow).await;
            }
            answer
        }))
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }
}
