//! What the checks are made of: calls of their own, requests, and waiting for what the clock brings.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::encoding;
use crate::store::{
    Arguments, Asked, AttemptId, Claim, Complete, Finished, Grant, Handle, Kind, OnInterrupt, Payload,
    Pending, Query, Record, Reopen, Reply, Request, Resolve, State,
};
use crate::token::digest::Verified;
use crate::{Text, Timestamp, Token};

/// A lease or a life that no check outlasts.
pub(super) const LONG: Duration = Duration::from_secs(600);

/// What a clock with whole milliseconds may be wrong by.
const TICK: Duration = Duration::from_millis(2);

pub(super) type Outcome<T = ()> = Result<T, Failure>;

/// What was expected, and what was found.
#[derive(Debug)]
pub(super) struct Failure(String);

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Failure(text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Takes an answer apart, or fails with what was expected.
macro_rules! must_be {
    ($found:expr, $pattern:pat, $when:expr) => {
        must_be!($found, $pattern => (), $when)
    };
    ($found:expr, $pattern:pat => $value:expr, $when:expr) => {
        match $found {
            $pattern => $value,
            other => {
                return Err(format!(
                    "{}: expected `{}`, found `{other:?}`",
                    $when,
                    stringify!($pattern)
                )
                .into());
            }
        }
    };
}

/// Fails with the text unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err(format!($($text)+).into());
        }
    };
}

pub(super) use {ensure, must_be};

/// One store on the bench.
pub(super) struct Bench {
    pub(super) store: Handle,
    /// Another way to the same records.
    pub(super) second: Option<Handle>,
    /// Another namespace.
    pub(super) elsewhere: Option<Handle>,
    pub(super) unit: Duration,
    pub(super) patience: Duration,
    pub(super) threads: usize,
    pub(super) rounds: usize,
    pub(super) name: &'static str,
}

impl Bench {
    /// A new call of a function that only this check has.
    pub(super) fn call(&self) -> Call {
        self.calls(1).remove(0)
    }

    /// New calls of one function that nothing else has.
    pub(super) fn calls(&self, count: usize) -> Vec<Call> {
        let function = Text::from(format!("conformance::{}(\"{}\", ö: →)", self.name, AttemptId::random()));
        (0..count).map(|_| Call::new(self, &function)).collect()
    }
}

/// Different attempts.
pub(super) fn attempts<const N: usize>() -> [AttemptId; N] {
    std::array::from_fn(|_| AttemptId::random())
}

/// One call: a token that nothing else has. Its record is removed in the end.
pub(super) struct Call {
    pub(super) store: Handle,
    pub(super) token: Token,
    pub(super) function: Text,
    pub(super) scope: Text,
    pub(super) arguments: Arguments,
    pub(super) digest: Vec<u8>,
    /// Other verified arguments under the same token, and their digest.
    other: (Arguments, Vec<u8>),
    pub(super) unit: Duration,
    pub(super) patience: Duration,
    /// Whether this is the one that removes the record.
    tidy: bool,
}

impl Call {
    fn new(bench: &Bench, function: &Text) -> Self {
        let scope = Text::from("conformance 'scope' ß");
        let nonce = AttemptId::random().to_string();
        // The token is the right one for these arguments, for stores that make it themselves.
        let encoded = encoding::to_vec(&("idem/1", &*scope, &**function, (&nonce,))).unwrap_or_default();
        let verified = |amount: u64| {
            let mut verified = Verified::default();
            let _ = verified.add("amount", |out| encoding::append(&amount, out));
            let (mut digest, mut values) = (Vec::new(), Vec::new());
            verified.digest(&mut digest);
            verified.values(&mut values);
            (digest, values)
        };
        let key = encoding::to_vec(&(&nonce,)).unwrap_or_default();
        let (digest, values) = verified(250);
        let (other_digest, other_values) = verified(251);
        Call {
            store: bench.store.clone(),
            token: Token::from_bytes(Sha256::digest(encoded).into()),
            function: function.clone(),
            scope,
            arguments: Arguments::new(key.clone(), values),
            digest,
            other: (Arguments::new(key, other_values), other_digest),
            unit: bench.unit,
            patience: bench.patience,
            tidy: true,
        }
    }

    /// The same call through another handle.
    pub(super) fn through(&self, store: &Handle) -> Call {
        Call {
            store: store.clone(),
            token: self.token,
            function: self.function.clone(),
            scope: self.scope.clone(),
            arguments: self.arguments.clone(),
            digest: self.digest.clone(),
            other: self.other.clone(),
            unit: self.unit,
            patience: self.patience,
            tidy: false,
        }
    }

