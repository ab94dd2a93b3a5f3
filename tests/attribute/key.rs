//! What makes the token: `key`, `skip`, `name`, `scope`.

use std::collections::HashSet;

use idem::{Error, idempotent};
use serde::Serialize;

use crate::bench::Bench;

#[derive(Clone, Serialize)]
struct Order {
    id: u64,
    amount: u64,
    #[serde(skip)]
    tags: HashSet<String>,
}

fn order(id: u64, amount: u64) -> Order {
    Order { id, amount, tags: HashSet::new() }
}

fn mismatched<T>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Mismatch { argument, .. }) => argument.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("no mismatch"),
    }
}

#[idempotent(store = &bench.store, skip(bench), key(order.id))]
async fn by_part(bench: &Bench, order: Order, note: &str) -> Result<u64, Error> {
    bench.ran();
    Ok(order.amount + note.len() as u64)
}

#[idempotent(store = &bench.store, skip(bench), key(order.id))]
fn by_part_plainly(bench: &Bench, order: &Order, note: &str) -> Result<u64, Error> {
    bench.ran();
    Ok(order.amount + note.len() as u64)
}

#[tokio::test]
async fn the_others_are_verified() {
    let bench = Bench::new();
    assert_eq!(once!(bench, by_part(&bench, order(1, 5), "n").await), 6);
    assert_eq!(mismatched(by_part(&bench, order(1, 6), "n").await), "order");
    assert_eq!(mismatched(by_part(&bench, order(1, 5), "m").await), "note");
    assert_eq!(once!(bench, by_part(&bench, order(2, 6), "m").await), 7);
    assert_eq!(once!(bench, by_part_plainly(&bench, &order(1, 5), "n")), 6);
    assert_eq!(mismatched(by_part_plainly(&bench, &order(1, 6), "n")), "order");
}

#[idempotent(store = &bench.store, skip(bench, order), key(order.id))]
async fn by_part_only(bench: &Bench, order: Order, note: &str) -> Result<u64, Error> {
    bench.ran();
    Ok(order.amount + note.len() as u64)
}

#[tokio::test]
async fn a_part_may_count_while_the_rest_is_skipped() {
    let bench = Bench::new();
    assert_eq!(once!(bench, by_part_only(&bench, order(1, 5), "n").await), 6);
    let other = by_part_only(&bench, order(1, 6), "n").await;
    assert_eq!(other.unwrap(), 6);
    assert_eq!(bench.runs(), 1);
}

#[idempotent(store = &bench.store, skip(bench, trace))]
async fn traced(bench: &Bench, order: u64, trace: &str) -> Result<String, Error> {
    bench.ran();
    Ok(format!("{order} {trace}"))
}

#[tokio::test]
async fn what_is_skipped_is_no_part_of_the_call() {
    let bench = Bench::new();
    assert_eq!(once!(bench, traced(&bench, 1, "a").await), "1 a");
    assert_eq!(traced(&bench, 1, "b").await.unwrap(), "1 a");
    assert_eq!(bench.runs(), 1);
    assert_eq!(once!(bench, traced(&bench, 2, "b").await), "2 b");
}

#[idempotent(store = &bench.store, skip(bench), key(&a, (b)))]
async fn by_whole(bench: &Bench, a: u64, b: &str) -> Result<u32, Error> {
    let _ = (a, b);
    Ok(bench.ran())
}

#[idempotent(store = &bench.store, skip(bench), key(b, a))]
async fn by_other_order(bench: &Bench, a: u64, b: u64) -> Result<u32, Error> {
    let _ = (a, b);
    Ok(bench.ran())
}

#[tokio::test]
async fn whole_arguments_are_not_verified_again() {
    let bench = Bench::new();
    once!(bench, by_whole(&bench, 1, "x").await);
    once!(bench, by_whole(&bench, 2, "x").await);
    once!(bench, by_whole(&bench, 1, "y").await);
    once!(bench, by_other_order(&bench, 1, 2).await);
    once!(bench, by_other_order(&bench, 2, 1).await);
}

#[idempotent(store = &bench.store, skip(bench), key(a, y + 1))]
async fn by_pattern(bench: &Bench, (a, b): (u64, String), [_x, y]: [u64; 2]) -> Result<String, Error> {
    bench.ran();
    tokio::task::yield_now().await;
    Ok(format!("{a}{b}{y}"))
}

#[idempotent(store = &bench.store, skip(bench), key(b, a))]
fn by_whole_pattern(bench: &Bench, (a, b): (u64, String)) -> Result<String, Error> {
    bench.ran();
    Ok(format!("{a}{b}"))
}

#[tokio::test]
async fn names_bound_by_patterns() {
    let bench = Bench::new();
    let pair = |b: &str| (1_u64, b.to_owned());
    assert_eq!(once!(bench, by_pattern(&bench, pair("b"), [0, 2]).await), "1b2");
    let other = by_pattern(&bench, pair("c"), [0, 2]).await;
    assert_eq!(mismatched(other), "#2");
    let other = by_pattern(&bench, pair("b"), [1, 2]).await;
    assert_eq!(mismatched(other), "#3");
    once!(bench, by_whole_pattern(&bench, pair("b")));
    once!(bench, by_whole_pattern(&bench, pair("c")));
}

