//! What a person wants to see of a store's records: the same for the `idem` command, on any store, and for the
//! device's page.

mod find;
mod open;
mod tally;
pub(crate) mod words;

use std::sync::Arc;

use idem::store::{Handle, Page, Query, Record, Reply, Request, State, Store as _};
use idem::{StoreError, Token};

pub(crate) use find::{Found, by_digits};
pub(crate) use open::{lease_over, leases_over, open_records};
pub(crate) use tally::{Counts, Estimated, Tally, tally};

/// A record as it was when somebody looked at it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) token: Token,
    pub(crate) record: Arc<Record>,
    /// Whether it is running, and its lease is over.
    pub(crate) lease_over: bool,
}

impl Seen {
    /// Whether a person may decide about it: nobody knows what its last attempt did.
    pub(crate) fn is_open(&self) -> bool {
        self.record.head.state == State::Interrupted || self.lease_over
    }
}

/// One record, if there is one.
pub(crate) async fn seen(store: &Handle, token: Token) -> Result<Option<Seen>, StoreError> {
    let Some(record) = get(store, token).await? else { return Ok(None) };
    let lease_over =
        record.head.state == State::Running && lease_over(store, token, &record.function).await?;
    Ok(Some(Seen { token, record, lease_over }))
}

async fn get(store: &Handle, token: Token) -> Result<Option<Arc<Record>>, StoreError> {
    match store.ask(Request::Get { token }).await? {
        Reply::Record(record) => Ok(record),
        reply => Err(unexpected(store, &reply)),
    }
}

/// One page of records.
pub(crate) async fn list(store: &Handle, query: &Query) -> Result<Page, StoreError> {
    match store.ask(Request::List(Arc::new(query.clone()))).await? {
        Reply::Page(page) => Ok(page),
        reply => Err(unexpected(store, &reply)),
    }
}

/// The store has answered something else than what it was asked.
pub(crate) fn unexpected(store: &Handle, reply: &Reply) -> StoreError {
    let what = format!("answered with something else than what it was asked: {reply:?}");
    StoreError::refused(store.profile().name.clone(), what)
}

/// The token before this one: a list that goes on after it begins with this one.
pub(crate) fn before(token: Token) -> Option<Token> {
    let mut bytes = *token.as_bytes();
    for byte in bytes.iter_mut().rev() {
        let (less, borrows) = byte.overflowing_sub(1);
        *byte = less;
        if !borrows {
            return Some(Token::from_bytes(bytes));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::before;
    use idem::Token;

    #[test]
    fn the_token_before() {
        let token = |last: u8, end: u8| {
            let mut bytes = [0; 32];
            (bytes[30], bytes[31]) = (last, end);
            Token::from_bytes(bytes)
        };
        assert_eq!(before(token(1, 2)), Some(token(1, 1)));
        assert_eq!(before(token(1, 0)), Some(token(0, 255)));
        assert_eq!(before(token(0, 0)), None);
    }
}
