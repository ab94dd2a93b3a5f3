//! Pages of a list. The server knows no order of its keys: for each page all keys are looked through, and the tokens put
//! in order here.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use idem_runtime::store::{Listed, Page, Pending, Query, Record, Reply, Request, State, StoreError};
use idem_runtime::{Text, Timestamp, Token, io};
use redis::Value;

use crate::cluster::Node;
use crate::core::{Core, Way};
use crate::failure::Failure;
use crate::key;

/// How many records a page has at most, and if nobody says how many.
const PAGE: usize = 1_000;
const USUAL_PAGE: usize = 100;
/// How many keys the server looks at in one step.
const STEP: usize = 1_000;
/// How many records are read at once.
const AT_ONCE: usize = 64;

/// Reads a page of records, in the order of their tokens.
pub(crate) fn list(core: &Arc<Core>, prefix: &Text, name: &Text, query: Arc<Query>) -> Pending {
    let (core, prefix, store) = (Arc::clone(core), prefix.clone(), name.clone());
    io().spawn(name.clone(), async move {
        let limit = core.settings.time_limit;
        let page = tokio::time::timeout(limit, page(&core, &prefix, &store, &query)).await;
        page.unwrap_or_else(|_| {
            let message = format!(
                "has too many keys to look through within {}: raise `time_limit`",
                humantime::format_duration(limit)
            );
            Err(StoreError::unavailable(store, message))
        })
        .map(Reply::Page)
    })
}

async fn page(core: &Core, prefix: &Text, name: &Text, query: &Query) -> Result<Page, StoreError> {
    let limit = match query.limit {
        0 => USUAL_PAGE,
        limit => limit.min(PAGE),
    };
    let explain = |failure: Failure| failure.explain(name, false);
    let mut tokens = tokens(core, prefix, query.cursor).await.map_err(explain)?;
    tokens.sort_unstable();
    // A key may be seen more than once while the server grows or shrinks its table.
    tokens.dedup();
    let time = now(core).await.map_err(explain)?;
    let mut records = Vec::new();
    let mut last = None;
    let mut reading = stream::iter(tokens)
        .map(|token| {
            let asked = core.ask(Request::Get { token }, key(prefix, token), name);
            async move { (token, asked.await) }
        })
        .buffered(AT_ONCE);
    while let Some((token, answer)) = reading.next().await {
        if records.len() == limit {
            return Ok(Page::new(records, last));
        }
        if let Reply::Record(Some(record)) = answer? {
            if fits(&record, query, time) {
                records.push(Listed::new(token, Record::clone(&record)));
            }
        }
        last = Some(token);
    }
    Ok(Page::new(records, None))
}

fn fits(record: &Record, query: &Query, now: Timestamp) -> bool {
    let head = &record.head;
    let running = head.state == State::Running;
    query.state.is_none_or(|state| head.state == state)
        && (!query.lease_over || (running && head.lease.micros <= now.as_micros()))
        && query.function.as_ref().is_none_or(|function| record.function == *function)
        && query.age.is_none_or(|age| old_enough(head.first_at, now, age))
}

fn old_enough(first_at: Timestamp, now: Timestamp, age: Duration) -> bool {
    u128::from(first_at.as_micros()) + age.as_micros() <= u128::from(now.as_micros())
}

/// The tokens of a namespace after a cursor, in no order.
async fn tokens(core: &Core, prefix: &str, after: Option<Token>) -> Result<Vec<Token>, Failure> {
    let pattern = pattern(prefix);
    let mut tokens = Vec::new();
    for node in nodes(core).await? {
        let mut cursor = b"0".to_vec();
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(STEP);
            let scanned = command(core, scan, node.as_ref()).await?;
            let (next, keys) = redis::from_redis_value::<(Vec<u8>, Vec<Vec<u8>>)>(scanned)
                .map_err(|_| Failure::Unexpected("no page of keys"))?;
            let found = keys.iter().filter_map(|key| token(key, prefix));
            tokens.extend(found.filter(|token| after.is_none_or(|after| after < *token)));
            if next == b"0" {
                break;
            }
            cursor = next;
        }
    }
    Ok(tokens)
}

async fn command(core: &Core, command: redis::Cmd, node: Option<&Node>) -> Result<Value, Failure> {
    core.command(command, node).await.unwrap_or(Err(Failure::Gone))
}

/// Where there are keys: the one server, or every master.
async fn nodes(core: &Core) -> Result<Vec<Option<Node>>, Failure> {
    let Way::Cluster(cluster) = &core.way else { return Ok(vec![None]) };
    let masters = cluster.every_master(redis::cmd("PING")).await?;
    let address = |(address, _): (Value, Value)| {
        let address = redis::from_redis_value::<String>(address).ok()?;
        let (host, port) = address.rsplit_once(':')?;
        Some(Some((host.to_owned(), port.parse().ok()?)))
    };
    Ok(masters.into_iter().filter_map(address).collect())
}

/// What the server's clock shows.
async fn now(core: &Core) -> Result<Timestamp, Failure> {
    let node = nodes(core).await?.into_iter().next().flatten();
    let time = command(core, redis::cmd("TIME"), node.as_ref()).await?;
    let (seconds, micros) =
        redis::from_redis_value::<(u64, u64)>(time).map_err(|_| Failure::Unexpected("no time"))?;
    Ok(Timestamp::from_micros(seconds * 1_000_000 + micros))
}

/// Which keys have this prefix and a token after it.
fn pattern(prefix: &str) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(prefix.len() + 64);
    for byte in prefix.bytes() {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'^' | b'\\') {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern.extend_from_slice(&[b'?'; 64]);
    pattern
}

/// The token in a key; nothing if it is another namespace's key, or none of ours.
fn token(key: &[u8], prefix: &str) -> Option<Token> {
    let digits = key.strip_prefix(prefix.as_bytes())?;
    if digits.len() != 64 {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut token = [0; 32];
    for (byte, pair) in token.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(Token::from_bytes(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_token_and_only_its_own_namespace_sees_it() {
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(1..).for_each(|(byte, number)| *byte = number * 7);
        let made = Token::from_bytes(bytes);
        let key = key("idem:shop:", made);
        assert_eq!(key, format!("idem:shop:{made}").into_bytes());
        assert_eq!(token(&key, "idem:shop:"), Some(made));
        for other in ["idem::", "idem:sho:", "idem:shop:a:"] {
            assert_eq!(token(&key, other), None, "{other}");
        }
        assert_eq!(token(&key[..key.len() - 1], "idem:shop:"), None);
        assert_eq!(token(&[b"idem:shop:".as_slice(), &[b'x'; 64]].concat(), "idem:shop:"), None);
    }

    #[test]
    fn a_namespace_is_no_pattern() {
        let all = [b"idem:a\\*\\[b\\]\\?\\\\:".as_slice(), &[b'?'; 64]].concat();
        assert_eq!(pattern("idem:a*[b]?\\:"), all);
    }
}
