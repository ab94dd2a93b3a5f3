//! Records that wait for a person: of which nobody knows what their last attempt did, and running ones whose lease is
//! over. Only the store knows when that is, by its own clock.

use std::collections::BTreeSet;

use idem::store::{Handle, Listed, OnInterrupt, Page, Query, State};
use idem::{StoreError, Text, Token};

use super::{Seen, before, list};

/// So many steps a store is given to find the next record of those that it is asked for.
const MOST_STEPS: usize = 64;

/// Whether a running record's lease is over: then it is the next one in a list of those.
pub(crate) async fn lease_over(store: &Handle, token: Token, function: &Text) -> Result<bool, StoreError> {
    let mut query = Query::default();
    query.lease_over = true;
    query.function = Some(function.clone());
    query.cursor = before(token);
    query.limit = 1;
    for _ in 0..MOST_STEPS {
        let page = list(store, &query).await?;
        match (page.records.first(), page.next) {
            (Some(listed), _) => return Ok(listed.token == token),
            (None, Some(next)) if next < token => query.cursor = Some(next),
            (None, _) => return Ok(false),
        }
    }
    Ok(false)
}

/// Which of the running records of a page have a lease that is over.
pub(crate) async fn leases_over(store: &Handle, records: &[Listed]) -> Result<BTreeSet<Token>, StoreError> {
    let mut running = records.iter().filter(|listed| listed.record.head.state == State::Running);
    let Some(first) = running.next().map(|listed| listed.token) else { return Ok(BTreeSet::new()) };
    let last = running.next_back().map_or(first, |listed| listed.token);
    let mut query = Query::default();
    query.lease_over = true;
    query.cursor = before(first);
    query.limit = records.len();
    let mut over = BTreeSet::new();
    for _ in 0..MOST_STEPS {
        let page = list(store, &query).await?;
        over.extend(page.records.iter().map(|listed| listed.token));
        match page.next {
            Some(next) if next < last => query.cursor = Some(next),
            _ => break,
        }
    }
    Ok(over)
}

/// A page of the records that wait for a person: interrupted ones, and under `reject` running ones whose lease is over.
/// Only `function`, `age`, `cursor` and `limit` of the query count.
pub(crate) async fn open_records(
    store: &Handle,
    query: &Query,
) -> Result<(Vec<Seen>, Option<Token>), StoreError> {
    let of = |state, lease_over| {
        let mut query = query.clone();
        (query.state, query.lease_over) = (Some(state), lease_over);
        query
    };
    let interrupted = list(store, &of(State::Interrupted, false)).await?;
    let over = list(store, &of(State::Running, true)).await?;
    let limit = if query.limit == 0 { 100 } else { query.limit };
    Ok(merge(interrupted, over, limit))
}

/// One page of two, and where the next one begins.
fn merge(interrupted: Page, over: Page, limit: usize) -> (Vec<Seen>, Option<Token>) {
    // Behind the place where one of them has stopped, it may have records that are not here.
    let mut next = [interrupted.next, over.next].into_iter().flatten().min();
    let seen = |lease_over| {
        move |listed: Listed| Seen {
            token: listed.token,
            record: std::sync::Arc::new(listed.record),
            lease_over,
        }
    };
    let stays = |listed: &Listed| listed.record.head.on_interrupt == OnInterrupt::Reject;
    let mut all: Vec<Seen> = interrupted.records.into_iter().map(seen(false)).collect();
    all.extend(over.records.into_iter().filter(stays).map(seen(true)));
    all.sort_unstable_by_key(|seen| seen.token);
    all.dedup_by_key(|seen| seen.token);
    if let Some(end) = next {
        all.retain(|seen| seen.token <= end);
    }
    if all.len() > limit {
        all.truncate(limit);
        next = all.last().map(|seen| seen.token);
    }
    (all, next)
}

#[cfg(test)]
mod tests {
    use idem::Token;
    use idem::store::{Listed, OnInterrupt, Page, Record};

    use super::merge;

    fn token(number: u8) -> Token {
        let mut bytes = [0; 32];
        bytes[0] = number;
        Token::from_bytes(bytes)
    }

    fn page(tokens: &[u8], next: Option<u8>, policy: OnInterrupt) -> Page {
        let mut record = Record::default();
        record.head.on_interrupt = policy;
        let records = tokens.iter().map(|number| Listed::new(token(*number), record.clone())).collect();
        Page::new(records, next.map(token))
    }

    #[test]
    fn two_pages_become_one_and_nothing_is_left_out() {
        let tokens = |interrupted: Page, over: Page, limit: usize| {
            let (seen, next) = merge(interrupted, over, limit);
            let tokens: Vec<u8> = seen.iter().map(|seen| seen.token.as_bytes()[0]).collect();
            (tokens, next.map(|token| token.as_bytes()[0]))
        };
        let reject = OnInterrupt::Reject;
        assert_eq!(tokens(page(&[1, 4], None, reject), page(&[2], None, reject), 9), (vec![1, 2, 4], None));
        assert_eq!(
            tokens(page(&[1, 4], None, reject), page(&[2, 3], Some(3), reject), 9),
            (vec![1, 2, 3], Some(3))
        );
        assert_eq!(
            tokens(page(&[1, 4], Some(4), reject), page(&[2, 9], Some(9), reject), 2),
            (vec![1, 2], Some(2))
        );
        assert_eq!(tokens(page(&[], Some(5), reject), page(&[2, 9], None, reject), 2), (vec![2], Some(5)));
        // Under `retry` the next call runs a lost attempt again: nobody has to decide.
        let retry = OnInterrupt::Retry;
        assert_eq!(tokens(page(&[1], None, retry), page(&[2], None, retry), 9), (vec![1], None));
    }
}
