//! A record by the first digits of its token.

use idem::store::{Handle, Query};
use idem::{StoreError, Token};

use super::{Seen, before, list, seen};

/// So few digits are no help to anybody.
const FEWEST: usize = 4;

/// What digits have led to.
pub(crate) enum Found {
    One(Box<Seen>),
    None,
    /// More than one token begins with them: two of those.
    Several(Token, Token),
    /// They are not the beginning of a token.
    NoDigits,
}

/// Looks for the record whose token begins with these digits.
pub(crate) async fn by_digits(store: &Handle, digits: &str) -> Result<Found, StoreError> {
    let digits = digits.trim().to_ascii_lowercase();
    if !(FEWEST..=64).contains(&digits.len()) {
        return Ok(Found::NoDigits);
    }
    let (Ok(first), Ok(last)) = (format!("{digits:0<64}").parse(), format!("{digits:f<64}").parse()) else {
        return Ok(Found::NoDigits);
    };
    let (first, last): (Token, Token) = (first, last);
    if first == last {
        return Ok(seen(store, first).await?.map_or(Found::None, |seen| Found::One(Box::new(seen))));
    }
    let mut query = Query::default();
    query.cursor = before(first);
    query.limit = 2;
    let mut found: Vec<Token> = Vec::new();
    // A store may look at so many records at once, and say where it has stopped.
    loop {
        let page = list(store, &query).await?;
        found.extend(
            page.records.iter().map(|listed| listed.token).filter(|token| (first..=last).contains(token)),
        );
        match page.next {
            Some(next) if found.len() < 2 && next < last => query.cursor = Some(next),
            _ => break,
        }
    }
    match found[..] {
        [] => Ok(Found::None),
        [token] => Ok(seen(store, token).await?.map_or(Found::None, |seen| Found::One(Box::new(seen)))),
        [one, other, ..] => Ok(Found::Several(one, other)),
    }
}
