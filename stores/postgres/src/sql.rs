//! The statements.
//!
//! Each one is a transaction of its own under READ COMMITTED. `clock_timestamp()` fills every time: unlike `now()` it
//! has not stood still while a row was locked. What is asked for stands in `a`, one row for each request.

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::schema::Names;

/// The channel on which the end of attempts is told; the payload is the token.
pub(crate) const CHANNEL: &str = "idem";

/// What a decision looks at; [`crate::row`] reads it, in this order.
const DECIDING: &str = "r.state, r.kind, r.on_interrupt, r.tombstone, r.attempt, r.number, r.unended, r.fence, \
                        r.generation, r.lease, r.ttl, r.first_at, r.began_at, r.ended_at, r.expires, r.digest, r.result";
/// The rest of a record.
const REST: &str = "r.scope, r.function, r.key_arguments, r.verified_arguments, r.decided_by";
/// Which version of a row it is: whatever changes a row changes this.
const VERSION: &str = "r.xmin::text";
const MICROSECOND: &str = "interval '1 microsecond'";
/// Whether a record counts as gone, as the protocol's `expired` says.
const GONE: &str =
    "(r.expires <= clock_timestamp() AND (r.state <> 'running' OR r.lease <= clock_timestamp()))";

/// The statements with the names of the tables in them.
#[derive(Debug, Clone)]
pub(crate) struct Statements {
    pub(crate) claim: SqlStr,
    pub(crate) claims: SqlStr,
    pub(crate) complete: SqlStr,
    pub(crate) completes: SqlStr,
    pub(crate) release: SqlStr,
    pub(crate) renew: SqlStr,
    pub(crate) renews: SqlStr,
    pub(crate) interrupt: SqlStr,
    pub(crate) read: SqlStr,
    pub(crate) mark: SqlStr,
    pub(crate) insert: SqlStr,
    pub(crate) replace: SqlStr,
    pub(crate) remove: SqlStr,
    pub(crate) list: SqlStr,
    pub(crate) purge: SqlStr,
}

impl Statements {
    pub(crate) fn new(names: &Names) -> Self {
        let [complete, completes] = [false, true].map(|many| completes(names, many));
        let [renew, renews] = [false, true].map(|many| renews(names, many));
        Statements {
            claim: claim(names),
            claims: claims(names),
            complete,
            completes,
            release: release(names),
            renew,
            renews,
            interrupt: interrupt(names),
            read: read(names),
            mark: mark(names),
            insert: insert(names),
            replace: replace(names),
            remove: remove(names),
            list: list(names),
            purge: purge(names),
        }
    }
}

fn statement(text: String) -> SqlStr {
    // Safe: made of constants and of names that are quoted.
    AssertSqlSafe(text).into_sql_str()
}

/// The values of one request, or of many in arrays, as rows of `a`, with their place.
fn asked(many: bool, columns: &[(&str, &str)]) -> String {
    let numbered = columns.iter().enumerate().map(|(index, (name, kind))| (index + 1, name, kind));
    if many {
        let arrays: Vec<_> = numbered.map(|(number, _, kind)| format!("${number}::{kind}[]")).collect();
        let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
        format!(
            "asked AS MATERIALIZED (SELECT * FROM unnest({}) WITH ORDINALITY AS a({}, place))",
            arrays.join(", "),
            names.join(", ")
        )
    } else {
        let values: Vec<_> =
            numbered.map(|(number, name, kind)| format!("${number}::{kind} AS {name}")).collect();
        format!("asked AS NOT MATERIALIZED (SELECT {}, 1::int8 AS place)", values.join(", "))
    }
}

/// Tells those who wait that the attempt has ended: in a `RETURNING`, so that nothing is told of what was not done.
fn notify(row: &str) -> String {
    format!("CASE WHEN {row}.watched THEN pg_notify('{CHANNEL}', encode({row}.token, 'hex'))::text END")
}

/// What a claim may need to make a record, in the order of the parameters.
const CLAIM: [(&str, &str); 12] = [
    ("namespace", "text"),
    ("token", "bytea"),
    ("attempt", "bytea"),
    ("lease", "int8"),
    ("ttl", "int8"),
    ("slack", "int8"),
    ("on_interrupt", "text"),
    ("scope", "text"),
    ("function", "text"),
    ("digest", "bytea"),
    ("key_arguments", "bytea"),
    ("verified_arguments", "bytea"),
];