    pub(super) fn start(&self, request: Request) -> Asked {
        self.store.ask(request)
    }

    /// Asks, and waits for the answer.
    pub(super) fn ask(&self, request: Request) -> Outcome<Reply> {
        let operation = request.operation();
        // A call looks before it claims: what it sees is what a claim is answered with.
        let seen = match &request {
            Request::Claim(claim) => self.store.finished(&claim.token, &claim.digest),
            _ => None,
        };
        let reply = match self.start(request) {
            Asked::Now(answer) => answer.map_err(|error| format!("`{operation}` failed: {error}"))?,
            Asked::Later(pending) => self.answer(operation, pending)?,
        };
        if let Some(seen) = seen.filter(|seen| seen.expires_at > Timestamp::now()) {
            let same = matches!(&reply, Reply::Done(finished) if *finished == seen);
            ensure!(same, "`finished` gives {seen:?}, and a claim is answered with {reply:?}");
        }
        Ok(reply)
    }

    /// Waits for an answer.
    pub(super) fn answer(&self, operation: &str, pending: Pending) -> Outcome<Reply> {
        match pending.wait(Some(self.patience)) {
            Ok(answer) => answer.map_err(|error| format!("`{operation}` failed: {error}").into()),
            Err(_) => Err(format!("`{operation}` was not answered within {:?}", self.patience).into()),
        }
    }

    /// Asks, and sees to it that the record stays as it is.
    pub(super) fn ask_in_vain(&self, request: Request) -> Outcome<Reply> {
        let operation = request.operation();
        let before = self.record()?;
        let reply = self.ask(request)?;
        let after = self.record()?;
        ensure!(
            before == after,
            "`{operation}`, answered with {reply:?}, changed the record from {before:?} to {after:?}"
        );
        Ok(reply)
    }

    pub(super) fn claim(&self, attempt: AttemptId) -> Request {
        self.claim_with(attempt, |_| {})
    }

    pub(super) fn claim_with(&self, attempt: AttemptId, options: impl FnOnce(&mut Claim)) -> Request {
        let mut claim = Claim {
            token: self.token,
            attempt,
            digest: self.digest.clone(),
            accept: None,
            lease: LONG,
            ttl: LONG,
            on_interrupt: OnInterrupt::Retry,
            max_attempts: None,
            scope: self.scope.clone(),
            function: self.function.clone(),
            arguments: Some(self.arguments.clone()),
            record_arguments: false,
        };
        options(&mut claim);
        Request::Claim(Arc::new(claim))
    }

    /// Makes it a claim with other verified arguments.
    pub(super) fn differ(&self, claim: &mut Claim) {
        claim.arguments = Some(self.other.0.clone());
        claim.digest = self.other.1.clone();
    }

    /// A claim that is granted.
    pub(super) fn granted(&self, attempt: AttemptId) -> Outcome<Grant> {
        self.granted_with(attempt, |_| {})
    }

    pub(super) fn granted_with(
        &self,
        attempt: AttemptId,
        options: impl FnOnce(&mut Claim),
    ) -> Outcome<Grant> {
        let reply = self.ask(self.claim_with(attempt, options))?;
        Ok(must_be!(reply, Reply::Claimed(grant) => grant, "a claim that has to be granted"))
    }

    pub(super) fn complete(&self, attempt: AttemptId, grant: Grant) -> Request {
        self.complete_with(attempt, grant, |_| {})
    }

    pub(super) fn complete_with(
        &self,
        attempt: AttemptId,
        grant: Grant,
        options: impl FnOnce(&mut Complete),
    ) -> Request {
        let mut complete = Complete {
            token: self.token,
            attempt,
            fence: grant.fence,
            generation: grant.generation,
            number: grant.number,
            function: self.function.clone(),
            digest: self.digest.clone(),
            result: result_of(attempt),
            kind: Kind::Value,
            ttl: LONG,
        };
        options(&mut complete);
        Request::Complete(Arc::new(complete))
    }

    pub(super) fn completed(&self, attempt: AttemptId, grant: Grant) -> Outcome {
        must_be!(self.ask(self.complete(attempt, grant))?, Reply::Completed, "`complete`");
        Ok(())
    }

    pub(super) fn release(&self, attempt: AttemptId) -> Request {
        Request::Release { token: self.token, attempt, lease: LONG }
    }

