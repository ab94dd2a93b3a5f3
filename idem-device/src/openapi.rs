//! The description of the protocol that the device serves, in the form of OpenAPI 3.1: the routes are those that are
//! answered to, the limits those that are kept.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::answer::millis;
use crate::http::ROUTES;
use crate::http::records::{MAX_FUNCTION, PAGE, USUAL_PAGE};
use crate::problem::{Kind, PLACE};
use crate::schema::{LEASE, MAX_LEASE, MAX_PURGE, MAX_TEXT, MAX_TTL, TTL};

/// The document as JSON.
pub(crate) fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| format!("{:#}", describe()));
    &DOCUMENT
}

/// What one operation says.
struct Operation {
    summary: &'static str,
    /// The schema of its body.
    body: Option<&'static str>,
    /// Names in its address.
    query: &'static [&'static str],
    /// What it is answered with when all is well: status, schema, meaning.
    answers: &'static [(u16, &'static str, &'static str)],
    problems: &'static [Kind],
}

const CLAIM_PROBLEMS: &[Kind] = &[
    Kind::RUNNING,
    Kind::INTERRUPTED,
    Kind::MISMATCH,
    Kind::TOKEN_DIFFERS,
    Kind::DIGEST_DIFFERS,
    Kind::LEASE_LOST,
    Kind::TOO_MANY,
];
const DONE: (u16, &str, &str) = (200, "Done", "It has been done before: here is its result, or `message`.");

fn operation(name: &str) -> Operation {
    let plain = |summary, schema, meaning| Operation {
        summary,
        body: None,
        query: &[],
        answers: match schema {
            "Page" => &[(200, "Page", "The page.")],
            "Stats" => &[(200, "Stats", "What it is.")],
            "Purged" => &[(200, "Purged", "So many are gone.")],
            "Record" => &[(200, "Record", "The record.")],
            _ => &[(200, "Settled", "It is so.")],
        },
        problems: meaning,
    };
    match name {
        "claim" => Operation {
            summary: "May this attempt run the body?",
            body: Some("Claim"),
            query: &[],
            answers: &[(201, "Claimed", "It may: it is the first one, or its turn."), DONE],
            problems: CLAIM_PROBLEMS,
        },
        "submit" => Operation {
            summary: "Claim and complete in one step, for callers that only want to be told.",
            body: Some("Submit"),
            query: &[],
            answers: &[(201, "Submitted", "The first one."), DONE],
            problems: CLAIM_PROBLEMS,
        },
        "complete" => Operation {
            body: Some("Complete"),
            ..plain("The body ended: keep its result.", "Settled", &[Kind::LEASE_LOST, Kind::DIGEST_DIFFERS])
        },
        "release" => Operation {
            body: Some("Lease"),
            ..plain("The attempt gives the token back: its body did not begin, or failed.", "Settled", &[])
        },
        "renew" => {
            Operation { body: Some("Lease"), ..plain("A sign of life.", "Settled", &[Kind::LEASE_LOST]) }
        }
        "interrupt" => Operation {
            body: Some("Attempt"),
            ..plain(
                "The body began and did not end: nobody knows what it did.",
                "Settled",
                &[Kind::LEASE_LOST],
            )
        },
        "reopen" => Operation {
            body: Some("Reopen"),
            ..plain("A person says: run it again.", "Settled", &[Kind::NOT_OPEN])
        },
        "resolve" => Operation {
            body: Some("Resolve"),
            ..plain("A person says: it happened.", "Settled", &[Kind::NOT_OPEN])
        },
        "get" => Operation {
            query: &["wait_ms"],
            ..plain(
                "One record; with `wait_ms`, once it is not running or the time is over.",
                "Record",
                &[Kind::NO_RECORD, Kind::TOO_MANY],
            )
        },
        "forget" => {
            plain("The record is gone, unless it is running with a lease.", "Settled", &[Kind::RUNNING])
        }
        "list" => Operation {
            query: &["state", "lease_over", "function", "age", "cursor", "limit"],
            ..plain("A page of records, in the order of their tokens.", "Page", &[])
        },
        "purge" => Operation { body: Some("Purge"), ..plain("Removes expired records.", "Purged", &[]) },
        "stats" => plain("What the device is, and what its store promises.", "Stats", &[]),
        "openapi" => plain("This document.", "", &[]),
        "metrics" => plain("What is counted, for Prometheus.", "", &[]),
        "healthz" => plain("The process answers.", "Settled", &[]),
        "readyz" => plain("The store answers.", "Settled", &[Kind::STORE]),
        other => unreachable!("the route {other} is not described"),
    }
}

