//! What becomes of an attempt: `complete`, `release`, `renew`, `interrupt`.

use axum::http::StatusCode;
use idem::store::{Reply, Request};

use super::body::Body;
use super::{InPath, claim};
use crate::answer::{Answer, Object};
use crate::device::Caller;
use crate::problem::{Kind, Problem};
use crate::schema::Completing;

pub(super) async fn complete(caller: Caller, InPath(token): InPath, body: Body) -> Result<Answer, Problem> {
    let completing = Completing::read(token, body.fields()?)?;
    let found = match completing.is_whole() {
        true => None,
        false => match caller.ask(Request::Get { token }).await? {
            Reply::Record(record) => record,
            _ => None,
        },
    };
    let complete = completing.fill(found.as_deref());
    answer(caller.ask(Request::Complete(complete)).await?)
}

pub(super) async fn release(caller: Caller, InPath(token): InPath, body: Body) -> Result<Answer, Problem> {
    let mut fields = body.fields()?;
    let (attempt, lease) = (fields.the_attempt()?, fields.lease()?);
    fields.end()?;
    answer(caller.ask(Request::Release { token, attempt, lease }).await?)
}

pub(super) async fn renew(caller: Caller, InPath(token): InPath, body: Body) -> Result<Answer, Problem> {
    let mut fields = body.fields()?;
    let (attempt, lease) = (fields.the_attempt()?, fields.lease()?);
    fields.end()?;
    answer(caller.ask(Request::Renew { token, attempt, lease }).await?)
}

pub(super) async fn interrupt(caller: Caller, InPath(token): InPath, body: Body) -> Result<Answer, Problem> {
    let mut fields = body.fields()?;
    let attempt = fields.the_attempt()?;
    fields.end()?;
    answer(caller.ask(Request::Interrupt { token, attempt }).await?)
}

fn answer(reply: Reply) -> Result<Answer, Problem> {
    let outcome = match reply {
        Reply::Completed => "completed",
        Reply::Released => "released",
        Reply::Renewed => "renewed",
        Reply::Stopped => "interrupted",
        Reply::LeaseLost { winner } => return Err(claim::lease_lost(winner.as_ref())),
        other => {
            tracing::error!(?other, "the store answered with something else");
            return Err(Problem::new(Kind::FAILED, "the store's answer is not one to this request"));
        }
    };
    Ok(Answer::new(StatusCode::OK, outcome, Object::new()))
}
