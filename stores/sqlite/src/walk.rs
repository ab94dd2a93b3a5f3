//! What goes over many records: pages of a list, and the removal of what has expired.

use std::time::Duration;

use idem_runtime::store::{Listed, Page, Query, State};
use idem_runtime::{Now, Timestamp, Token};
use rusqlite::{Connection, params};

use crate::failure::Failure;
use crate::records::{bits, find, micros, number};

/// How many records a page has at most, and if nobody says how many.
const PAGE: usize = 1_000;
const USUAL_PAGE: usize = 100;
/// How many records are looked at for one page of what no index finds.
const LOOKED_AT: usize = 10_000;

/// A row that counts as gone: as the protocol's `expired` says, in columns. ?1 is the wall clock, ?2 and ?3 are the
/// run and the time of the leases' clock.
macro_rules! gone {
    () => {
        "expires <= ?1 AND (state <> 0 OR lease_run <> ?2 OR lease_end <= ?3)"
    };
}

/// Removes some.
const PURGE: &str = concat!(
    "DELETE FROM record WHERE (namespace, token) IN (SELECT namespace, token FROM record INDEXED BY record_expires WHERE ",
    gone!(),
    " AND namespace IS coalesce(?4, namespace) ORDER BY expires LIMIT ?5)"
);

/// Whether a row belongs to the page.
macro_rules! fits {
    () => {
        concat!(
            "NOT (",
            gone!(),
            ") AND (NOT ?4 OR (state = 0 AND (lease_run <> ?2 OR lease_end <= ?3))) \
             AND function = coalesce(?5, function) AND first_at <= ?6 AND (?7 IS NULL OR state = ?7)"
        )
    };
}

/// Few records are in the state that people look for: an index finds them.
const INTERRUPTED: &str = concat!(
    "SELECT token, ",
    fits!(),
    " FROM record INDEXED BY record_interrupted \
     WHERE state = 2 AND namespace = ?8 AND token > ?9 ORDER BY token LIMIT ?10"
);

/// Of the others some thousand are looked at for each page.
const ALL: &str = concat!(
    "SELECT token, ",
    fits!(),
    " FROM record WHERE namespace = ?8 AND token > ?9 ORDER BY token LIMIT ?10"
);

/// Removes at most `limit` expired records, of one namespace or of all.
pub(crate) fn purge(
    connection: &Connection,
    namespace: Option<&str>,
    limit: usize,
    now: &Now,
) -> Result<usize, Failure> {
    let mut statement = connection.prepare_cached(PURGE)?;
    Ok(statement.execute(params![
        micros(now.wall.as_micros()),
        bits(now.lease.run),
        micros(now.lease.micros),
        namespace,
        i64::try_from(limit).unwrap_or(i64::MAX),
    ])?)
}

/// Reads a page of records, in the order of their tokens.
pub(crate) fn list(
    connection: &Connection,
    namespace: &str,
    query: &Query,
    now: &Now,
) -> Result<Page, Failure> {
    let limit = match query.limit {
        0 => USUAL_PAGE,
        limit => limit.min(PAGE),
    };
    let state = if query.lease_over { Some(State::Running) } else { query.state };
    let sql = match state {
        Some(State::Interrupted) => INTERRUPTED,
        _ => ALL,
    };
    let oldest = query.age.map_or(u64::MAX, |age| before(now.wall, age));
    let cursor = query.cursor.as_ref().map_or(&[][..], |token| token.as_bytes());

    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![
        micros(now.wall.as_micros()),
        bits(now.lease.run),
        micros(now.lease.micros),
        query.lease_over,
        query.function.as_deref(),
        micros(oldest),
        state.map(number),
        namespace,
        cursor,
        LOOKED_AT as i64 + 1,
    ])?;
    let contradicts = query.lease_over && query.state.is_some_and(|state| state != State::Running);
    let (mut records, mut looked_at, mut last) = (Vec::new(), 0, None);
    while let Some(row) = rows.next()? {
        if records.len() == limit || looked_at == LOOKED_AT {
            return Ok(Page::new(records, last));
        }
        let token = Token::from_bytes(row.get(0)?);
        if row.get(1)? && !contradicts {
            if let Some(record) = find(connection, namespace, token, now)?.record {
                records.push(Listed::new(token, record));
            }
        }
        looked_at += 1;
        last = Some(token);
    }
    Ok(Page::new(records, None))
}

