//! What requests say: one schema for JSON and CBOR.
//!
//! A body of either is first brought into the encoding that tokens are made of, which settles how numbers, texts and
//! maps are read; then its names are taken out one after the other, and a name that nobody takes is refused.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use idem::store::{
    Arguments, AttemptId, Claim, Complete, Kind, OnInterrupt, Payload, Record, Reopen, Resolve,
};
use idem::{Text, Token, digest, encoding};

use crate::answer::{Format, Object};
use crate::problem::{self, Problem};
use crate::value::{self, BODY_NESTING, MAX_NESTING};

type Read<T> = Result<T, Problem>;

/// How long an attempt may be believed alive without a sign of life.
pub(crate) const MAX_LEASE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a record may be kept: a hundred years.
pub(crate) const MAX_TTL: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// How many characters a scope, a function's text, and the name of who decides may have.
pub(crate) const MAX_TEXT: usize = 16 * 1024;

pub(crate) const LEASE: Duration = Duration::from_secs(10);
pub(crate) const TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// The names and values of a body that are not taken yet.
pub(crate) struct Fields<'a>(Vec<(&'a str, &'a [u8])>);

/// A body in the encoding that tokens are made of.
pub(crate) fn canonical(body: &[u8], format: Format) -> Read<Vec<u8>> {
    let (name, read) = match format {
        Format::Json => ("JSON", value::json::to_cbor(body, BODY_NESTING)),
        Format::Cbor => ("CBOR", value::cbor::to_cbor(body, BODY_NESTING)),
    };
    read.map_err(|error| Problem::invalid(format!("the body is not the {name} that is asked for: {error}")))
}

impl<'a> Fields<'a> {
    pub(crate) fn read(canonical: &'a [u8]) -> Read<Self> {
        match encoding::entries(canonical) {
            Ok(entries) => Ok(Fields(entries)),
            Err(_) => Err(Problem::invalid("the body is not an object with names and values")),
        }
    }

