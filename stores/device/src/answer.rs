//! What the device answered, as an answer of the protocol.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use hyper::StatusCode;
use idem_runtime::encoding::{bytes, entries, from_slice};
use idem_runtime::store::{
    Answer, Arguments, AttemptId, Durability, Finished, Grant, Kind, Listed, OnInterrupt, Page, Payload,
    Record, Reply, Request, State, StoreError,
};
use idem_runtime::{Text, Timestamp, Token};
use serde::de::DeserializeOwned;

/// Names and their encoded values.
pub(crate) struct Fields<'a>(Vec<(&'a str, &'a [u8])>);

/// The device says something that this version does not understand.
#[derive(Debug)]
pub(crate) struct Unexpected(String);

type Read<T> = Result<T, Unexpected>;

impl<'a> Fields<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Read<Self> {
        entries(body)
            .map(Fields)
            .map_err(|error| Unexpected(format!("its answer is not of the protocol: {error}")))
    }

    fn raw(&self, name: &str) -> Option<&'a [u8]> {
        let (_, value) = self.0.iter().find(|(other, _)| *other == name)?;
        Some(value).filter(|value| **value != [0xf6]).copied()
    }

    fn some<T: DeserializeOwned>(&self, name: &str) -> Read<Option<T>> {
        let read =
            |value| from_slice(value).map_err(|error| Unexpected(format!("`{name}` in its answer: {error}")));
        self.raw(name).map(read).transpose()
    }

    fn take<T: DeserializeOwned>(&self, name: &str) -> Read<T> {
        self.some(name)?.ok_or_else(|| Unexpected(format!("its answer lacks `{name}`")))
    }

    fn text(&self, name: &str) -> Read<Text> {
        self.some::<String>(name).map(|text| text.map(Text::from).unwrap_or_default())
    }

    pub(crate) fn outcome(&self) -> Read<String> {
        self.take("outcome")
    }

    pub(crate) fn detail(&self) -> String {
        self.some("detail").ok().flatten().unwrap_or_default()
    }

    pub(crate) fn fault(&self) -> String {
        self.some("fault").ok().flatten().unwrap_or_default()
    }

    fn millis(&self, name: &str) -> Read<Duration> {
        self.take(name).map(Duration::from_millis)
    }

    /// A moment; never, where there is none.
    fn time(&self, name: &str) -> Read<Timestamp> {
        let Some(text) = self.some::<String>(name)? else { return Ok(Timestamp::NEVER) };
        let time = humantime::parse_rfc3339(&text).ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        match time.and_then(|time| u64::try_from(time.as_micros()).ok()) {
            Some(micros) => Ok(Timestamp::from_micros(micros)),
            None => Err(Unexpected(format!("`{name}` in its answer is not a time"))),
        }
    }

    fn attempt(&self, name: &str) -> Read<AttemptId> {
        let Some(text) = self.some::<String>(name)? else { return Ok(AttemptId::NOBODY) };
        let digits: String = text.chars().filter(|char| *char != '-').collect();
        let id = u128::from_str_radix(&digits, 16);
        id.map(AttemptId::from).map_err(|_| Unexpected(format!("`{name}` in its answer is not a UUID")))
    }

    fn token(&self, name: &str) -> Read<Token> {
        let text: String = self.take(name)?;
        text.parse().map_err(|error| Unexpected(format!("`{name}` in its answer: {error}")))
    }

    /// A value that stays encoded.
    fn encoded(&self, name: &str, other_name: &str) -> Option<&'a [u8]> {
        // Null is a value like any other.
        let whole = |name: &str| self.0.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
        whole(name).or_else(|| bytes(whole(other_name)?))
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        self.raw(name).and_then(bytes).unwrap_or_default().to_vec()
    }

    fn kind(&self) -> Read<Kind> {
        Ok(match self.some::<String>("kind")?.as_deref() {
            Some("value") => Kind::Value,
            Some("error") => Kind::Error,
            Some("none") | None => Kind::None,
            Some(_) => return Err(Unexpected("the kind of the result is unknown".into())),
        })
    }

    fn result(&self) -> Payload {
        Payload::from(self.encoded("result", "result_cbor").unwrap_or_default())
    }

    fn finished(&self) -> Read<Finished> {
        let mut finished = Finished::default();
        finished.kind = self.kind()?;
        finished.result = self.result();
        finished.attempt = self.attempt("completed_by")?;
        finished.generation = self.take("generation")?;
        finished.first_at = self.time("first_at")?;
        finished.completed_at = self.time("completed_at")?;
        finished.expires_at = self.time("expires_at")?;
        Ok(finished)
    }

    fn running(&self) -> Read<Reply> {
        Ok(Reply::Running { since: self.time("since")?, lease_left: self.millis("lease_left_ms")? })
    }

    fn lease_lost(&self) -> Read<Reply> {
        let winner = self.raw("winner").map(|winner| Fields::read(winner)?.finished()).transpose()?;
        Ok(Reply::LeaseLost { winner })
    }

    fn record(&self) -> Read<Record> {
        let mut record = Record::default();
        let head = &mut record.head;
        head.state = match self.take::<String>("state")?.as_str() {
            "running" => State::Running,
            "free" => State::Free,
            "interrupted" => State::Interrupted,
            "done" => State::Done,
            _ => return Err(Unexpected("the state of a record is unknown".into())),
        };
        head.kind = self.kind()?;
        head.on_interrupt = match self.take::<String>("on_interrupt")?.as_str() {
            "retry" => OnInterrupt::Retry,
            _ => OnInterrupt::Reject,
        };
        head.attempt = self.attempt("attempt")?;
        head.number = self.take("number")?;
        // No attempt ever was: the token was given back before it was claimed.
        head.tombstone = head.state == State::Free && head.number == 0;
        head.unended = self.take("unended")?;
        head.fence = self.take("fence")?;
        head.generation = self.take("generation")?;
        head.ttl = self.millis("ttl_ms")?;
        head.first_at = self.time("first_at")?;
        head.began_at = self.time("began_at")?;
        head.ended_at = self.time("ended_at")?;
        head.expires = self.time("expires_at")?;
        record.scope = self.text("scope")?;
        record.function = self.text("function")?;
        record.digest = self.bytes("digest");
        if let Some(key) = self.encoded("arguments", "arguments_cbor") {
            let verified = self.encoded("verify", "verify_cbor").unwrap_or_default();
            record.arguments = Some(Arguments::new(key.to_vec(), verified.to_vec()));
        }
        record.result = self.result();
        record.by = self.text("by")?;
        Ok(record)
    }

    /// The record that a `reopen` or `resolve` has found instead.
    fn found(&self) -> Read<Reply> {
        let record = self.raw("record").map(|record| Fields::read(record)?.record()).transpose()?;
        Ok(Reply::Record(record.map(Arc::new)))
    }

    fn page(&self) -> Read<Reply> {
        let list = self.raw("records").unwrap_or(&[0x80]);
        let mut records = Vec::new();
        for one in elements(list)? {
            let fields = Fields::read(one)?;
            records.push(Listed::new(fields.token("token")?, fields.record()?));
        }
        let next = self.raw("next").map(|_| self.token("next")).transpose()?;
        Ok(Reply::Page(Page::new(records, next)))
    }

    /// What the device's records survive.
    pub(crate) fn durability(&self) -> Read<Durability> {
        Ok(match self.take::<String>("durability")?.as_str() {
            "process" => Durability::Process,
            "machine" => Durability::Machine,
            "synced" => Durability::Synced,
            "replicated" => Durability::Replicated,
            other => return Err(Unexpected(format!("its durability class `{other}` is unknown"))),
        })
    }
}