    pub(super) fn released(&self, attempt: AttemptId) -> Outcome {
        must_be!(self.ask(self.release(attempt))?, Reply::Released, "`release`");
        Ok(())
    }

    pub(super) fn renew(&self, attempt: AttemptId) -> Request {
        Request::Renew { token: self.token, attempt, lease: LONG }
    }

    pub(super) fn interrupt(&self, attempt: AttemptId) -> Request {
        Request::Interrupt { token: self.token, attempt }
    }

    pub(super) fn interrupted(&self, attempt: AttemptId) -> Outcome {
        must_be!(self.ask(self.interrupt(attempt))?, Reply::Stopped, "`interrupt`");
        Ok(())
    }

    pub(super) fn reopen(&self, fence: u64) -> Request {
        Request::Reopen(Arc::new(Reopen::new(self.token, fence, "ann")))
    }

    pub(super) fn resolve(&self, fence: u64, result: &[u8]) -> Request {
        let mut resolve = Resolve::new(self.token, fence, "ann", LONG);
        resolve.result = Payload::from(result);
        resolve.kind = Kind::Value;
        Request::Resolve(Arc::new(resolve))
    }

    pub(super) fn forget(&self) -> Request {
        Request::Forget { token: self.token }
    }

    pub(super) fn watch(&self, limit: Duration) -> Request {
        Request::Watch { token: self.token, limit }
    }

    /// The record, if there is one.
    pub(super) fn record(&self) -> Outcome<Option<Arc<Record>>> {
        let reply = self.ask(Request::Get { token: self.token })?;
        Ok(must_be!(reply, Reply::Record(record) => record, "`get`"))
    }

    /// The record, which has to be there.
    pub(super) fn the_record(&self) -> Outcome<Arc<Record>> {
        Ok(must_be!(self.record()?, Some(record) => record, "`get`"))
    }

    pub(super) fn is(&self, state: State, when: &str) -> Outcome {
        let found = self.the_record()?.head.state;
        ensure!(found == state, "{when}: the record is to be {state} and is {found}");
        Ok(())
    }

    /// What a duplicate is answered with, of a record that is done.
    pub(super) fn duplicate(&self, when: &str) -> Outcome<Finished> {
        let [stranger] = attempts();
        Ok(must_be!(self.ask(self.claim(stranger))?, Reply::Done(finished) => finished, when))
    }

    /// Asks again and again until there is an answer.
    pub(super) fn until<T>(&self, what: &str, mut look: impl FnMut() -> Outcome<Option<T>>) -> Outcome<T> {
        let began = Instant::now();
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            ensure!(began.elapsed() < self.patience, "{what} did not come within {:?}", self.patience);
            std::thread::sleep((self.unit / 20).max(Duration::from_millis(1)));
        }
    }

    /// Waits until the record is running and its lease is over.
    pub(super) fn lease_over(&self) -> Outcome {
        let query = Query {
            lease_over: true,
            function: Some(self.function.clone()),
            limit: 1000,
            ..Query::default()
        };
        self.until("the end of the lease (asked for by `list`)", || {
            let reply = self.ask(Request::List(Arc::new(query.clone())))?;
            let page = must_be!(reply, Reply::Page(page) => page, "`list`");
            Ok(page.records.iter().any(|listed| listed.token == self.token).then_some(()))
        })
    }

    /// Waits until the record is gone, and sees to it that this is not before `life` has passed since `sent`, when
    /// the request was sent from which on it lives.
    pub(super) fn expires(&self, sent: Instant, life: Duration, what: &str) -> Outcome {
        self.until(&format!("the expiry of {what}"), || Ok(self.record()?.is_none().then_some(())))?;
        not_before(sent, life, &format!("{what} was gone"))
    }
}

/// Fails if less than so much has passed since a request was sent.
pub(super) fn not_before(sent: Instant, time: Duration, what: &str) -> Outcome {
    let passed = sent.elapsed();
    ensure!(passed + TICK >= time, "{what} after {passed:?} already; it has {time:?}");
    Ok(())
}

/// What an attempt's body returned.
pub(super) fn result_of(attempt: AttemptId) -> Payload {
    encoding::to_vec(&format!("result of {attempt}")).unwrap_or_default().into()
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.tidy {
            return;
        }
        if let Ok(Some(record)) = self.record() {
            if record.head.state == State::Running {
                let _ = self.released(record.head.attempt);
            }
            let _ = self.ask(self.forget());
        }
    }
}