fn describe() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let described = operation(route.operation);
        let mut responses = Map::new();
        for (status, schema, meaning) in described.answers {
            let content = match route.operation {
                "openapi" => json!({ "application/json": { "schema": { "type": "object" } } }),
                "metrics" => json!({ "application/openmetrics-text": { "schema": { "type": "string" } } }),
                _ => json!({ "application/json": { "schema": reference(schema) }, "application/cbor": {} }),
            };
            responses.insert(status.to_string(), json!({ "description": meaning, "content": content }));
        }
        let in_path = route.path.contains("{token}");
        let mut problems = described.problems.to_vec();
        problems.push(Kind::WRONG_HOST);
        if !route.open {
            problems.extend([Kind::NO_KEY, Kind::STORE]);
        }
        if in_path || described.body.is_some() || !described.query.is_empty() {
            problems.push(Kind::INVALID);
        }
        if described.body.is_some() {
            problems.extend([Kind::TOO_SLOW, Kind::TOO_LARGE, Kind::MEDIA_TYPE]);
        }
        for problem in problems {
            add_problem(&mut responses, problem);
        }
        if described.query.contains(&"function") {
            responses.insert("431".into(), json!({ "description": "The address is too long." }));
        }
        let mut parameters = Vec::new();
        if in_path {
            parameters.push(json!({ "name": "token", "in": "path", "required": true, "schema": token() }));
        }
        parameters.extend(described.query.iter().map(|name| parameter(name)));
        let mut object = json!({
            "operationId": route.operation,
            "summary": described.summary,
            "parameters": parameters,
            "responses": responses,
        });
        if let Some(body) = described.body {
            let content =
                json!({ "application/json": { "schema": reference(body) }, "application/cbor": {} });
            object["requestBody"] = json!({ "required": true, "content": content });
        }
        if route.open {
            object["security"] = json!([]);
        }
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_lowercase()] = object;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "The idempotent device",
            "version": "1",
            "description": "The device makes the token of a call from its scope, function and arguments, looks it up, and \
                answers whether the call is a first one. Bodies are JSON or CBOR with one schema: in CBOR, what is base64 \
                here is a byte string. A repeated request of the same attempt is answered as the first time.",
        },
        "externalDocs": { "url": PLACE.trim_end_matches('#') },
        "security": [{ "key": [] }, {}],
        "paths": paths,
        "components": {
            "securitySchemes": { "key": {
                "type": "http",
                "scheme": "bearer",
                "description": "A key of the device; each belongs to one namespace.",
            } },
            "schemas": schemas(),
        },
    })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// Adds a problem to what a status means.
fn add_problem(responses: &mut Map<String, Value>, kind: Kind) {
    let status = kind.status.as_u16().to_string();
    let response = responses.entry(status).or_insert_with(|| {
        json!({
            "description": "",
            "content": { "application/problem+json": { "schema": reference("Problem") }, "application/cbor": {} },
        })
    });
    let before = response["description"].as_str().unwrap_or_default();
    let join = if before.is_empty() { "" } else { "; " };
    response["description"] = format!("{before}{join}`#{}`: {}", kind.slug, kind.title).into();
    if [Kind::RUNNING, Kind::STORE, Kind::TOO_MANY].contains(&kind) {
        let schema = json!({ "type": "integer", "minimum": 1 });
        response["headers"] = json!({ "Retry-After": { "description": "Seconds.", "schema": schema } });
    }
}

fn parameter(name: &str) -> Value {
    let (schema, description) = match name {
        "wait_ms" => (number(u64::MAX), "How long to wait, in milliseconds."),
        "state" => (json!({ "enum": STATES }), "Only records in this state."),
        "lease_over" => (json!({ "type": "boolean" }), "Only running records whose lease is over."),
        "function" => {
            (json!({ "type": "string", "maxLength": MAX_FUNCTION }), "Only records of this function.")
        }
        "age" => (
            json!({ "type": "string", "pattern": "^(0|[0-9]{1,6}(ms|s|m|h|d))$" }),
            "Only records first asked for at least so long ago: `90s`, `2h`.",
        ),
        "cursor" => (token(), "Go on after this token."),
        _ => (
            json!({ "type": "integer", "minimum": 1, "maximum": PAGE, "default": USUAL_PAGE }),
            "At most so many; there may be fewer, and a cursor.",
        ),
    };
    json!({ "name": name, "in": "query", "schema": schema, "description": description })
}

const STATES: [&str; 4] = ["running", "free", "interrupted", "done"];

fn number(most: u64) -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": most })
}

fn token() -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-fA-F]{64}$", "description": "SHA-256, as 64 hexadecimal digits." })
}

