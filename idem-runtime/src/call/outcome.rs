//! Between the function's own types and the record: what is kept, what is replayed, what is refused.

use super::observe::Happened;
use super::prepared::Prepared;
use super::settle::{Ended, Settled};
use super::{Converts, Judges, Keeps, OnError, Outcome};
use crate::Error;
use crate::encoding::{DecodeError, EncodeError};
use crate::store::{Finished, Kind, Payload};

/// What a body ended with, as its record says it.
pub(super) fn ended<R, D, X>(prepared: &mut Prepared, on_error: &X, result: R) -> (Ended, R)
where
    R: Outcome,
    D: Keeps<R::Ok>,
    X: Judges<R::Err>,
{
    let result = result.split();
    prepared.progress.keeps = D::REPLAYS;
    let ended = match &result {
        Ok(_) if !D::REPLAYS => Ended::Kept(Kind::None, Payload::default()),
        Ok(value) => kept(
            prepared,
            Kind::Value,
            |out| D::encode(value, out),
            |bytes| {
                let again = D::decode(bytes)?;
                Ok(encoded(|out| D::encode(&again, out)))
            },
        ),
        Err(error) => match on_error.judge(error) {
            Some(OnError::Release) => Ended::Freed,
            Some(OnError::Interrupt) => Ended::Unknown,
            None => kept(
                prepared,
                Kind::Error,
                |out| X::encode(error, out),
                |bytes| {
                    let again = X::decode(bytes)?;
                    Ok(encoded(|out| X::encode(&again, out)))
                },
            ),
        },
    };
    (ended, R::join(result))
}

fn encoded(encode: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    encode(&mut out).map(|()| out)
}

fn kept(
    prepared: &Prepared,
    kind: Kind,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
    again: impl FnOnce(&[u8]) -> Result<Result<Vec<u8>, EncodeError>, DecodeError>,
) -> Ended {
    // A `Serialize` of the user's that panics must not undo what the body has done.
    let bytes = match crate::io::caught(|| encoded(encode)) {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => return Ended::NotKept(format!("it cannot be encoded: {error}")),
        Err(_) => return Ended::NotKept("encoding it panicked".into()),
    };
    let limit = prepared.options.max_result_or_default();
    if bytes.len() > limit {
        return Ended::NotKept(format!("it takes {} bytes, and max_result is {limit}", bytes.len()));
    }
    if cfg!(debug_assertions) {
        prove(prepared, &bytes, again);
    }
    Ended::Kept(kind, Payload::from(bytes))
}

/// Decodes the first result of each function at once, so that a type which does not come back as it went in is
/// seen before a duplicate needs it.
fn prove(
    prepared: &Prepared,
    bytes: &[u8],
    again: impl FnOnce(&[u8]) -> Result<Result<Vec<u8>, EncodeError>, DecodeError>,
) {
    let Some(instance) = prepared.called.instance() else { return };
    if instance.proved.set(()).is_err() {
        return;
    }
    let why = match crate::io::caught(|| again(bytes)) {
        Ok(Ok(Ok(same))) if same == bytes => return,
        Ok(Ok(Ok(_))) => "it comes back as another value".to_owned(),
        Ok(Ok(Err(error))) => error.to_string(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "decoding it panicked".to_owned(),
    };
    tracing::warn!(
        function = %prepared.text(),
        "its result does not come back from its encoding as it went in, so duplicates will not get it: {why}"
    );
}

/// What a duplicate of a finished call gets.
pub(super) fn replay<R, D, X, M>(prepared: &mut Prepared, finished: &Finished, convert: M) -> R
where
    R: Outcome,
    D: Keeps<R::Ok>,
    X: Judges<R::Err>,
    M: Converts<R::Err>,
{
    if !D::REPLAYS || finished.kind == Kind::None {
        let error = Error::Duplicate {
            function: prepared.text().clone(),
            token: prepared.token_now(),
            first_at: finished.first_at,
            not_kept: D::REPLAYS,
        };
        return refuse(prepared, error, convert);
    }
    match decoded::<R, D, X>(finished) {
        Ok(result) => {
            prepared.replayed(finished);
            R::join(result)
        }
        Err(source) => {
            let error =
                Error::Decode { function: prepared.text().clone(), token: prepared.token_now(), source };
            refuse(prepared, error, convert)
        }
    }
}

type Decoded<R> = Result<Result<<R as Outcome>::Ok, <R as Outcome>::Err>, DecodeError>;

fn decoded<R, D, X>(finished: &Finished) -> Decoded<R>
where
    R: Outcome,
    D: Keeps<R::Ok>,
    X: Judges<R::Err>,
{
    match finished.kind {
        Kind::Error => X::decode(&finished.result).map(Err),
        _ => D::decode(&finished.result).map(Ok),
    }
}

/// What a call gets that is refused.
pub(super) fn refuse<R, M>(prepared: &mut Prepared, error: Error, convert: M) -> R
where
    R: Outcome,
    M: Converts<R::Err>,
{
    prepared.refused(&error);
    R::join(Err(convert.convert(error)))
}

/// What the caller of a body gets: what it returned, unless another attempt has completed already.
pub(super) fn given<R, D, X>(prepared: &mut Prepared, settled: Settled, own: R) -> R
where
    R: Outcome,
    D: Keeps<R::Ok>,
    X: Judges<R::Err>,
{
    match settled {
        Settled::Own => own,
        Settled::Winner(finished) => match crate::io::caught(|| decoded::<R, D, X>(&finished)) {
            Ok(Ok(result)) => R::join(result),
            failed => {
                let error = match failed {
                    Ok(Err(error)) => error.to_string(),
                    _ => "decoding it panicked".to_owned(),
                };
                tracing::error!(
                    function = %prepared.text(), token = %prepared.token_now(), %error,
                    "the result of the attempt that replaced this one does not decode; this one's own is returned"
                );
                own
            }
        },
    }
}

impl Prepared {
    pub(super) fn keeps_results(&self) -> bool {
        self.progress.keeps
    }

    fn replayed(&mut self, finished: &Finished) {
        if let Some(span) = &self.progress.span {
            let age = crate::Timestamp::now().since(finished.completed_at);
            let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            span.record("age_ms", age_ms);
            span.in_scope(|| tracing::info!(age_ms, "replayed"));
        }
        self.report("replayed");
        self.tell(Happened::Replayed, |observed| {
            observed.recorded = true;
            observed.first_at = Some(finished.first_at);
            observed.completed_at = Some(finished.completed_at);
            observed.expires_at = Some(finished.expires_at);
        });
    }

    fn refused(&mut self, error: &Error) {
        let outcome = match error {
            Error::Duplicate { .. } => "duplicate",
            Error::Running { .. } => "running",
            Error::Mismatch { .. } => "mismatch",
            Error::Interrupted { .. } => "interrupted_before",
            Error::LeaseLost { .. } => "lease_lost",
            Error::Store { .. } => "store_error",
            Error::Encode { .. } => "encode_error",
            Error::Decode { .. } => "decode_error",
            Error::Misuse { .. } => "misuse",
        };
        self.report(outcome);
        if let Some(span) = &self.progress.span {
            span.in_scope(|| tracing::info!(%error, "refused"));
        }
        self.tell(Happened::Refused, |_| {});
    }
}