/// The first attempt of a record that is not there: of what `value` gives for each name, and of `n` with the time and
/// the fence. What is found to be there after all is left alone.
fn first_attempt(names: &Names, value: impl Fn(&str) -> String, from: &str) -> String {
    let record = &names.record;
    let [lease, ttl, slack] = ["lease", "ttl", "slack"].map(&value);
    let on_interrupt = value("on_interrupt");
    let carried: Vec<_> =
        CLAIM.iter().map(|(name, _)| *name).filter(|name| !["lease", "slack"].contains(name)).collect();
    let (columns, values) =
        (carried.join(", "), carried.into_iter().map(&value).collect::<Vec<_>>().join(", "));
    format!(
        "INSERT INTO {record} AS r (fence, generation, lease, first_at, began_at, expires, purge_at, number, unended, \
         tombstone, state, kind, {columns}) \
         SELECT n.fence, n.fence, n.now + {lease} * {MICROSECOND}, n.now, n.now, \
         CASE {on_interrupt} WHEN 'retry' THEN n.now + ({lease} + {ttl}) * {MICROSECOND} ELSE 'infinity' END, \
         n.now + ({lease} + {ttl} + {slack}) * {MICROSECOND}, 1, 0, false, 'running', 'none', {values} \
         FROM {from} n ON CONFLICT DO NOTHING RETURNING r.fence, r.attempt"
    )
}

/// Reads first, and inserts only where there is nothing: a duplicate writes nothing. A claim that is answered with
/// neither was overtaken between the two: it is asked again.
///
/// Answers: place, the time, the fence that was granted, the row's version, and what decides of it.
fn claim(names: &Names) -> SqlStr {
    let Names { record, fence, .. } = names;
    let value = |name: &str| {
        let place = CLAIM.iter().position(|(known, _)| *known == name).unwrap_or(CLAIM.len());
        let kind = CLAIM.get(place).map_or("text", |(_, kind)| kind);
        format!("${}::{kind}", place + 1)
    };
    let there = "r.namespace = $1 AND r.token = $2";
    let from = format!(
        "(SELECT clock_timestamp() AS now, nextval('{fence}') AS fence \
         WHERE NOT EXISTS (SELECT FROM {record} r WHERE {there}))"
    );
    let first_attempt = first_attempt(names, value, &from);
    statement(format!(
        "WITH made AS ({first_attempt}) \
         SELECT 1::int8, clock_timestamp(), m.fence, {VERSION}, {DECIDING} \
         FROM (SELECT) AS one LEFT JOIN {record} r ON {there} LEFT JOIN made m ON true"
    ))
}

/// The same for many. What was made does not know its place, and gives the attempt instead.
fn claims(names: &Names) -> SqlStr {
    let Names { record, fence, .. } = names;
    let asked = asked(true, &CLAIM);
    // Rows are inserted in one order by everybody: so nobody waits in a circle.
    let from = format!(
        "(SELECT a.*, clock_timestamp() AS now, nextval('{fence}') AS fence FROM asked a \
         WHERE NOT EXISTS (SELECT FROM found f WHERE f.place = a.place) ORDER BY a.namespace, a.token)"
    );
    let first_attempt = first_attempt(names, |name| format!("n.{name}"), &from);
    let nothing = vec!["NULL"; DECIDING.split(", ").count() - 5].join(", ");
    statement(format!(
        "WITH {asked}, \
         found AS MATERIALIZED (SELECT a.place, {VERSION} AS version, {DECIDING} \
         FROM asked a JOIN {record} r ON r.namespace = a.namespace AND r.token = a.token), \
         made AS ({first_attempt}) \
         SELECT f.place, clock_timestamp(), NULL::int8, f.version, f.state, f.kind, f.on_interrupt, \
         f.tombstone, f.attempt, f.number, f.unended, f.fence, f.generation, f.lease, f.ttl, f.first_at, f.began_at, \
         f.ended_at, f.expires, f.digest, f.result FROM found f \
         UNION ALL SELECT NULL, NULL, m.fence, NULL, NULL, NULL, NULL, NULL, m.attempt, {nothing} FROM made m"
    ))
}

/// The end of attempts that are running, which is almost always so. Answers the places of those that were.
fn completes(names: &Names, many: bool) -> SqlStr {
    let record = &names.record;
    let asked = asked(
        many,
        &[
            ("namespace", "text"),
            ("token", "bytea"),
            ("attempt", "bytea"),
            ("kind", "text"),
            ("ttl", "int8"),
            ("slack", "int8"),
            ("function", "text"),
            ("digest", "bytea"),
            ("result", "bytea"),
        ],
    );
    let purge_at = purge_at("a.ttl", "a.slack");
    let notify = notify("r");
    statement(format!(
        "WITH {asked} UPDATE {record} r SET state = 'done', kind = a.kind, ttl = a.ttl, ended_at = clock_timestamp(), \
         expires = clock_timestamp() + a.ttl * {MICROSECOND}, purge_at = {purge_at}, function = a.function, \
         digest = a.digest, result = a.result, \
         key_arguments = CASE WHEN r.digest = a.digest THEN r.key_arguments END, \
         verified_arguments = CASE WHEN r.digest = a.digest THEN r.verified_arguments END \
         FROM asked a WHERE r.namespace = a.namespace AND r.token = a.token AND r.state = 'running' \
         AND r.attempt = a.attempt AND NOT {GONE} RETURNING a.place, {notify}"
    ))
}