fn schemas() -> Value {
    let u64 = number(u64::MAX);
    let u32 = number(u32::MAX.into());
    let text = json!({ "type": "string", "maxLength": MAX_TEXT });
    let some_text = json!({ "type": "string", "minLength": 1, "maxLength": MAX_TEXT });
    let any = json!({ "description": "Any value. A number without fraction and exponent is an integer, up to 128 bits." });
    let time = json!({ "type": ["string", "null"], "format": "date-time", "description": "RFC 3339, UTC; null for never." });
    let base64 = json!({
        "type": "string",
        "contentEncoding": "base64",
        "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
    });
    let attempt = json!({
        "type": "string",
        "format": "uuid",
        "not": { "const": "00000000-0000-0000-0000-000000000000" },
        "description": "The attempt's id. Left out of a claim, the device makes one; whoever wants to repeat a request whose \
            answer was lost brings one.",
    });
    let nobody =
        json!({ "type": ["string", "null"], "format": "uuid", "description": "Null: a person resolved it." });
    let kind = json!({ "enum": ["value", "error", "none"], "description": "A success, a failure that is kept, or nothing that is kept." });
    let duration = |most, usual, what: &str| json!({ "type": "integer", "minimum": 1, "maximum": millis(most), "default": millis(usual), "description": what });
    let lease = duration(MAX_LEASE, LEASE, "How long the attempt is believed alive without a sign of life.");
    let ttl =
        duration(MAX_TTL, TTL, "How long the record is kept once it is finished, freed or interrupted.");
    let policy = json!({ "enum": ["retry", "reject"], "default": "retry", "description": "What becomes of an attempt that began and did not end." });
    let verify = json!({
        "type": "object",
        "additionalProperties": any,
        "propertyNames": { "not": { "const": "key()" } },
        "description": "Verified arguments: another value under the same token is a mismatch.",
    });
    let claim = json!({
        "token": token(), "scope": text, "function": text,
        "arguments": {
            "type": "array",
            "items": any,
            "description": "What makes the token, with scope and function. With `token` alone none of them is sent.",
        },
        "verify": verify,
        "digest": base64, "accept": base64, "attempt": attempt, "lease_ms": lease, "ttl_ms": ttl,
        "on_interrupt": policy, "max_attempts": u32, "wait_ms": u64,
        "on_duplicate": { "enum": ["replay", "reject"], "default": "replay" },
        "record_arguments": { "type": "boolean" },
    });
    let result = json!({ "result": any, "result_cbor": base64, "kind": kind });
    let finished = json!({
        "kind": kind, "result": any, "result_cbor": base64, "completed_by": nobody, "generation": u64,
        "first_at": time, "completed_at": time, "expires_at": time,
    });
    let record = json!({
        "token": token(), "state": { "enum": STATES }, "scope": { "type": "string" }, "function": { "type": "string" },
        "arguments": { "type": "array" }, "arguments_cbor": base64, "verify": { "type": "object" }, "verify_cbor": base64,
        "attempt": nobody,
        "number": { "type": "integer", "description": "How many attempts there were; 0 if the token was given back before it was claimed." },
        "unended": { "type": "integer", "description": "How many of them began and did not end." },
        "fence": u64, "generation": u64, "on_interrupt": policy, "ttl_ms": u64, "first_at": time, "began_at": time,
        "ended_at": time, "expires_at": time, "digest": base64, "kind": kind, "result": any, "result_cbor": base64,
        "by": { "type": "string", "description": "Who reopened or resolved it." },
    });
    let record_always = [
        "token",
        "state",
        "scope",
        "function",
        "attempt",
        "number",
        "unended",
        "fence",
        "generation",
        "on_interrupt",
        "ttl_ms",
        "first_at",
        "began_at",
        "ended_at",
        "expires_at",
        "digest",
        "kind",
        "by",
    ];
    let of_record = json!({
        "outcome": { "type": "string" },
        "lease_over": { "type": "boolean", "description": "Of a running record: whether its lease is over." },
    });
    let outcome = |word: &str| json!({ "outcome": { "const": word } });
    let settled = [
        "completed",
        "released",
        "renewed",
        "interrupted",
        "reopened",
        "resolved",
        "forgotten",
        "well",
        "ready",
    ];
    let message = json!({ "token": token(), "message": { "const": crate::http::DO_NOT } });
    let limits = ["body", "waiting", "wait_ms", "lease_ms"];
    let limits = object(
        &limits.iter().fold(json!({}), |mut all, name| {
            all[*name] = u64.clone();
            all
        }),
        &limits,
    );
    json!({
        "Claim": called(object(&claim, &[])),
        "Submit": with_result(called(object(&merged(&[&claim, &result]), &[]))),
        "Complete": with_result(object(&merged(&[
            &json!({ "attempt": attempt, "fence": u64, "generation": u64, "number": u32, "function": text, "verify": verify,
                "digest": base64, "ttl_ms": ttl }),
            &result,
        ]), &["attempt"])),
        "Attempt": object(&json!({ "attempt": attempt }), &["attempt"]),
        "Lease": object(&json!({ "attempt": attempt, "lease_ms": lease }), &["attempt"]),
        "Reopen": object(&json!({ "fence": u64, "by": some_text }), &["fence", "by"]),
        "Resolve": with_result(object(
            &merged(&[&json!({ "fence": u64, "by": some_text, "ttl_ms": ttl }), &result]),
            &["fence", "by"],
        )),
        "Purge": object(&json!({ "limit": { "type": "integer", "minimum": 1, "maximum": MAX_PURGE } }), &[]),
        "Claimed": all_of(&merged(&[&outcome("claimed"), &json!({
            "token": token(), "attempt": attempt, "fence": u64, "generation": u64, "number": u32,
        })])),
        "Done": object(&merged(&[&outcome("done"), &message, &finished]),
            &["outcome", "token", "kind", "completed_by", "generation", "first_at", "completed_at", "expires_at"]),
        "Submitted": all_of(&merged(&[&outcome("completed"), &json!({ "token": token(), "attempt": attempt, "generation": u64 })])),
        "Settled": all_of(&json!({ "outcome": { "enum": settled } })),
        "Record": object(&merged(&[&record, &of_record]), &record_always),
        "Page": all_of(&merged(&[&outcome("page"), &json!({
            "records": { "type": "array", "items": object(&record, &record_always) },
            "next": { "type": ["string", "null"], "description": "The `cursor` of the next page; null on the last one." },
        })])),
        "Purged": all_of(&merged(&[&outcome("purged"), &json!({ "purged": u64 })])),
        "Stats": all_of(&merged(&[&outcome("stats"), &json!({
            "version": { "type": "string" }, "namespace": { "type": "string" },
            "durability": { "enum": ["process", "machine", "synced", "replicated"] },
            "time_limit_ms": u64, "limits": limits,
        })])),
        "Problem": {
            "type": "object",
            "description": "RFC 9457. Its `type` says what it is; further members belong to it.",
            "properties": {
                "type": { "type": "string", "format": "uri" }, "title": { "type": "string" },
                "status": { "type": "integer" }, "detail": { "type": "string" }, "outcome": { "type": "string" },
            },
            "required": ["type", "title", "status", "detail", "outcome"],
        },
    })
}

