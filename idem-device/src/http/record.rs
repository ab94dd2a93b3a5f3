//! A record, as callers see it.

use idem::Token;
use idem::store::{Kind, OnInterrupt, Payload, Record, State};

use crate::answer::Object;

pub(crate) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Value => "value",
        Kind::Error => "error",
        _ => "none",
    }
}

pub(crate) fn state(state: State) -> &'static str {
    match state {
        State::Running => "running",
        State::Free => "free",
        State::Interrupted => "interrupted",
        _ => "done",
    }
}

fn on_interrupt(policy: OnInterrupt) -> &'static str {
    match policy {
        OnInterrupt::Retry => "retry",
        _ => "reject",
    }
}

/// Everything that is kept under a token.
pub(crate) fn object(token: Token, record: &Record) -> Object {
    let head = &record.head;
    let mut object = Object::new()
        .token(token)
        .text("state", state(head.state))
        .shared("scope", &record.scope)
        .shared("function", &record.function);
    if let Some(arguments) = &record.arguments {
        object = object.encoded("arguments", "arguments_cbor", &Payload::from(&*arguments.key)).encoded(
            "verify",
            "verify_cbor",
            &Payload::from(&*arguments.verified),
        );
    }
    object = object
        .attempt("attempt", head.attempt)
        .number("number", head.number.into())
        .number("unended", head.unended.into())
        .number("fence", head.fence)
        .number("generation", head.generation)
        .text("on_interrupt", on_interrupt(head.on_interrupt))
        .millis("ttl_ms", head.ttl)
        .time("first_at", head.first_at)
        .time("began_at", head.began_at)
        .time("ended_at", head.ended_at)
        .time("expires_at", head.expires)
        .bytes("digest", &record.digest)
        .text("kind", kind(head.kind));
    if head.kind != Kind::None {
        object = object.encoded("result", "result_cbor", &record.result);
    }
    object.shared("by", &record.by)
}
