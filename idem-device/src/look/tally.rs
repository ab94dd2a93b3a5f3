//! How many records there are, by function and state.

use std::collections::BTreeMap;

use idem::store::{Handle, Query, State};
use idem::{StoreError, Text, Token};

use super::{leases_over, list};

/// How many records of each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Without those whose lease is over.
    pub(crate) running: u64,
    pub(crate) lease_over: u64,
    pub(crate) interrupted: u64,
    pub(crate) free: u64,
    pub(crate) done: u64,
}

/// How many records there are.
///
/// Tokens are as good as random. So the first ones of a large store are a fair sample of it, and how far they reach
/// says how many there are.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    pub(crate) functions: BTreeMap<Text, Counts>,
    pub(crate) all: Counts,
    /// How many records were counted.
    pub(crate) counted: u64,
    /// By how much to multiply: 1 if all records were counted.
    pub(crate) scale: f64,
}

impl Tally {
    pub(crate) fn is_exact(&self) -> bool {
        self.scale == 1.0
    }

    /// A count, and whether it is an estimate.
    pub(crate) fn scaled(&self, count: u64) -> u64 {
        (count as f64 * self.scale).round() as u64
    }
}

/// Counts the records in the order of their tokens, at most about so many.
pub(crate) async fn tally(store: &Handle, most: u64, page: usize) -> Result<Tally, StoreError> {
    let mut tally = Tally { functions: BTreeMap::new(), all: Counts::default(), counted: 0, scale: 1.0 };
    let mut query = Query::default();
    query.limit = page;
    loop {
        let page = list(store, &query).await?;
        let over = leases_over(store, &page.records).await?;
        for listed in &page.records {
            let over = over.contains(&listed.token);
            let head = &listed.record.head;
            let function = tally.functions.entry(listed.record.function.clone()).or_default();
            for counts in [function, &mut tally.all] {
                match head.state {
                    State::Running if over => counts.lease_over += 1,
                    State::Running => counts.running += 1,
                    State::Interrupted => counts.interrupted += 1,
                    State::Free => counts.free += 1,
                    _ => counts.done += 1,
                }
            }
            tally.counted += 1;
        }
        match page.next {
            None => return Ok(tally),
            Some(next) if tally.counted >= most => {
                tally.scale = 1.0 / share(next);
                return Ok(tally);
            }
            next => query.cursor = next,
        }
    }
}

/// How much of all tokens there can be lies up to this one.
fn share(token: Token) -> f64 {
    let mut first = [0; 8];
    first.copy_from_slice(&token.as_bytes()[..8]);
    (u64::from_be_bytes(first) as f64 + 1.0) / 2_f64.powi(64)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use idem::store::{Claim, IntoStore as _, Request, Store as _};
    use idem::{MemoryStore, Text, Token, encoding};

    use super::tally;

    #[tokio::test]
    async fn a_part_of_a_large_store_says_how_large_it_is() {
        let store = MemoryStore::new().into_store();
        for number in 0..20_000_u64 {
            let mut claim = Claim::default();
            claim.function = Text::from(if number % 4 == 0 { "a" } else { "b" });
            claim.token = Token::of("", &claim.function, &encoding::to_vec(&[number]).unwrap());
            claim.attempt = u128::from(number + 1).into();
            (claim.lease, claim.ttl) = (Duration::from_secs(60), Duration::from_secs(60));
            store.ask(Request::Claim(Arc::new(claim))).await.unwrap();
        }
        let all = tally(&store, u64::MAX, 1000).await.unwrap();
        assert!(all.is_exact() && all.all.running == 20_000 && all.functions["a"].running == 5_000);

        let part = tally(&store, 2_000, 500).await.unwrap();
        assert!(!part.is_exact() && part.counted == 2_000);
        // Tokens are what they are: this is the same in every run.
        let near = |estimate: u64, number: u64| estimate.abs_diff(number) * 10 < number;
        assert!(near(part.scaled(part.all.running), 20_000), "{part:?}");
        assert!(near(part.scaled(part.functions["b"].running), 15_000), "{part:?}");
    }
}