struct Context;

#[idempotent(store = &bench.store, skip(bench, context, a, b), key(order))]
async fn skipped_patterns(
    bench: &Bench,
    crate::key::Wrapper(context): Wrapper,
    (a, b): (Context, Context),
    order: u64,
) -> Result<u64, Error> {
    let _ = (context, a, b);
    bench.ran();
    Ok(order)
}

struct Wrapper(Context);

#[tokio::test]
async fn patterns_are_skipped_by_the_names_they_bind() {
    let bench = Bench::new();
    let call = || skipped_patterns(&bench, Wrapper(Context), (Context, Context), 1);
    assert_eq!(once!(bench, call().await), 1);
}

#[idempotent(
    store = &bench.store,
    skip(bench, order),
    key(
        format!("{id}/{}", order.id),
        order.tags.iter().map(|tag| { if tag.is_empty() { return 0 } tag.len() }).max(),
        idem::unordered(&order.tags),
        parsed.as_ref().ok().and_then(|text| text.get(..1)?.parse::<u64>().ok()),
    )
)]
async fn by_expressions(
    bench: &Bench,
    id: u64,
    order: &Order,
    parsed: Result<String, String>,
) -> Result<u32, Error> {
    let _ = (id, parsed);
    Ok(bench.ran())
}

#[tokio::test]
async fn keys_are_expressions() {
    let bench = Bench::new();
    let mut order = order(1, 5);
    let call = |id, order: &Order| {
        let order = order.clone();
        let bench = &bench;
        async move { by_expressions(bench, id, &order, Ok("x".to_owned())).await }
    };
    once!(bench, call(1, &order).await);
    once!(bench, call(2, &order).await);
    order.tags = ["a", "bb", "c"].map(str::to_owned).into();
    once!(bench, call(1, &order).await);
    let mut again = order.clone();
    again.tags = ["bb", "c", "a"].map(str::to_owned).into();
    call(1, &again).await.unwrap();
    assert_eq!(bench.runs(), 3);
}

mod before {
    use super::*;

    #[idempotent(store = &bench.store, skip(bench), name = "key.moved")]
    pub async fn first(bench: &Bench, order: u64) -> Result<u64, Error> {
        bench.ran();
        Ok(order)
    }

    #[idempotent(store = &bench.store, skip(bench), name = "key.other", key(a))]
    pub async fn keyed(bench: &Bench, a: u64, b: u64) -> Result<u64, Error> {
        bench.ran();
        Ok(a + b)
    }
}

mod after {
    use super::*;

    #[idempotent(store = &bench.store, skip(bench), name = "key.moved")]
    pub fn second(bench: &Bench, order: u64) -> Result<u64, Error> {
        bench.ran();
        Ok(order)
    }
}

#[tokio::test]
async fn a_name_keeps_the_tokens_of_a_moved_function() {
    let bench = Bench::new();
    before::first(&bench, 1).await.unwrap();
    after::second(&bench, 1).unwrap();
    assert_eq!(bench.runs(), 1);
}

#[tokio::test]
async fn a_named_function_knows_its_name() {
    let bench = Bench::new();
    before::keyed(&bench, 1, 2).await.unwrap();
    let refused = before::keyed(&bench, 1, 3).await.unwrap_err();
    assert_eq!(refused.function(), "key.other");
    assert_eq!(mismatched::<()>(Err(refused)), "b");
}

const NAME: &str = "key.constant";

#[idempotent(store = &bench.store, skip(bench), on_duplicate = reject, name = NAME)]
fn named_by_a_constant(bench: &Bench) -> Result<u32, Error> {
    Ok(bench.ran())
}

#[test]
fn a_name_may_be_a_constant() {
    let bench = Bench::new();
    named_by_a_constant(&bench).unwrap();
    let refused = named_by_a_constant(&bench).unwrap_err();
    assert_eq!(refused.function(), NAME);
}