/// When a purge is to look at a row that lives for so long from now: as before, if that is not much too late.
/// What does not change an index costs less, and what is looked at too early is looked at again.
fn purge_at(ttl: &str, slack: &str) -> String {
    format!(
        "CASE WHEN r.purge_at BETWEEN clock_timestamp() + {ttl} * {MICROSECOND} \
         AND clock_timestamp() + ({ttl} + 2 * {slack}) * {MICROSECOND} \
         THEN r.purge_at ELSE clock_timestamp() + {ttl} * {MICROSECOND} END"
    )
}

/// The row of one attempt while it runs: $1 namespace, $2 token, $3 attempt.
const MINE: &str = "r.namespace = $1 AND r.token = $2 AND r.state = 'running' AND r.attempt = $3";

fn release(names: &Names) -> SqlStr {
    let (record, notify) = (&names.record, notify("r"));
    statement(format!(
        "UPDATE {record} r SET state = 'free', ended_at = clock_timestamp(), \
         expires = clock_timestamp() + r.ttl * {MICROSECOND} WHERE {MINE} AND NOT {GONE} RETURNING {notify}"
    ))
}

/// Leases that begin anew. Answers the places of those whose attempts run.
fn renews(names: &Names, many: bool) -> SqlStr {
    let record = &names.record;
    let asked =
        asked(many, &[("namespace", "text"), ("token", "bytea"), ("attempt", "bytea"), ("lease", "int8")]);
    statement(format!(
        "WITH {asked} UPDATE {record} r SET lease = clock_timestamp() + a.lease * {MICROSECOND}, \
         expires = CASE r.on_interrupt WHEN 'retry' THEN clock_timestamp() + (a.lease + r.ttl) * {MICROSECOND} \
         ELSE 'infinity' END \
         FROM asked a WHERE r.namespace = a.namespace AND r.token = a.token AND r.state = 'running' \
         AND r.attempt = a.attempt AND NOT {GONE} RETURNING a.place"
    ))
}

fn interrupt(names: &Names) -> SqlStr {
    let (record, notify) = (&names.record, notify("r"));
    statement(format!(
        "UPDATE {record} r SET state = 'interrupted', unended = r.unended + 1, ended_at = clock_timestamp(), \
         expires = CASE r.on_interrupt WHEN 'retry' THEN clock_timestamp() + r.ttl * {MICROSECOND} ELSE 'infinity' END \
         WHERE {MINE} AND NOT {GONE} RETURNING {notify}"
    ))
}

/// Answers the time, whether somebody who waits is noted, the version, and the whole record if there is one.
fn read(names: &Names) -> SqlStr {
    let record = &names.record;
    statement(format!(
        "SELECT clock_timestamp(), r.watched, {VERSION}, {DECIDING}, {REST} FROM (SELECT) AS one \
         LEFT JOIN {record} r ON r.namespace = $1 AND r.token = $2"
    ))
}

/// The same, and notes that somebody waits. The record was read as it was before; it is sure to be noted only where
/// `watched` is answered with true.
fn mark(names: &Names) -> SqlStr {
    let record = &names.record;
    statement(format!(
        "WITH marked AS (UPDATE {record} r SET watched = true WHERE r.namespace = $1 AND r.token = $2 \
         AND r.state = 'running' AND NOT r.watched RETURNING true AS watched) \
         SELECT clock_timestamp(), coalesce(m.watched, r.watched), {VERSION}, {DECIDING}, {REST} \
         FROM (SELECT) AS one LEFT JOIN {record} r ON r.namespace = $1 AND r.token = $2 LEFT JOIN marked m ON true"
    ))
}

/// A whole record, as Rust has decided: $1 namespace, $2 token, $3 whether it takes a new fence, and which one it has
/// at least, $5 whether that begins a generation; then the columns in the order of [`COLUMNS`].
const COLUMNS: &str = "state, kind, on_interrupt, tombstone, attempt, number, unended, lease, ttl, first_at, began_at, \
                       ended_at, expires, digest, result, scope, function, key_arguments, verified_arguments, decided_by";
const KINDS: &str = "text, text, text, bool, bytea, int4, int4, timestamptz, int8, timestamptz, timestamptz, \
                     timestamptz, timestamptz, bytea, bytea, text, text, bytea, bytea, text";

/// The values of a whole record, from $7 on, and how many parameters that makes.
fn values() -> (Vec<String>, usize) {
    let values: Vec<_> =
        KINDS.split(", ").enumerate().map(|(index, kind)| format!("${}::{kind}", index + 7)).collect();
    let count = values.len() + 6;
    (values, count)
}

