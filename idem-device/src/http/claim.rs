//! `POST /v1/claim`: may this attempt run the body?

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use idem::digest::{self, Compared};
use idem::store::{Claim, Finished, Kind as ResultKind, Reply, Request};

use super::body::Body;
use super::record;
use super::wait::Wait;
use crate::answer::{Answer, Object, millis};
use crate::device::{Caller, Device};
use crate::problem::{Kind, Problem};
use crate::schema::Claiming;

/// What a repeated request is told.
pub(crate) const DO_NOT: &str = "Do not submit repeated requests";

/// So often a claim is asked again because of what the store answered.
const MOST_ROUNDS: usize = 8;

pub(super) async fn claim(
    State(device): State<Arc<Device>>,
    caller: Caller,
    body: Body,
) -> Result<Answer, Problem> {
    let claiming = Claiming::read(body.fields()?)?;
    drop(body);
    let reject = claiming.reject;
    let (claim, reply, unheard) = ask(&device, &caller, claiming).await?;
    let answer = answer(&claim, reply, reject)?;
    // From here on the answer is on its way.
    unheard.heard();
    Ok(answer)
}

/// Asks, and waits as long as the caller does.
pub(super) async fn ask(
    device: &Arc<Device>,
    caller: &Caller,
    claiming: Claiming,
) -> Result<(Arc<Claim>, Reply, Unheard), Problem> {
    let mut claim = Arc::new(claiming.claim);
    let mut unheard = Unheard::new(caller, &claim, claiming.made_attempt);
    let wait = Wait::new(device, claiming.wait);
    let mut rounds = 0;
    loop {
        unheard.armed = claiming.made_attempt;
        let reply = caller.ask(Request::Claim(Arc::clone(&claim))).await?;
        // Whatever else it is, nothing of this attempt is in the store.
        unheard.armed &= matches!(reply, Reply::Claimed(_));
        match &reply {
            Reply::Running { lease_left, .. } if !wait.is_over() => {
                // A moment more than the lease, so that it is over when the claim is asked again.
                let most = lease_left.saturating_add(Duration::from_millis(1));
                if wait.watch(caller, claim.token, most).await.is_none() {
                    return Err(running(&claim, &reply, Kind::TOO_MANY, "repeat it later, or do not wait"));
                }
                continue;
            }
            // On the names that both have they agree: this claim takes it for its own.
            Reply::Mismatch { digest }
                if rounds < MOST_ROUNDS && digest::compare(&claim.digest, digest) == Compared::Compatible =>
            {
                Arc::make_mut(&mut claim).accept = Some(digest.clone());
                rounds += 1;
                continue;
            }
            _ => {}
        }
        return Ok((claim, reply, unheard));
    }
}

/// What became of a claim.
pub(super) fn answer(claim: &Claim, reply: Reply, reject: bool) -> Result<Answer, Problem> {
    match reply {
        Reply::Claimed(grant) => {
            let object = Object::new()
                .token(claim.token)
                .attempt("attempt", claim.attempt)
                .number("fence", grant.fence)
                .number("generation", grant.generation)
                .number("number", grant.number.into());
            Ok(Answer::new(StatusCode::CREATED, "claimed", object))
        }
        Reply::Done(done) => {
            let object = Object::new().token(claim.token);
            let object =
                if reject || done.kind == ResultKind::None { object.text("message", DO_NOT) } else { object };
            Ok(Answer::ok("done", object.and(finished(&done, !reject))))
        }
        reply => Err(refused(claim, reply)),
    }
}

/// A claim that is neither granted nor answered with a result.
fn refused(claim: &Claim, reply: Reply) -> Problem {
    let token = Object::new().token(claim.token);
    match reply {
        Reply::Running { .. } => {
            running(claim, &reply, Kind::RUNNING, "wait with `wait_ms`, or repeat the request later")
        }
        Reply::Interrupted { since, number } => Problem::new(
            Kind::INTERRUPTED,
            "the body is not started again until a person has reopened or resolved the record",
        )
        .with(token.time("since", since).number("number", number.into())),
        Reply::Mismatch { digest } => {
            let (argument, detail) = match digest::compare(&claim.digest, &digest) {
                Compared::Differs(name) if name == "key()" => {
                    (Some("key(…)".to_owned()), "the token is made of other arguments".into())
                }
                Compared::Differs(name) => {
                    let detail = format!("`{name}` is another one than in the first call");
                    (Some(name), detail)
                }
                _ => (None, "the digests cannot be compared".into()),
            };
            let members = match argument {
                Some(name) => token.text("argument", name),
                None => token.null("argument"),
            };
            Problem::new(Kind::MISMATCH, detail).with(members.bytes("digest", &digest))
        }
        Reply::LeaseLost { winner } => lease_lost(winner.as_ref()).with(token),
        other => {
            tracing::error!(?other, "the store answered a claim with something else");
            Problem::new(Kind::FAILED, "the store's answer is not one to a claim").with(token)
        }
    }
}

fn running(claim: &Claim, reply: &Reply, kind: Kind, detail: &'static str) -> Problem {
    let Reply::Running { since, lease_left } = reply else { return Problem::new(kind, detail) };
    let members =
        Object::new().token(claim.token).time("since", *since).number("lease_left_ms", millis(*lease_left));
    Problem::new(kind, detail).with(members).after(*lease_left)
}

/// What a finished record says.
pub(super) fn finished(done: &Finished, with_result: bool) -> Object {
    let object = Object::new().text("kind", record::kind(done.kind));
    let object = match done.kind {
        ResultKind::None => object,
        _ if !with_result => object,
        _ => object.encoded("result", "result_cbor", &done.result),
    };
    object
        .attempt("completed_by", done.attempt)
        .number("generation", done.generation)
        .time("first_at", done.first_at)
        .time("completed_at", done.completed_at)
        .time("expires_at", done.expires_at)
}

/// Another attempt has replaced this one, and may have completed.
pub(super) fn lease_lost(winner: Option<&Finished>) -> Problem {
    let detail = match winner {
        Some(_) => "it has completed: its result is what duplicates get",
        None => "nothing of this attempt is recorded any more",
    };
    let winner = winner.map(|winner| finished(winner, true));
    Problem::new(Kind::LEASE_LOST, detail).with(Object::new().object("winner", winner))
}

/// An attempt that the device has made an id for, until its caller is about to be told. If the caller goes away before
/// that, nobody knows the id, and the token is given back.
pub(super) struct Unheard {
    caller: Caller,
    claim: Arc<Claim>,
    armed: bool,
}

impl Unheard {
    fn new(caller: &Caller, claim: &Arc<Claim>, made_attempt: bool) -> Self {
        let claim = if made_attempt { Arc::clone(claim) } else { Arc::default() };
        Unheard { caller: caller.clone(), claim, armed: false }
    }

    pub(super) fn heard(mut self) {
        self.armed = false;
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        if self.armed {
            let claim = &self.claim;
            // What is asked is carried out, whether anybody waits for it or not.
            drop(self.caller.store.ask(Request::Release {
                token: claim.token,
                attempt: claim.attempt,
                lease: claim.lease,
            }));
        }
    }
}