#[idempotent(store = &bench.store, skip(bench), on_duplicate = reject)]
fn text_of_arguments(
    bench: &Bench,
    mut a: Vec<(u8, u8)>,
    (_b, _c): (&'static str, u8),
    r#type: Option<&[u8]>,
) -> Result<u32, Error> {
    a.clear();
    let _ = r#type;
    Ok(bench.ran())
}

#[idempotent(store = &bench.store, skip(bench), on_duplicate = reject, key(a+1, b . 0))]
async fn text_of_key(bench: &Bench, a: u8, b: (u8,)) -> Result<u32, Error> {
    let _ = (a, b);
    Ok(bench.ran())
}

#[tokio::test]
async fn the_signature_text() {
    let bench = Bench::new();
    text_of_arguments(&bench, vec![], ("", 1), None).unwrap();
    let refused = text_of_arguments(&bench, vec![], ("", 1), None).unwrap_err();
    assert_eq!(
        refused.function(),
        "attribute::key::text_of_arguments(a: Vec<(u8, u8)>, _: (&str, u8), r#type: Option<&[u8]>)"
    );
    text_of_key(&bench, 1, (2,)).await.unwrap();
    let refused = text_of_key(&bench, 1, (2,)).await.unwrap_err();
    assert_eq!(refused.function(), "attribute::key::text_of_key(a + 1, b.0)");
}

struct Tenant {
    name: String,
    bench: Bench,
}

impl Tenant {
    #[idempotent(store = &self.bench.store, skip(self), scope = self.name)]
    async fn scoped(&self, a: u64) -> Result<u32, Error> {
        let _ = a;
        Ok(self.bench.ran())
    }
}

#[idempotent(store = &bench.store, skip(bench, tenant), scope = tenant)]
fn scoped_by_argument(bench: &Bench, tenant: String, a: u64) -> Result<String, Error> {
    let _ = (bench.ran(), a);
    Ok(tenant)
}

#[tokio::test]
async fn scopes_do_not_meet() {
    let mut tenant = Tenant { name: "ann".to_owned(), bench: Bench::new() };
    assert_eq!(once!(tenant.bench, tenant.scoped(1).await), 1);
    tenant.name = "bob".to_owned();
    assert_eq!(once!(tenant.bench, tenant.scoped(1).await), 2);
    let bench = &tenant.bench;
    for name in ["ann", "bob"] {
        assert_eq!(once!(bench, scoped_by_argument(bench, name.to_owned(), 1)), name);
    }
}

#[idempotent(store = &bench.store, skip(bench), name = "key.text", key(id))]
fn by_text(bench: &Bench, id: u64) -> Result<u32, Error> {
    let _ = id;
    Ok(bench.ran())
}

#[test]
fn another_key_under_one_name_is_told_from_this_one() {
    // As a later version of the program would call it, whose key is another.
    let bench = Bench::new();
    once!(bench, by_text(&bench, 1));
    let later = |key: &str| {
        idem::call("key.text")
            .arg(&1_u64)
            .key(key)
            .store(&bench.store)
            .run_blocking(|| Ok::<_, Error>(bench.ran()))
    };
    assert_eq!(later("id").unwrap(), 1);
    assert_eq!(mismatched(later("number")), "key(…)");
}

mod one_name_twice {
    use super::*;

    #[idempotent(store = &bench.store, skip(bench), name = "twice.arguments")]
    pub fn by_id(bench: &Bench, id: u64) -> Result<u32, Error> {
        let _ = id;
        Ok(bench.ran())
    }

    #[idempotent(store = &bench.store, skip(bench), name = "twice.arguments")]
    pub async fn by_number(bench: &Bench, number: u64) -> Result<u32, Error> {
        let _ = number;
        Ok(bench.ran())
    }

    #[idempotent(store = &bench.store, skip(bench), name = "twice.alike")]
    pub fn here(bench: &Bench, id: u64) -> Result<u32, Error> {
        let _ = id;
        Ok(bench.ran())
    }

    #[idempotent(store = &bench.store, skip(bench), name = "twice.alike")]
    pub fn there(bench: &Bench, id: u64) -> Result<u32, Error> {
        let _ = id;
        Ok(bench.ran())
    }

    #[idempotent(store = &bench.store, skip(bench), name = "twice.count")]
    pub fn one_value(bench: &Bench, id: u64) -> Result<u32, Error> {
        let _ = id;
        Ok(bench.ran())
    }

    pub struct Typed<T>(pub T);

    impl<T> Typed<T> {
        #[idempotent(store = &bench.store, skip(self, bench), name = "twice.types")]
        pub fn of_type(&self, bench: &Bench, id: u64) -> Result<u32, Error> {
            let _ = id;
            Ok(bench.ran())
        }
    }
}

#[tokio::test]
async fn one_name_for_two_functions_is_misuse() {
    use one_name_twice::*;

    let bench = Bench::new();
    let misused = |result: Result<u32, Error>, runs: u32| {
        let error = result.expect_err("it has another's name");
        assert!(matches!(error, Error::Misuse { .. }), "{error}");
        assert_eq!(bench.runs(), runs, "its body does not run");
        error.to_string()
    };
    once!(bench, by_id(&bench, 1));
    let said = misused(by_number(&bench, 1).await, 1);
    assert_eq!(said.matches("attribute/key.rs:").count(), 2, "both places are named: {said}");
    // Two that have the same arguments may be one operation.
    assert_eq!(here(&bench, 1).unwrap(), 2);
    assert_eq!(there(&bench, 1).unwrap(), 2);
    once!(bench, one_value(&bench, 1));
    let two = idem::call("twice.count").arg(&1_u64).arg(&2_u64).store(&bench.store);
    misused(two.run_blocking(|| Ok(bench.ran())), 3);
    once!(bench, Typed(1_u8).of_type(&bench, 1));
    // The types of a generic type are part of the text.
    once!(bench, Typed(1_u16).of_type(&bench, 1));
}
