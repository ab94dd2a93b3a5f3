//! Records are listed a page at a time, and namespaces see nothing of each other.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use idem_runtime::Token;
use idem_runtime::store::{Page, Query, Reply, Request, State, Store};
use idem_sqlite::SqliteStore;

fn list(store: &SqliteStore, query: Query) -> Page {
    match ask(store, Request::List(Arc::new(query))).unwrap() {
        Reply::Page(page) => page,
        other => panic!("{other:?}"),
    }
}

/// All pages: the tokens in the order in which they came.
fn all(store: &SqliteStore, limit: usize, set: impl Fn(&mut Query)) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut query = Query::default();
    query.limit = limit;
    set(&mut query);
    loop {
        let page = list(store, query.clone());
        assert!(page.records.len() <= if limit == 0 { 100 } else { limit });
        tokens.extend(page.records.iter().map(|listed| listed.token));
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return tokens,
        }
    }
}

fn sorted(numbers: impl IntoIterator<Item = u64>) -> Vec<Token> {
    let mut tokens: Vec<_> = numbers.into_iter().map(token).collect();
    tokens.sort();
    tokens
}

#[test]
fn pages_and_filters() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("orders.db"));
    for number in 0..150 {
        call(&store, token(number), b"one");
    }
    for number in 200..205 {
        claimed(&store, &claim(token(number)));
    }
    let mut over = claim(token(300));
    over.lease = Duration::from_micros(1);
    claimed(&store, &over);
    let mut other = claim(token(301));
    other.function = "shop::refund(order: u64)".into();
    claimed(&store, &other);
    ask(&store, Request::Interrupt { token: other.token, attempt: other.attempt }).unwrap();
    let mut gone = claim(token(400));
    (gone.lease, gone.ttl) = (Duration::from_micros(1), Duration::from_micros(1));
    claimed(&store, &gone);
    until("it has expired", || get(&store, token(400)).is_none());

    let everything = sorted((0..150).chain(200..205).chain([300, 301]));
    for limit in [0, 1, 7, 150, 157, 1_000] {
        assert_eq!(all(&store, limit, |_| {}), everything, "{limit}");
    }
    assert_eq!(list(&store, Query::default()).records.len(), 100);
    for limit in [0, 2] {
        let of = |state| all(&store, limit, |query| query.state = Some(state));
        assert_eq!(of(State::Done), sorted(0..150));
        assert_eq!(of(State::Running), sorted((200..205).chain([300])));
        assert_eq!(of(State::Interrupted), sorted([301]));
        assert_eq!(of(State::Free), []);
        assert_eq!(all(&store, limit, |query| query.lease_over = true), sorted([300]));
        let mixed = |query: &mut Query| (query.lease_over, query.state) = (true, Some(State::Done));
        assert_eq!(all(&store, limit, mixed), []);
        let function = |query: &mut Query| query.function = Some("shop::refund(order: u64)".into());
        assert_eq!(all(&store, limit, function), sorted([301]));
        let old = |query: &mut Query| query.age = Some(LEASE);
        assert_eq!(all(&store, limit, old), []);
        assert_eq!(all(&store, limit, |query| query.age = Some(Duration::ZERO)), everything);
    }
    let page = list(&store, Query::default());
    let listed = &page.records[0];
    assert_eq!(listed.record, *get(&store, listed.token).unwrap());
}

#[test]
fn namespaces_see_nothing_of_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let shop = SqliteStore::open(&format!("sqlite://{}?namespace=shop", path.display())).unwrap();
    let bank = shop.with_namespace("bank");
    let none = open(&path);
    assert_eq!(bank.profile().name.as_str(), format!("sqlite:{}?namespace=bank", path.display()));
    assert!(!shop.to_handle().same(&bank.to_handle()));

    call(&shop, token(1), b"shop");
    assert_eq!(get(&bank, token(1)), None);
    assert_eq!(get(&none, token(1)), None);
    call(&bank, token(1), b"bank");
    assert_eq!(&*duplicate(&shop, token(1)).result, b"shop");
    assert_eq!(&*duplicate(&bank, token(1)).result, b"bank");
    assert_eq!(ask(&bank, Request::Forget { token: token(1) }).unwrap(), Reply::Forgotten);
    assert_eq!(all(&bank, 0, |_| {}), []);
    assert_eq!(all(&none, 0, |_| {}), []);
    assert_eq!(all(&shop, 0, |_| {}), [token(1)]);
}