/// The elements of an encoded array.
fn elements(array: &[u8]) -> Read<Vec<&[u8]>> {
    idem_runtime::encoding::elements(array)
        .map_err(|error| Unexpected(format!("its answer is not of the protocol: {error}")))
}

impl Unexpected {
    /// Nothing is known of the request; asking again may help where a device is being updated.
    pub(crate) fn error(self, store: &Text) -> StoreError {
        StoreError::lost(
            store.clone(),
            format!("is not understood: {}; use one version of idem for both", self.0),
        )
    }
}

/// What an answer of HTTP means.
pub(crate) fn read(request: &Request, status: StatusCode, body: &[u8], store: &Text) -> Answer {
    let answer = Fields::read(body).and_then(|fields| {
        let outcome = fields.outcome()?;
        Ok((reply(request, &outcome, &fields)?, outcome, fields))
    });
    match answer {
        Ok((Some(reply), _, _)) => Ok(reply),
        Ok((None, outcome, fields)) => Err(failed(status, &outcome, &fields, store)),
        // A proxy between them, most likely.
        Err(_) if status.is_server_error() => {
            Err(StoreError::lost(store.clone(), format!("answered {status}; ask again")))
        }
        Err(_) if status.is_client_error() => Err(StoreError::refused(
            store.clone(),
            format!("answered {status} and is no device, or a proxy before it refuses: look at the URL"),
        )),
        Err(unexpected) => Err(unexpected.error(store)),
    }
}