fn before(now: Timestamp, age: Duration) -> u64 {
    now.as_micros().saturating_sub(u64::try_from(age.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use idem_runtime::store::Record;

    use super::*;
    use crate::{connect, records};

    const NOW: Now =
        Now { wall: Timestamp::from_micros(1_000), lease: idem_runtime::LeaseTime { run: 1, micros: 1_000 } };

    fn file() -> (tempfile::TempDir, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let until = std::time::Instant::now() + Duration::from_secs(5);
        let path = folder.path().join("a.db");
        let connection = connect::writer(&path, Default::default(), &"sqlite:a.db".into(), until).unwrap();
        (folder, connection)
    }

    fn put(connection: &Connection, number: u64, state: State, expires: u64) {
        let mut record = Record::default();
        record.head.state = state;
        record.head.expires = Timestamp::from_micros(expires);
        let mut token = [0; 32];
        token[..8].copy_from_slice(&number.to_be_bytes());
        records::put(connection, "", Token::from_bytes(token), &record, false, &mut Vec::new()).unwrap();
    }

    fn plan(connection: &Connection, sql: &str) -> String {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = statement.raw_query();
        let mut plan = String::new();
        while let Some(row) = rows.next().unwrap() {
            plan.push_str(&row.get::<_, String>(3).unwrap());
            plan.push('\n');
        }
        plan
    }

    #[test]
    fn nothing_walks_over_all_records() {
        let (_folder, connection) = file();
        let purge = plan(&connection, PURGE);
        assert!(purge.contains("INDEX record_expires (expires<?)"), "{purge}");
        let interrupted = plan(&connection, INTERRUPTED);
        assert!(
            interrupted.contains("INDEX record_interrupted (namespace=? AND token>?)")
                && !interrupted.contains("B-TREE"),
            "{interrupted}"
        );
        let all = plan(&connection, ALL);
        assert!(all.contains("PRIMARY KEY (namespace=? AND token>?)") && !all.contains("B-TREE"), "{all}");
        assert!(!format!("{purge}{interrupted}{all}").contains("SCAN"), "{purge}{interrupted}{all}");
    }

    #[test]
    fn columns_are_what_the_sql_and_older_files_take_them_for() {
        let states = [State::Running, State::Free, State::Interrupted, State::Done];
        assert_eq!(states.map(number), [0, 1, 2, 3]);
        assert_eq!([0, 7, 1 << 63, u64::MAX].map(bits), [0, 7, i64::MIN, -1]);
    }

    #[test]
    fn a_page_ends_after_so_many_looks() {
        let (_folder, connection) = file();
        connection.execute_batch("BEGIN").unwrap();
        let all = LOOKED_AT as u64 + 50;
        for number in 0..all {
            let state = match all - number {
                1 => State::Free,
                2 => State::Interrupted,
                _ => State::Done,
            };
            put(&connection, number, state, 2_000);
        }
        connection.execute_batch("COMMIT").unwrap();
        let mut query = Query::default();
        query.state = Some(State::Free);
        let page = list(&connection, "", &query, &NOW).unwrap();
        assert!(page.records.is_empty() && page.next.is_some());
        query.cursor = page.next;
        let page = list(&connection, "", &query, &NOW).unwrap();
        assert!(page.records.len() == 1 && page.next.is_none());
        // These are found at once.
        let mut query = Query::default();
        query.state = Some(State::Interrupted);
        let page = list(&connection, "", &query, &NOW).unwrap();
        assert!(page.records.len() == 1 && page.next.is_none());
    }

    #[test]
    fn a_step_removes_no_more_than_it_is_told_and_only_what_has_expired() {
        let (_folder, connection) = file();
        let states = [State::Running, State::Free, State::Interrupted, State::Done];
        for (number, state) in (0..).zip(states.into_iter().cycle().take(12)) {
            put(&connection, number, state, 1_000);
        }
        for (number, state) in (20..).zip(states) {
            put(&connection, number, state, 1_001);
        }
        // Running, and its lease is not over.
        put(&connection, 30, State::Running, 0);
        connection
            .execute("UPDATE record SET lease_run = 1, lease_end = 1001 WHERE expires = 0", [])
            .unwrap();

        assert_eq!(purge(&connection, Some("other"), 100, &NOW).unwrap(), 0);
        assert_eq!(purge(&connection, Some(""), 0, &NOW).unwrap(), 0);
        assert_eq!(purge(&connection, None, 7, &NOW).unwrap(), 7);
        assert_eq!(purge(&connection, Some(""), 7, &NOW).unwrap(), 5);
        assert_eq!(purge(&connection, None, 100, &NOW).unwrap(), 0);
        let left = connection.query_row("SELECT count(*) FROM record", [], |row| row.get(0));
        assert_eq!(left, Ok(5));
    }
}
