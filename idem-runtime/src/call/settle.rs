//! After the body: the store is told what it ended with, and told again in the background until it answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::keeper::Kept;
use super::machine::{At, Wait};
use super::observe::Happened;
use super::prepared::Prepared;
use crate::io::io;
use crate::store::{
    Answer, Asked, Complete, Fault, Finished, Handle, Kind, Payload, Pending, Reply, Request,
};
use crate::{Text, Token};

/// How long a panic is held back until the store was told.
pub(super) const PANIC_LIMIT: Duration = Duration::from_secs(1);

/// What a body ended with, as its record says it.
#[derive(Debug)]
pub(crate) enum Ended {
    /// A result that is kept, or `Kind::None`.
    Kept(Kind, Payload),
    /// A result that should have been kept, and why it is not.
    NotKept(String),
    /// An `Err` that frees the token.
    Freed,
    /// It is not known what it did.
    Unknown,
}

/// What the caller gets.
#[derive(Debug)]
pub(crate) enum Settled {
    /// What its body returned.
    Own,
    /// What the attempt has completed with that replaced it.
    Winner(Finished),
}

/// What the store is to be told, and how it is to be waited for.
#[derive(Debug)]
pub(crate) enum Told {
    Over(Settled),
    Wait,
}

impl Prepared {
    /// Tells the store what the body ended with.
    pub(super) fn settle(&mut self, ended: Ended) -> Told {
        let request = self.settling(ended);
        let Some(store) = self.store.clone() else {
            self.progress.at = At::Idle;
            self.executed(Happened::ExecutedUnprotected, false);
            return Told::Over(Settled::Own);
        };
        if self.progress.grant.is_none() {
            self.progress.at = At::Idle;
            self.executed(Happened::ExecutedUnprotected, false);
            self.carry(store, request, None);
            return Told::Over(Settled::Own);
        }
        // The guard is armed before the request is sent.
        self.progress.at = At::Settling(request.clone());
        match self.told(&store, request) {
            Asked::Now(answer) => Told::Over(self.settled(answer)),
            Asked::Later(pending) => {
                self.progress.wait = Wait::Settled(pending);
                Told::Wait
            }
        }
    }

    fn settling(&self, ended: Ended) -> Request {
        let (token, attempt) = (self.token_now(), self.attempt());
        let (kind, result) = match ended {
            Ended::Kept(kind, result) => (kind, result),
            Ended::NotKept(why) => {
                not_kept(self.text(), token, &why);
                (Kind::None, Payload::default())
            }
            Ended::Freed => return self.release(),
            Ended::Unknown => return Request::Interrupt { token, attempt },
        };
        let grant = self.progress.grant.unwrap_or_default();
        Request::Complete(Arc::new(Complete {
            token,
            attempt,
            fence: grant.fence,
            generation: grant.generation,
            number: grant.number,
            function: self.text().clone(),
            digest: self.claim.digest.clone(),
            result,
            kind,
            ttl: self.claim.ttl,
        }))
    }

    /// The store has answered, or it has not.
    pub(super) fn settled(&mut self, answer: Answer) -> Settled {
        let request = match std::mem::take(&mut self.progress.at) {
            At::Settling(request) => request,
            _ => return Settled::Own,
        };
        let kept = self.progress.kept.take();
        match answer {
            Ok(Reply::Completed) => {
                let kept = matches!(&request, Request::Complete(complete) if complete.kind != Kind::None);
                self.executed(Happened::Executed, kept || !self.keeps_results());
                Settled::Own
            }
            Ok(Reply::Released | Reply::Stopped) => {
                self.executed(Happened::Executed, true);
                Settled::Own
            }
            Ok(Reply::LeaseLost { winner }) => {
                tracing::error!(
                    function = %self.text(), token = %self.token_now(),
                    "the attempt was replaced while its body ran; what it ended with is not recorded"
                );
                count("idem_lease_lost", self.text());
                self.executed(Happened::Executed, false);
                match winner {
                    Some(finished) if finished.kind != Kind::None => Settled::Winner(finished),
                    _ => Settled::Own,
                }
            }
            answer => {
                let store = self.store.clone().expect("what was asked of a store has a store");
                self.executed(Happened::Executed, false);
                let request = match without_result(&request, &answer) {
                    Some(smaller) => smaller,
                    None => {
                        self.log_unrecorded(&request, &answer);
                        request
                    }
                };
                self.progress.kept = kept;
                self.carry(store, request, None);
                Settled::Own
            }
        }
    }