    /// The value still encoded.
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| *other == name)
    }

    fn raw(&mut self, name: &str) -> Option<&'a [u8]> {
        let at = self.0.iter().position(|(other, _)| *other == name)?;
        Some(self.0.swap_remove(at).1)
    }

    fn take<T: serde::de::DeserializeOwned>(&mut self, name: &str) -> Read<Option<T>> {
        let read = |value| encoding::from_slice(value).map_err(|error| Problem::field(name, error));
        self.raw(name).map(read).transpose()
    }

    fn text(&mut self, name: &str) -> Read<Option<Text>> {
        match self.take::<String>(name)? {
            Some(text) if text.chars().count() > MAX_TEXT => {
                Err(Problem::field(name, format_args!("longer than {MAX_TEXT} characters")))
            }
            text => Ok(text.map(Text::from)),
        }
    }

    /// Bytes: a byte string, or base64.
    fn bytes(&mut self, name: &str) -> Read<Option<Vec<u8>>> {
        match self.raw(name) {
            None => Ok(None),
            Some(value) if value[0] >> 5 == 2 => Ok(encoding::bytes(value).map(<[u8]>::to_vec)),
            Some(value) => {
                let text = encoding::from_slice::<String>(value).map_err(|_| {
                    Problem::field(name, "bytes are expected: a byte string in CBOR, base64 in JSON")
                })?;
                let decoded = STANDARD
                    .decode(text)
                    .map_err(|_| Problem::field(name, "it is not base64 (RFC 4648, section 4)"));
                decoded.map(Some)
            }
        }
    }

    /// A whole number, also where it is written as a float: some languages have no other numbers.
    fn whole<T: TryFrom<u64>>(&mut self, name: &str) -> Read<Option<T>> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        let number = match encoding::from_slice::<f64>(value) {
            // Up to 2^53 a float has them all.
            Ok(float) if float.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&float) => {
                float as u64
            }
            _ => encoding::from_slice(value).map_err(|error| Problem::field(name, error))?,
        };
        match T::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Problem::field(name, "the number is too large")),
        }
    }

    /// A duration in whole milliseconds.
    fn millis(&mut self, name: &str, most: Duration) -> Read<Option<Duration>> {
        let Some(millis) = self.whole::<u64>(name)? else { return Ok(None) };
        let duration = Duration::from_millis(millis);
        if duration > most {
            return Err(Problem::field(name, format_args!("at most {} ms", most.as_millis())));
        }
        Ok(Some(duration))
    }

    /// A duration that is not 0.
    fn some_millis(&mut self, name: &str, usual: Duration, most: Duration) -> Read<Duration> {
        match self.millis(name, most)? {
            Some(Duration::ZERO) => Err(Problem::field(name, "0 is over before it begins")),
            duration => Ok(duration.unwrap_or(usual)),
        }
    }

    pub(crate) fn lease(&mut self) -> Read<Duration> {
        self.some_millis("lease_ms", LEASE, MAX_LEASE)
    }

    fn ttl(&mut self) -> Read<Duration> {
        self.some_millis("ttl_ms", TTL, MAX_TTL)
    }

    fn wait(&mut self) -> Read<Option<Duration>> {
        self.millis("wait_ms", Duration::MAX)
    }

    /// One of a few words.
    fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Read<Option<T>> {
        let Some(word) = self.take::<String>(name)? else { return Ok(None) };
        match words.iter().find(|(known, _)| *known == word) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
                Err(Problem::field(name, format_args!("{} is expected", words.join(" or "))))
            }
        }
    }

    pub(crate) fn attempt(&mut self) -> Read<Option<AttemptId>> {
        let Some(text) = self.take::<String>("attempt")? else { return Ok(None) };
        let wrong =
            || Problem::field("attempt", "a UUID is expected (RFC 9562), and not the one that is all zeros");
        let digits: String = text.chars().filter(|char| *char != '-').collect();
        if digits.len() != 32 || !matches!(text.len(), 32 | 36) {
            return Err(wrong());
        }
        let id = u128::from_str_radix(&digits, 16).map_err(|_| wrong())?;
        if id == 0 { Err(wrong()) } else { Ok(Some(AttemptId::from(id))) }
    }

    /// An attempt that must be named.
    pub(crate) fn the_attempt(&mut self) -> Read<AttemptId> {
        self.attempt()?.ok_or_else(|| Problem::field("attempt", "it is missing: which attempt is it?"))
    }

    fn kind(&mut self) -> Read<Option<Kind>> {
        self.word("kind", &[("value", Kind::Value), ("error", Kind::Error), ("none", Kind::None)])
    }

    /// The result and its kind.
    fn result(&mut self) -> Read<(Payload, Kind)> {
        let kind = self.kind()?;
        let result = self.raw("result");
        let encoded = self.bytes("result_cbor")?;
        let result = match (result, encoded) {
            (Some(_), Some(_)) => return Err(Problem::field("result_cbor", "`result` is there, too")),
            (Some(result), None) if value::nesting(result) > MAX_NESTING => {
                return Err(Problem::field("result", value::TOO_DEEP));
            }
            (Some(result), None) => Some(result.to_vec()),
            (None, encoded) => encoded,
        };
        match (result, kind) {
            (None, None | Some(Kind::None)) => Ok((Payload::default(), Kind::None)),
            (None, Some(_)) => Err(Problem::field("kind", "there is no `result`")),
            (Some(_), Some(Kind::None)) => Err(Problem::field("kind", "`none` has no `result`")),
            (Some(result), kind) => Ok((Payload::from(result), kind.unwrap_or(Kind::Value))),
        }
    }

    /// The verified arguments and their digest.
    fn verified(&mut self) -> Read<(Vec<u8>, Vec<u8>)> {
        let verify = self.raw("verify");
        let given = self.bytes("digest")?;
        let Some(verify) = verify else {
            return Ok((vec![0xa0], given.unwrap_or_default()));
        };
        let made =
            digest::of(verify).map_err(|_| Problem::field("verify", "names and values are expected"))?;
        for (name, value) in encoding::entries(verify).unwrap_or_default() {
            if name == "key()" {
                return Err(Problem::field("verify", "`key()` is not the name of an argument"));
            }
            if value::nesting(value) > MAX_NESTING {
                return Err(Problem::field("verify", value::TOO_DEEP));
            }
        }
        match given {
            Some(given) if digest::compare(&made, &given) != digest::Compared::Compatible => {
                Err(Problem::new(
                    problem::Kind::DIGEST_DIFFERS,
                    "send `verify` or `digest`, or both if they agree",
                ))
            }
            given => Ok((verify.to_vec(), given.unwrap_or(made))),
        }
    }

    /// Refuses what nobody has taken.
    pub(crate) fn end(self) -> Read<()> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                let name: String = name.chars().take(100).collect();
                Err(Problem::field(&name, "a name that this request does not have"))
            }
        }
    }
}