fn reply(request: &Request, outcome: &str, fields: &Fields<'_>) -> Read<Option<Reply>> {
    Ok(Some(match (request, outcome) {
        (Request::Claim(_), "claimed") => Reply::Claimed(Grant::new(
            fields.take("fence")?,
            fields.take("generation")?,
            fields.take("number")?,
        )),
        (Request::Claim(_), "done") => Reply::Done(fields.finished()?),
        (Request::Claim(_) | Request::Forget { .. }, "running") => fields.running()?,
        (Request::Claim(_), "mismatch") => Reply::Mismatch { digest: fields.bytes("digest") },
        (Request::Claim(_), "interrupted") => {
            Reply::Interrupted { since: fields.time("since")?, number: fields.take("number")? }
        }
        (_, "lease_lost") => fields.lease_lost()?,
        (Request::Complete(_), "completed") => Reply::Completed,
        (Request::Release { .. }, "released") => Reply::Released,
        (Request::Renew { .. }, "renewed") => Reply::Renewed,
        (Request::Interrupt { .. }, "interrupted") => Reply::Stopped,
        (Request::Reopen(_), "reopened") => Reply::Reopened,
        (Request::Resolve(_), "resolved") => Reply::Resolved,
        (Request::Reopen(_) | Request::Resolve(_), "not_open") => fields.found()?,
        (Request::Forget { .. }, "forgotten") => Reply::Forgotten,
        (Request::Get { .. } | Request::Watch { .. }, "running" | "free" | "interrupted" | "done") => {
            Reply::Record(Some(Arc::new(fields.record()?)))
        }
        (Request::Get { .. } | Request::Watch { .. }, "no_record") => Reply::Record(None),
        (Request::List(_), "page") => fields.page()?,
        (Request::Purge { .. }, "purged") => Reply::Purged(fields.take("purged")?),
        _ => return Ok(None),
    }))
}

/// Why there is no answer of the protocol.
pub(crate) fn failed(status: StatusCode, outcome: &str, fields: &Fields<'_>, store: &Text) -> StoreError {
    let detail = fields.detail();
    let name = store.clone();
    match outcome {
        "no_key" => StoreError::refused(
            name,
            "refuses the key: set IDEM_DEVICE_KEY to one that `idem key` has made for it",
        ),
        "token_differs" => StoreError::refused(name, format!("makes another token: {detail}")),
        "too_large" => StoreError::too_large(
            name,
            format!(
                "does not take so large a request ({detail}): start it with a larger --max-body, or send less (`?send=token`, max_result)"
            ),
        ),
        "store" => match fields.fault().as_str() {
            "refused" => StoreError::refused(name, format!("has a store that refuses: {detail}")),
            "lost" => StoreError::lost(name, format!("has a store that does not answer: {detail}")),
            _ => StoreError::unavailable(name, format!("has a store that does not answer: {detail}")),
        },
        "too_many_waiting" | "too_slow" => StoreError::unavailable(name, format!("is busy: {detail}")),
        _ if status.is_server_error() => StoreError::lost(name, format!("has failed: {detail}")),
        _ => StoreError::refused(name, format!("refuses the request ({status}): {detail}")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use idem_runtime::encoding::to_vec;
    use idem_runtime::store::Fault;

    use super::*;

    fn failed(status: u16, body: &[u8]) -> (Fault, String) {
        let status = StatusCode::from_u16(status).unwrap();
        let error = read(&Request::Purge { limit: 1 }, status, body, &"http://a".into()).unwrap_err();
        (error.fault(), error.to_string())
    }

    #[test]
    fn what_goes_wrong_at_the_device_says_whether_to_ask_again() {
        for (status, outcome, of_store, fault, said) in [
            (401, "no_key", "", Fault::Refused, "set IDEM_DEVICE_KEY"),
            (422, "token_differs", "", Fault::Refused, "makes another token: what it says"),
            (413, "too_large", "", Fault::TooLarge, "larger --max-body"),
            (503, "store", "refused", Fault::Refused, "that refuses: what it says"),
            (503, "store", "lost", Fault::Lost, "does not answer: what it says"),
            (503, "store", "unavailable", Fault::Unavailable, "does not answer: what it says"),
            (503, "too_many_waiting", "", Fault::Unavailable, "is busy: what it says"),
            (408, "too_slow", "", Fault::Unavailable, "is busy: what it says"),
            (500, "failed", "", Fault::Lost, "has failed: what it says"),
            (400, "invalid", "", Fault::Refused, "(400 Bad Request): what it says"),
        ] {
            let members =
                BTreeMap::from([("outcome", outcome), ("detail", "what it says"), ("fault", of_store)]);
            let (seen, text) = failed(status, &to_vec(&members).unwrap());
            assert_eq!(seen, fault, "{outcome} {of_store}: {text}");
            assert!(text.starts_with("the store http://a ") && text.contains(said), "{outcome}: {text}");
        }
    }

    #[test]
    fn what_is_not_of_the_protocol_is_no_answer() {
        for (status, body, fault, said) in [
            (502, &b"<h1>Bad Gateway</h1>"[..], Fault::Lost, "answered 502 Bad Gateway; ask again"),
            (404, b"<h1>Not Found</h1>", Fault::Refused, "look at the URL"),
            (200, b"<h1>Welcome</h1>", Fault::Lost, "use one version of idem for both"),
            (200, b"\xa1\x67outcome\x66purged", Fault::Lost, "its answer lacks `purged`"),
        ] {
            let (seen, text) = failed(status, body);
            assert_eq!(seen, fault, "{text}");
            assert!(text.contains(said), "{text}");
        }
    }
}