    /// The store takes too long to answer: it goes on without the caller.
    pub(super) fn leave(&mut self, pending: Pending) -> Settled {
        let At::Settling(request) = std::mem::take(&mut self.progress.at) else { return Settled::Own };
        let store = self.store.clone().expect("what was asked of a store has a store");
        tracing::error!(
            function = %self.text(), token = %self.token_now(), operation = request.operation(),
            "the body ended and the store does not answer; recording goes on in the background"
        );
        count("idem_unrecorded", self.text());
        self.executed(Happened::Executed, false);
        self.carry(store, request, Some(pending));
        Settled::Own
    }

    /// Goes on in the background. While a result is not recorded its lease is kept, so that what is known to have
    /// ended well is not run again.
    pub(super) fn carry(&mut self, store: Handle, request: Request, asked: Option<Pending>) {
        let kept = self.progress.kept.take().filter(|_| matches!(request, Request::Complete(_)));
        carry(store, request, asked, self.text().clone(), self.claim.ttl, kept);
    }

    fn log_unrecorded(&self, request: &Request, answer: &Answer) {
        let why = match answer {
            Ok(reply) => format!("it answered {reply:?}"),
            Err(error) => error.to_string(),
        };
        tracing::error!(
            function = %self.text(), token = %self.token_now(), operation = request.operation(),
            "the body ended and the store has not recorded it; recording goes on in the background: {why}"
        );
        count("idem_unrecorded", self.text());
    }

    fn executed(&mut self, happened: Happened, recorded: bool) {
        self.report("executed");
        self.tell(happened, |observed| observed.recorded = recorded);
    }

    /// Says in the span and in the counters what became of the call.
    pub(super) fn report(&self, outcome: &'static str) {
        if let Some(span) = &self.progress.span {
            span.record("outcome", outcome);
        }
        self.progress.put.ends(self.token_now(), outcome);
        counted(self.text(), outcome);
    }
}

fn not_kept(function: &Text, token: Token, why: &str) {
    tracing::warn!(
        %function, %token,
        "the result is not kept, so duplicates are told `Do not submit repeated requests`: {why}"
    );
    count("idem_results_not_kept", function);
}

/// What is recorded instead of a result that is too large for the store.
fn without_result(request: &Request, answer: &Answer) -> Option<Request> {
    match (request, answer) {
        (Request::Complete(complete), Err(error))
            if error.fault() == Fault::TooLarge && complete.kind != Kind::None =>
        {
            not_kept(&complete.function, complete.token, &error.to_string());
            let mut smaller = Complete::clone(complete);
            (smaller.kind, smaller.result) = (Kind::None, Payload::default());
            Some(Request::Complete(Arc::new(smaller)))
        }
        _ => None,
    }
}

#[cfg(feature = "metrics")]
pub(super) fn counted(function: &Text, outcome: &'static str) {
    metrics::counter!("idem_calls", "function" => function.to_string(), "outcome" => outcome).increment(1);
}

#[cfg(not(feature = "metrics"))]
pub(super) fn counted(_: &Text, _: &'static str) {}

#[cfg(feature = "metrics")]
fn count(name: &'static str, function: &Text) {
    metrics::counter!(name, "function" => function.to_string()).increment(1);
}

#[cfg(not(feature = "metrics"))]
fn count(_: &'static str, _: &Text) {}

/// Asks until the store has answered, at most for `ttl`, whether anybody waits or not. What a store answers at
/// once is settled here; the rest goes on on `idem-io`.
fn carry(
    store: Handle,
    mut request: Request,
    asked: Option<Pending>,
    function: Text,
    ttl: Duration,
    kept: Option<Kept>,
) {
    let first = match asked {
        Some(pending) => Asked::Later(pending),
        None => store.ask(request.clone()),
    };
    if let Asked::Now(Ok(_)) = first {
        return;
    }
    io().record(async move {
        let _kept = kept;
        // A result is worth nothing after its ttl; a token that was not given back may be stuck for ever.
        let until = match request {
            Request::Complete(_) => Instant::now().checked_add(ttl),
            _ => None,
        };
        let mut pause = Duration::from_millis(20);
        let mut asked = first;
        loop {
            let answer = asked.await;
            if let Some(smaller) = without_result(&request, &answer) {
                request = smaller;
                asked = store.ask(request.clone());
                continue;
            }
            let Err(error) = answer else { return };
            if until.is_some_and(|until| Instant::now() + pause >= until) {
                tracing::error!(
                    %function, operation = request.operation(), %error,
                    "given up: the store was not told within the record's ttl"
                );
                return;
            }
            tracing::warn!(%function, operation = request.operation(), %error, "the store is asked again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(30));
            asked = store.ask(request.clone());
        }
    });
}
