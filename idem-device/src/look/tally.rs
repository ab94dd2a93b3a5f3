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
/// says how many there are. Running and interrupted records are few, and what matters: they are counted one by one as
/// long as that is possible.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    pub(crate) functions: BTreeMap<Text, Counts>,
    pub(crate) all: Counts,
    /// How many records were counted.
    pub(crate) counted: u64,
    /// Which of the numbers are estimates.
    pub(crate) estimated: Estimated,
}

/// What was not counted to the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Estimated {
    pub(crate) running: bool,
    pub(crate) interrupted: bool,
    pub(crate) others: bool,
}

impl Tally {
    fn new() -> Self {
        Tally {
            functions: BTreeMap::new(),
            all: Counts::default(),
            counted: 0,
            estimated: Estimated::default(),
        }
    }

    pub(crate) fn is_exact(&self) -> bool {
        self.estimated == Estimated::default()
    }

    fn each(&mut self, mut change: impl FnMut(&mut Counts)) {
        self.functions.values_mut().chain([&mut self.all]).for_each(&mut change);
    }

    fn add(&mut self, function: &Text, count: impl Fn(&mut Counts)) {
        count(self.functions.entry(function.clone()).or_default());
        count(&mut self.all);
    }
}

/// Counts the records in the order of their tokens, at most about so many of each kind.
pub(crate) async fn tally(store: &Handle, most: u64, page: usize) -> Result<Tally, StoreError> {
    let mut tally = Tally::new();
    let mut query = Query::default();
    query.limit = page;
    let Some(end) = count(store, query.clone(), most, &mut tally).await? else { return Ok(tally) };

    let scale = |count: &mut u64| *count = (*count as f64 / share(end)).round() as u64;
    tally.each(|counts| {
        let Counts { running, lease_over, interrupted, free, done } = counts;
        [running, lease_over, interrupted, free, done].into_iter().for_each(scale);
    });
    tally.estimated = Estimated { running: true, interrupted: true, others: true };

    let mut of = async |state| {
        let mut these = Tally::new();
        query.state = Some(state);
        let whole = count(store, query.clone(), most, &mut these).await?.is_none();
        Ok::<_, StoreError>(whole.then_some(these))
    };
    if let Some(running) = of(State::Running).await? {
        tally.each(|counts| (counts.running, counts.lease_over) = (0, 0));
        take(&mut tally, &running, |to, from| (to.running, to.lease_over) = (from.running, from.lease_over));
        tally.estimated.running = false;
    }
    if let Some(interrupted) = of(State::Interrupted).await? {
        tally.each(|counts| counts.interrupted = 0);
        take(&mut tally, &interrupted, |to, from| to.interrupted = from.interrupted);
        tally.estimated.interrupted = false;
    }
    Ok(tally)
}

fn take(tally: &mut Tally, from: &Tally, take: impl Fn(&mut Counts, &Counts)) {
    for (function, counts) in &from.functions {
        take(tally.functions.entry(function.clone()).or_default(), counts);
    }
    take(&mut tally.all, &from.all);
}

/// Counts what the query finds. Says where it has stopped, if that was before the end.
async fn count(
    store: &Handle,
    mut query: Query,
    most: u64,
    tally: &mut Tally,
) -> Result<Option<Token>, StoreError> {
    loop {
        let page = list(store, &query).await?;
        let over = leases_over(store, &page.records).await?;
        for listed in &page.records {
            let over = over.contains(&listed.token);
            tally.counted += 1;
            tally.add(&listed.record.function, |counts| match listed.record.head.state {
                State::Running if over => counts.lease_over += 1,
                State::Running => counts.running += 1,
                State::Interrupted => counts.interrupted += 1,
                State::Free => counts.free += 1,
                _ => counts.done += 1,
            });
        }
        match page.next {
            Some(_) if tally.counted < most => query.cursor = page.next,
            next => return Ok(next),
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

    use super::{Estimated, tally};

    #[tokio::test]
    async fn a_part_of_a_large_store_says_how_large_it_is() {
        let store = MemoryStore::new().into_store();
        for number in 0..20_000_u64 {
            let mut claim = Claim::default();
            claim.function = Text::from(if number % 4 == 0 { "a" } else { "b" });
            claim.token = Token::of("", &claim.function, &encoding::to_vec(&[number]).unwrap());
            claim.attempt = u128::from(number + 1).into();
            (claim.lease, claim.ttl) = (Duration::from_secs(60), Duration::from_secs(60));
            let (token, attempt) = (claim.token, claim.attempt);
            store.ask(Request::Claim(Arc::new(claim))).await.unwrap();
            let ended = match number {
                0..7 => continue,
                7 => Request::Interrupt { token, attempt },
                _ => Request::Release { token, attempt, lease: Duration::from_secs(1) },
            };
            store.ask(ended).await.unwrap();
        }
        let all = tally(&store, u64::MAX, 1_000).await.unwrap();
        assert!(all.is_exact() && all.counted == 20_000 && all.all.free == 19_992);
        assert_eq!((all.functions["a"].running, all.functions["b"].interrupted), (2, 1));

        let part = tally(&store, 2_000, 500).await.unwrap();
        assert_eq!(part.estimated, Estimated { running: false, interrupted: false, others: true });
        assert_eq!((part.counted, part.all.running, part.all.interrupted), (2_000, 7, 1));
        assert_eq!((part.functions["a"].running, part.functions["b"].interrupted), (2, 1));
        // Tokens are what they are: this is the same in every run.
        let near = |estimate: u64, number: u64| estimate.abs_diff(number) * 10 < number;
        assert!(near(part.all.free, 20_000) && near(part.functions["b"].free, 15_000), "{part:?}");

        let little = tally(&store, 5, 5).await.unwrap();
        assert_eq!(little.estimated, Estimated { running: true, interrupted: false, others: true });
    }
}