fn merged(parts: &[&Value]) -> Value {
    let entries = parts.iter().filter_map(|part| part.as_object()).flatten();
    Value::Object(entries.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// An object with these properties and no others.
fn object(properties: &Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// The same, where all of them are always there.
fn all_of(properties: &Value) -> Value {
    let names: Vec<_> = properties.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    object(properties, &names)
}

/// What is called is said by function and arguments, or by its token.
fn called(mut schema: Value) -> Value {
    let function = json!({ "function": { "minLength": 1 } });
    schema["anyOf"] = json!([
        { "required": ["function", "arguments"], "properties": function },
        { "required": ["token"], "not": { "anyOf": [{ "required": ["arguments"] }, { "required": ["record_arguments"] }] } },
    ]);
    schema
}

/// A result is there once, and has a kind; without one there is none.
fn with_result(mut schema: Value) -> Value {
    let (result, encoded) = (json!({ "required": ["result"] }), json!({ "required": ["result_cbor"] }));
    let kept = json!({ "kind": { "enum": ["value", "error"] } });
    schema["oneOf"] = json!([
        { "required": ["result"], "properties": kept, "not": encoded },
        { "required": ["result_cbor"], "properties": kept, "not": result },
        { "properties": { "kind": { "const": "none" } }, "not": { "anyOf": [result, encoded] } },
    ]);
    schema
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::document;
    use crate::http::ROUTES;

    #[test]
    fn every_route_is_described() {
        let document: Value = serde_json::from_str(document()).unwrap();
        for route in ROUTES {
            let described = &document["paths"][route.path][route.method.to_lowercase()];
            assert_eq!(described["operationId"], route.operation, "{route:?}");
            assert!(described["responses"].as_object().unwrap().len() > 1, "{route:?}");
        }
        let described = document["paths"].as_object().unwrap().values();
        assert_eq!(described.map(|path| path.as_object().unwrap().len()).sum::<usize>(), ROUTES.len());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let text = document();
        let parsed: Value = serde_json::from_str(text).unwrap();
        for reference in text.split("\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(parsed["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}
