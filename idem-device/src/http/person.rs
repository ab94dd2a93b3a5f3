//! What a person says of a record of which nobody knows what its last attempt did: `reopen` and `resolve`.

use idem::Token;
use idem::store::{Reply, Request};

use super::body::Body;
use super::{InPath, record};
use crate::answer::{Answer, Object};
use crate::device::Caller;
use crate::problem::{Kind, Problem};
use crate::schema;

pub(super) async fn reopen(caller: Caller, InPath(token): InPath, body: Body) -> Result<Answer, Problem> {
    let reopen = schema::reopen(token, body.fields()?)?;
    let by = reopen.by.clone();
    decided(token, "reopened", &by, &caller, Request::Reopen(reopen)).await
}

pub(super) async fn resolve(caller: Caller, InPath(token): InPath, body: Body) -> Result<Answer, Problem> {
    let resolve = schema::resolve(token, body.fields()?)?;
    let by = resolve.by.clone();
    decided(token, "resolved", &by, &caller, Request::Resolve(resolve)).await
}

async fn decided(
    token: Token,
    outcome: &'static str,
    by: &str,
    caller: &Caller,
    request: Request,
) -> Result<Answer, Problem> {
    match caller.ask(request).await? {
        Reply::Reopened | Reply::Resolved => {
            tracing::info!(%token, namespace = %caller.namespace, by, "{outcome}");
            Ok(Answer::ok(outcome, Object::new()))
        }
        Reply::Record(found) => {
            let detail = "it must be interrupted, or running with its lease over, and have this fence: look at it again";
            let found = found.map(|found| record::object(token, &found));
            Err(Problem::new(Kind::NOT_OPEN, detail).with(Object::new().object("record", found)))
        }
        other => {
            tracing::error!(?other, "the store answered with something else");
            Err(Problem::new(Kind::FAILED, "the store's answer is not one to this request"))
        }
    }
}