/// What is called: by scope, function and arguments, or by its token.
pub(crate) struct Called {
    pub(crate) token: Token,
    scope: Text,
    function: Text,
    arguments: Option<Arguments>,
    digest: Vec<u8>,
}

impl Called {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Read<Self> {
        let token = fields.take::<String>("token")?.map(|text| parse_token(&text)).transpose()?;
        let scope = fields.text("scope")?.unwrap_or_default();
        let function = fields.text("function")?.unwrap_or_default();
        let arguments = fields.raw("arguments");
        let (verified, digest) = fields.verified()?;
        let Some(arguments) = arguments else {
            let Some(token) = token else {
                return Err(Problem::invalid(
                    "it says neither `token` nor `arguments`: the device makes the token from `scope`, `function` and \
                     `arguments`",
                ));
            };
            return Ok(Called { token, scope, function, arguments: None, digest });
        };
        if function.is_empty() {
            return Err(Problem::field("function", "it is missing: which function is called?"));
        }
        if arguments[0] >> 5 != 4 {
            return Err(Problem::field("arguments", "an array of the arguments is expected"));
        }
        if value::nesting(arguments) > MAX_NESTING + 1 {
            return Err(Problem::field("arguments", value::TOO_DEEP));
        }
        let made = Token::of(&scope, &function, arguments);
        if token.is_some_and(|token| token != made) {
            return Err(Problem::new(
                problem::Kind::TOKEN_DIFFERS,
                "the caller makes another token from the same scope, function and arguments than this device: bring both to \
                 one version, and leave `token` out meanwhile",
            )
            .with(Object::new().token(made)));
        }
        let arguments = Some(Arguments::new(arguments.to_vec(), verified));
        Ok(Called { token: made, scope, function, arguments, digest })
    }
}

/// A claim, and what its caller is told.
pub(crate) struct Claiming {
    pub(crate) claim: Claim,
    /// Whether the device has made the attempt's id.
    pub(crate) made_attempt: bool,
    pub(crate) wait: Duration,
    /// Whether a duplicate is refused instead of given the result.
    pub(crate) reject: bool,
}

impl Claiming {
    pub(crate) fn read(mut fields: Fields<'_>) -> Read<Self> {
        let read = Self::take(&mut fields, false)?;
        fields.end()?;
        Ok(read)
    }

    /// For a `submit` arguments are recorded, and another one that is being carried out is waited for, unless it is said
    /// otherwise.
    fn take(fields: &mut Fields<'_>, submit: bool) -> Read<Self> {
        let called = Called::read(fields)?;
        let attempt = fields.attempt()?;
        let mut claim = Claim::default();
        claim.attempt = attempt.unwrap_or_else(new_attempt);
        claim.accept = fields.bytes("accept")?;
        claim.lease = fields.lease()?;
        claim.ttl = fields.ttl()?;
        let words = [("retry", OnInterrupt::Retry), ("reject", OnInterrupt::Reject)];
        claim.on_interrupt = fields.word("on_interrupt", &words)?.unwrap_or_default();
        claim.max_attempts = fields.whole("max_attempts")?;
        let record = fields.take::<bool>("record_arguments")?;
        if record == Some(true) && called.arguments.is_none() {
            return Err(Problem::field("record_arguments", "there are no `arguments` to record"));
        }
        claim.record_arguments = record.unwrap_or(submit) && called.arguments.is_some();
        claim.token = called.token;
        claim.scope = called.scope;
        claim.function = called.function;
        claim.arguments = called.arguments;
        claim.digest = called.digest;
        Ok(Claiming {
            claim,
            made_attempt: attempt.is_none(),
            wait: fields.wait()?.unwrap_or(if submit { LEASE } else { Duration::ZERO }),
            reject: fields.word("on_duplicate", &[("replay", false), ("reject", true)])?.unwrap_or_default(),
        })
    }
}

/// Claim and complete in one step.
pub(crate) struct Submitting {
    pub(crate) claiming: Claiming,
    pub(crate) result: Payload,
    pub(crate) kind: Kind,
}

impl Submitting {
    pub(crate) fn read(mut fields: Fields<'_>) -> Read<Self> {
        let (result, kind) = fields.result()?;
        let claiming = Claiming::take(&mut fields, true)?;
        fields.end()?;
        Ok(Submitting { claiming, result, kind })
    }
}