/// The fence and the generation that are written.
fn fences(names: &Names) -> String {
    let fence = &names.fence;
    format!(
        "(SELECT n.fence, CASE WHEN $5::bool THEN n.fence ELSE $6::int8 END AS generation FROM \
         (SELECT CASE WHEN $3::bool THEN greatest(nextval('{fence}'), $4::int8) ELSE $4::int8 END AS fence) n)"
    )
}

fn insert(names: &Names) -> SqlStr {
    let record = &names.record;
    let (values, fences) = (values().0.join(", "), fences(names));
    // $19 is `expires`.
    statement(format!(
        "INSERT INTO {record} AS r (namespace, token, fence, generation, purge_at, {COLUMNS}) \
         SELECT $1::text, $2::bytea, w.fence, w.generation, $19::timestamptz, {values} FROM {fences} w \
         ON CONFLICT DO NOTHING RETURNING r.fence, r.generation"
    ))
}

/// In place of the version that was read: the last parameter.
fn replace(names: &Names) -> SqlStr {
    let record = &names.record;
    let (values, count) = values();
    let sets: Vec<_> =
        COLUMNS.split(", ").zip(values).map(|(column, value)| format!("{column} = {value}")).collect();
    let (sets, fences, version) = (sets.join(", "), fences(names), count + 1);
    statement(format!(
        "UPDATE {record} r SET fence = w.fence, generation = w.generation, purge_at = $19::timestamptz, {sets} \
         FROM {fences} w WHERE r.namespace = $1::text AND r.token = $2::bytea AND r.xmin = ${version}::text::xid \
         RETURNING r.fence, r.generation, \
         CASE WHEN r.watched AND r.state <> 'running' THEN pg_notify('{CHANNEL}', encode(r.token, 'hex'))::text END"
    ))
}

/// $3: the version that was read.
fn remove(names: &Names) -> SqlStr {
    let (record, notify) = (&names.record, notify("r"));
    statement(format!(
        "DELETE FROM {record} r WHERE r.namespace = $1 AND r.token = $2 AND r.xmin = $3::text::xid RETURNING {notify}"
    ))
}

/// A page, in the order of the tokens: $1 namespace, $2 after which token, $3 how many rows are looked at, $4 how many
/// are answered, $5 state, $6 only leases that are over, $7 function, $8 age in microseconds.
///
/// Answers, in each row and at least in one: the last token that was looked at, how many were, the token, the record.
fn list(names: &Names) -> SqlStr {
    let record = &names.record;
    statement(format!(
        "WITH looked AS MATERIALIZED (SELECT r.token, NOT {GONE} AND ($5::text IS NULL OR r.state = $5) \
         AND (NOT $6::bool OR (r.state = 'running' AND r.lease <= clock_timestamp())) \
         AND ($7::text IS NULL OR r.function = $7) \
         AND ($8::int8 IS NULL OR r.first_at <= clock_timestamp() - $8 * {MICROSECOND}) AS fits \
         FROM {record} r WHERE r.namespace = $1 AND r.token > $2 ORDER BY r.token LIMIT $3::int8), \
         page AS MATERIALIZED (SELECT r.token, {VERSION} AS version, {DECIDING}, {REST} FROM looked l \
         JOIN {record} r ON r.namespace = $1 AND r.token = l.token WHERE l.fits ORDER BY r.token LIMIT $4::int8) \
         SELECT (SELECT token FROM looked ORDER BY token DESC LIMIT 1), (SELECT count(*) FROM looked), p.* \
         FROM (SELECT) AS one LEFT JOIN page p ON true ORDER BY p.token"
    ))
}

/// Removes at most $1 rows that count as gone, of the namespace $2 or of all. Rows that somebody holds are left for
/// the next time; rows that are looked at too early are told when to be looked at again.
///
/// Answers how many were removed, and how many looked at.
fn purge(names: &Names) -> SqlStr {
    let record = &names.record;
    statement(format!(
        "WITH due AS MATERIALIZED (SELECT r.namespace, r.token FROM {record} r \
         WHERE r.purge_at <= statement_timestamp() AND ($2::text IS NULL OR r.namespace = $2) \
         ORDER BY r.purge_at LIMIT $1::int8 FOR UPDATE SKIP LOCKED), \
         gone AS (DELETE FROM {record} r USING due d WHERE r.namespace = d.namespace AND r.token = d.token AND {GONE} \
         RETURNING {notify}), \
         kept AS (UPDATE {record} r SET purge_at = CASE WHEN r.expires > clock_timestamp() THEN r.expires \
         ELSE r.lease END FROM due d WHERE r.namespace = d.namespace AND r.token = d.token AND NOT {GONE} RETURNING true) \
         SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM due), (SELECT count(*) FROM kept)",
        notify = notify("r")
    ))
}
