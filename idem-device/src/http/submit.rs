//! `POST /v1/submit`: claim and complete in one step, for callers that only want to be told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use idem::store::{Claim, Complete, Fault, Finished, Grant, Kind as ResultKind, Payload, Reply, Request};

use super::body::Body;
use super::claim::{self, DO_NOT, finished};
use crate::answer::{Answer, Object};
use crate::device::{Caller, Device};
use crate::problem::{Kind, Problem};
use crate::schema::Submitting;

pub(super) async fn submit(
    State(device): State<Arc<Device>>,
    caller: Caller,
    body: Body,
) -> Result<Answer, Problem> {
    let Submitting { claiming, result, kind } = Submitting::read(body.fields()?)?;
    drop(body);
    let reject = claiming.reject;
    let (claim, reply, unheard) = claim::ask(&device, &caller, claiming).await?;
    match reply {
        Reply::Claimed(grant) => {
            unheard.heard();
            let mut complete = Complete::default();
            complete.token = claim.token;
            complete.attempt = claim.attempt;
            (complete.fence, complete.generation, complete.number) =
                (grant.fence, grant.generation, grant.number);
            complete.function = claim.function.clone();
            complete.digest = claim.digest.clone();
            (complete.result, complete.kind, complete.ttl) = (result, kind, claim.ttl);
            // It goes on when the caller goes away: what is claimed is completed.
            let completing = tokio::spawn(completed(caller, Arc::new(complete)));
            match completing.await {
                Ok(answered) => answered?,
                Err(_) => return Err(Problem::new(Kind::FAILED, "completing has failed")),
            }
            Ok(first(&claim, grant))
        }
        // The answer to the first one was lost, and this is the same request once more.
        Reply::Done(done) if done.attempt == claim.attempt => {
            Ok(first(&claim, Grant::new(done.generation, done.generation, 1)))
        }
        Reply::Done(done) => Ok(repeated(&claim, &done, reject)),
        other => claim::answer(&claim, other, reject),
    }
}

/// Completes, and asks again as long as the store's time limit allows.
async fn completed(caller: Caller, mut complete: Arc<Complete>) -> Result<(), Problem> {
    let until = Instant::now() + caller.store.profile().time_limit;
    let mut pause = Duration::from_millis(10);
    loop {
        match caller.store.ask(Request::Complete(Arc::clone(&complete))).await {
            Ok(Reply::Completed) => return Ok(()),
            // It took longer than its lease, and somebody else was first.
            Ok(_) => return Err(claim::lease_lost(None)),
            // That it happened must be known, even if its result cannot be kept.
            Err(error) if error.fault() == Fault::TooLarge && complete.kind != ResultKind::None => {
                let complete = Arc::make_mut(&mut complete);
                (complete.kind, complete.result) = (ResultKind::None, Payload::default());
                continue;
            }
            Err(error) if error.fault() == Fault::Refused || Instant::now() + pause >= until => {
                return Err(Problem::store("complete", &error));
            }
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

fn first(claim: &Claim, grant: Grant) -> Answer {
    let object = Object::new()
        .token(claim.token)
        .attempt("attempt", claim.attempt)
        .number("generation", grant.generation);
    Answer::new(StatusCode::CREATED, "completed", object)
}

fn repeated(claim: &Claim, done: &Finished, reject: bool) -> Answer {
    let object = Object::new().token(claim.token).text("message", DO_NOT);
    Answer::ok("done", object.and(finished(done, !reject && done.kind != ResultKind::None)))
}