/// A completion, which may leave out what the claim has said already.
pub(crate) struct Completing {
    complete: Complete,
    has_function: bool,
    has_digest: bool,
}

impl Completing {
    pub(crate) fn read(token: Token, mut fields: Fields<'_>) -> Read<Self> {
        let (has_function, has_digest) =
            (fields.has("function"), fields.has("verify") || fields.has("digest"));
        let (_, digest) = fields.verified()?;
        let (result, kind) = fields.result()?;
        let mut complete = Complete::default();
        complete.token = token;
        complete.attempt = fields.the_attempt()?;
        complete.fence = fields.whole("fence")?.unwrap_or_default();
        complete.generation = fields.whole("generation")?.unwrap_or_default();
        complete.number = fields.whole("number")?.unwrap_or_default();
        complete.function = fields.text("function")?.unwrap_or_default();
        complete.digest = digest;
        complete.result = result;
        complete.kind = kind;
        complete.ttl = fields.ttl()?;
        fields.end()?;
        Ok(Completing { complete, has_function, has_digest })
    }

    /// Whether the record has to be looked at for what was left out.
    pub(crate) fn is_whole(&self) -> bool {
        self.has_function && self.has_digest
    }

    /// With what the attempt's claim has said. Without it the record would lose its function, and the digest that tells
    /// a duplicate from a call with other verified arguments.
    pub(crate) fn fill(mut self, record: Option<&Record>) -> Arc<Complete> {
        if let Some(record) = record.filter(|record| record.head.attempt == self.complete.attempt) {
            if !self.has_function {
                self.complete.function = record.function.clone();
            }
            if !self.has_digest {
                self.complete.digest.clone_from(&record.digest);
            }
        }
        Arc::new(self.complete)
    }
}

/// Who decides, and about which fence.
fn decision(fields: &mut Fields<'_>) -> Read<(u64, Text)> {
    let fence = fields.whole("fence")?.ok_or_else(|| {
        Problem::field(
            "fence",
            "it is missing: the fence of the record that was looked at says what is decided about",
        )
    })?;
    let by = fields.text("by")?.filter(|by| !by.is_empty());
    let by = by.ok_or_else(|| Problem::field("by", "it is missing: who decides?"))?;
    Ok((fence, by))
}

pub(crate) fn reopen(token: Token, mut fields: Fields<'_>) -> Read<Arc<Reopen>> {
    let (fence, by) = decision(&mut fields)?;
    fields.end()?;
    Ok(Arc::new(Reopen::new(token, fence, by)))
}

pub(crate) fn resolve(token: Token, mut fields: Fields<'_>) -> Read<Arc<Resolve>> {
    let (fence, by) = decision(&mut fields)?;
    let (result, kind) = fields.result()?;
    let ttl = fields.ttl()?;
    fields.end()?;
    let mut resolve = Resolve::new(token, fence, by, ttl);
    resolve.result = result;
    resolve.kind = kind;
    Ok(Arc::new(resolve))
}

/// How many expired records are removed at once.
pub(crate) const MAX_PURGE: usize = 10_000;

/// How many records are to be removed.
pub(crate) fn purge(mut fields: Fields<'_>) -> Read<usize> {
    let limit = fields.whole::<usize>("limit")?.unwrap_or(1_000);
    fields.end()?;
    if limit == 0 || limit > MAX_PURGE {
        return Err(Problem::field("limit", format_args!("from 1 to {MAX_PURGE}")));
    }
    Ok(limit)
}

/// An attempt's id that no other caller can guess: whoever has it may complete the attempt. Each thread draws some in
/// advance: asking the operating system costs as much as a good part of a request.
fn new_attempt() -> AttemptId {
    const AT_ONCE: usize = 64;
    thread_local!(static DRAWN: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) });
    DRAWN.with_borrow_mut(|drawn| {
        if drawn.is_empty() {
            let mut fresh = [[0; 16]; AT_ONCE];
            if getrandom::fill(fresh.as_flattened_mut()).is_ok() {
                drawn.extend(fresh);
            }
        }
        match drawn.pop() {
            Some(bytes) if bytes != [0; 16] => AttemptId::from_bytes(bytes),
            _ => AttemptId::random(),
        }
    })
}

pub(crate) fn parse_token(text: &str) -> Read<Token> {
    text.parse().map_err(|error| Problem::field("token", error))
}
