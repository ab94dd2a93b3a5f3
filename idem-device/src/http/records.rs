//! Records: one of them (and waiting for it), many of them, and their end.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query as InQuery, State};
use axum::http::Uri;
use idem::store::{Query, Record, Reply, Request, State as RecordState};
use idem::{Text, Token};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::body::Body;
use super::wait::{Wait, Watched};
use super::{InPath, record};
use crate::answer::{Answer, Object, millis};
use crate::device::{Caller, Device};
use crate::look;
use crate::problem::{Kind, Problem};
use crate::schema::{parse_token, purge as read_purge};

/// How many bytes of records one page has, if it is more than one record.
const PAGE_BYTES: usize = 4 << 20;
/// How many records.
pub(crate) const PAGE: usize = 1_000;
pub(crate) const USUAL_PAGE: usize = 100;
/// How many characters a function's text has, where it is part of an address.
pub(crate) const MAX_FUNCTION: usize = 4096;

fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    InQuery::try_from_uri(uri)
        .map(|InQuery(query)| query)
        .map_err(|error| Problem::invalid(error.body_text()))
}

fn unexpected(reply: &Reply) -> Problem {
    tracing::error!(?reply, "the store answered with something else");
    Problem::new(Kind::FAILED, "the store's answer is not one to this request")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    #[serde(default)]
    wait_ms: u64,
}

/// `GET /v1/records/{token}?wait_ms=`: the record, once it is not running or the time is over.
pub(super) async fn get(
    State(device): State<Arc<Device>>,
    caller: Caller,
    InPath(token): InPath,
    uri: Uri,
) -> Result<Answer, Problem> {
    let One { wait_ms } = query(&uri)?;
    let found = if wait_ms == 0 {
        read(&caller, token).await?
    } else {
        watched(&device, &caller, token, Duration::from_millis(wait_ms)).await?
    };
    let Some(found) = found else {
        return Err(Problem::new(Kind::NO_RECORD, "nobody has asked for it, or it has expired"));
    };
    let mut object = record::object(token, &found);
    if found.head.state == RecordState::Running {
        let over = look::lease_over(&caller.store, token, &found.function).await;
        object = object.flag("lease_over", over.map_err(|error| Problem::store("list", &error))?);
    }
    Ok(Answer::ok(record::state(found.head.state), object))
}

async fn read(caller: &Caller, token: Token) -> Result<Option<Arc<Record>>, Problem> {
    match caller.ask(Request::Get { token }).await? {
        Reply::Record(record) => Ok(record),
        reply => Err(unexpected(&reply)),
    }
}

async fn watched(
    device: &Arc<Device>,
    caller: &Caller,
    token: Token,
    limit: Duration,
) -> Result<Option<Arc<Record>>, Problem> {
    let wait = Wait::new(device, limit);
    loop {
        match wait.watch(caller, token, Duration::MAX).await {
            None => return Err(Problem::new(Kind::TOO_MANY, "repeat it later").after(Duration::from_secs(1))),
            Some(Watched::Record(record)) => return Ok(record),
            Some(Watched::Nothing) if wait.is_over() => return read(caller, token).await,
            Some(Watched::Nothing) => {}
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Many {
    state: Option<String>,
    lease_over: Option<bool>,
    function: Option<String>,
    age: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// `GET /v1/records?state=&function=&age=&cursor=`: a page of records, in the order of their tokens.
pub(super) async fn list(caller: Caller, uri: Uri) -> Result<Answer, Problem> {
    let many: Many = query(&uri)?;
    let mut query = Query::default();
    query.state = many.state.as_deref().map(state_of).transpose()?;
    query.lease_over = many.lease_over.unwrap_or_default();
    query.function = match many.function {
        Some(function) if function.chars().count() > MAX_FUNCTION => {
            return Err(Problem::field("function", format_args!("longer than {MAX_FUNCTION} characters")));
        }
        function => function.map(Text::from),
    };
    let parsed =
        many.age.map(|age| humantime::parse_duration(&age).map_err(|error| Problem::field("age", error)));
    query.age = parsed.transpose()?;
    query.cursor = many.cursor.as_deref().map(parse_token).transpose()?;
    query.limit = match many.limit {
        Some(limit) if limit == 0 || limit > PAGE => {
            return Err(Problem::field("limit", format_args!("from 1 to {PAGE}")));
        }
        limit => limit.unwrap_or(USUAL_PAGE),
    };
    let page = match caller.ask(Request::List(Arc::new(query))).await? {
        Reply::Page(page) => page,
        reply => return Err(unexpected(&reply)),
    };
    let (mut records, mut next, mut bytes) = (Vec::new(), page.next, 0);
    let mut listed = page.records.into_iter().peekable();
    while let Some(one) = listed.next() {
        let record = &one.record;
        let arguments = record.arguments.as_ref();
        bytes += record.result.len()
            + arguments.map_or(0, |arguments| arguments.key.len() + arguments.verified.len());
        records.push(record::object(one.token, record));
        if bytes > PAGE_BYTES && listed.peek().is_some() {
            next = Some(one.token);
            break;
        }
    }
    let object = Object::new().list("records", records);
    let object = match next {
        Some(next) => object.text("next", next.to_string()),
        None => object.null("next"),
    };
    Ok(Answer::ok("page", object))
}

fn state_of(word: &str) -> Result<RecordState, Problem> {
    Ok(match word {
        "running" => RecordState::Running,
        "free" => RecordState::Free,
        "interrupted" => RecordState::Interrupted,
        "done" => RecordState::Done,
        _ => return Err(Problem::field("state", "`running`, `free`, `interrupted` or `done` is expected")),
    })
}

/// `DELETE /v1/records/{token}`: the record is gone, unless it is running with a lease.
pub(super) async fn forget(caller: Caller, InPath(token): InPath) -> Result<Answer, Problem> {
    match caller.ask(Request::Forget { token }).await? {
        Reply::Forgotten => Ok(Answer::ok("forgotten", Object::new())),
        Reply::Running { since, lease_left } => {
            let members = Object::new().time("since", since).number("lease_left_ms", millis(lease_left));
            Err(Problem::new(Kind::RUNNING, "a running attempt is not forgotten while its lease lasts")
                .with(members)
                .after(lease_left))
        }
        reply => Err(unexpected(&reply)),
    }
}

/// `POST /v1/purge`: removes expired records.
pub(super) async fn purge(caller: Caller, body: Body) -> Result<Answer, Problem> {
    let limit = read_purge(body.fields()?)?;
    match caller.ask(Request::Purge { limit }).await? {
        Reply::Purged(count) => {
            Ok(Answer::ok("purged", Object::new().number("purged", u64::try_from(count).unwrap_or(u64::MAX))))
        }
        reply => Err(unexpected(&reply)),
    }
}
