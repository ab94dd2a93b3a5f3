//! What is said of a server that cannot be used, or not any more; and that it is used again once it can.

mod common;

use std::time::{Duration, Instant};

use common::*;
use idem_postgres::PostgresStore;
use idem_runtime::store::{Durability, Fault, Query, Reply, Request, Store, StoreError};
use idem_servers::Postgres;

/// What connecting says.
fn refusal(url: &str) -> StoreError {
    let error = PostgresStore::connect_blocking(url).unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
    error
}

#[track_caller]
fn says(error: &StoreError, fault: Fault, words: &str) {
    assert_eq!(error.fault(), fault, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

/// A server of its own, where the user `shop` needs the password `right`.
fn guarded(settings: &[(&str, &str)]) -> Option<Postgres> {
    let mut settings = settings.to_vec();
    settings.push(("fsync", "off"));
    let server = Postgres::start_with(&settings)?;
    let rules = server.data().join("pg_hba.conf");
    let before = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(&rules, format!("host all shop 127.0.0.1/32 scram-sha-256\n{before}")).unwrap();
    server.psql("postgres", "SELECT pg_reload_conf()");
    server.psql("postgres", "CREATE ROLE shop LOGIN PASSWORD 'right'");
    Some(server)
}

fn with_user(url: &str, user: &str) -> String {
    url.replace("postgres@", &format!("{user}@"))
}

/// Makes every change of a record fail as if the server had said this.
fn raise(server: &Postgres, url: &str, code: &str) {
    server.psql(
        name_of(url),
        &format!(
            "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'as if' USING ERRCODE = '{code}'; END $$; \
             CREATE OR REPLACE TRIGGER fail BEFORE INSERT ON idem_record FOR EACH ROW EXECUTE FUNCTION fail()"
        ),
    );
}

fn mend(server: &Postgres, url: &str) {
    server.psql(name_of(url), "DROP TRIGGER fail ON idem_record");
}

#[test]
fn a_wrong_password() {
    let Some(server) = guarded(&[]) else { return };
    let url = database(&server);
    server.psql(name_of(&url), "GRANT SELECT, INSERT, UPDATE, DELETE ON idem_record TO shop; \
                                GRANT USAGE ON SEQUENCE idem_fence TO shop; GRANT SELECT ON idem_schema TO shop");
    let error = refusal(&with_user(&url, "shop:secret"));
    says(&error, Fault::Refused, "does not let this user in");
    assert!(error.to_string().starts_with(&format!("the store {} ", with_user(&url, "shop"))), "{error}");
    says(&refusal(&with_user(&url, "nobody:secret")), Fault::Refused, "does not let this user in");
    call(&open(&with_user(&url, "shop:right")), token(1), b"one");
}

#[test]
fn a_user_who_may_too_little_and_one_who_may_what_the_error_says() {
    let Some(server) = guarded(&[]) else { return };
    let url = server.database();
    let shop = with_user(&url, "shop:right");
    // Nor may it make the tables.
    let error = PostgresStore::migrate_blocking(&shop).unwrap_err();
    says(&error, Fault::Refused, "does not let this user make the tables");
    says(&refusal(&format!("{shop}?migrate=true")), Fault::Refused, "does not let this user make the tables");

    PostgresStore::migrate_blocking(&url).unwrap();
    let error = refusal(&shop);
    says(&error, Fault::Refused, "GRANT SELECT, INSERT, UPDATE, DELETE ON idem_record");
    let message = error.message().to_owned();
    for grant in message.split_once(": ").unwrap().1.split("; ").filter(|part| part.starts_with("GRANT")) {
        server.psql(name_of(&url), &format!("{grant} TO shop"));
    }
    let store = open(&shop);
    call(&store, token(1), b"one");
    let waited = claim(token(2));
    let grant = claimed(&store, &waited);
    let pending = store.ask(Request::Watch { token: token(2), limit: PATIENCE });
    ask(&store, Request::Complete(complete(&waited, grant, b"two").into())).unwrap();
    wait(pending).unwrap();
    assert_eq!(ask(&store, Request::Forget { token: token(1) }).unwrap(), Reply::Forgotten);
    match ask(&store, Request::List(Query::default().into())).unwrap() {
        Reply::Page(page) => assert_eq!(page.records.len(), 1),
        other => panic!("{other:?}"),
    }
    assert_eq!(ask(&store, Request::Purge { limit: 10 }).unwrap(), Reply::Purged(0));

    // What it may no longer do while the store is open.
    server.psql(name_of(&url), "REVOKE INSERT ON idem_record FROM shop");
    says(&ask_claim(&store, &claim(token(3))).unwrap_err(), Fault::Refused, "does not let this user do that");
    server.psql(name_of(&url), "GRANT INSERT ON idem_record TO shop");
    call(&store, token(3), b"three");
}

#[test]
fn a_missing_database_and_nobody_there() {
    let Some(server) = server() else { return };
    says(&refusal(&server.url_of("missing")), Fault::Refused, "has no database of that name");
    // Nobody listens on the lowest ports of a machine that runs tests.
    says(&refusal("postgres://shop:secret@127.0.0.1:1/shop"), Fault::Unavailable, "cannot be reached");
    says(
        &refusal("postgres://shop:secret@no.such.host.invalid/shop"),
        Fault::Unavailable,
        "cannot be reached",
    );
    let error = refusal(&format!("{}?sslmode=require", server.url()));
    says(&error, Fault::Refused, "could not agree on TLS");
}

#[test]
fn tables_that_are_missing_older_newer_or_not_ours() {
    let Some(server) = server() else { return };
    let url = server.database();
    says(&refusal(&url), Fault::Refused, "has no tables of idem yet: run `PostgresStore::migrate(url)`");
    open(&format!("{url}?migrate=true"));
    let store = open(&url);
    call(&store, token(1), b"one");
    // It can be done again, and by many at once.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| PostgresStore::migrate_blocking(&url).unwrap());
        }
    });
    assert_eq!(&*duplicate(&store, token(1)).result, b"one");

    let version = |version| {
        server.psql(name_of(&url), &format!("UPDATE idem_schema SET version = {version}"));
    };
    version("7");
    says(&refusal(&url), Fault::Refused, "has version 7 of the tables, and this program knows 1 at most");
    let error = PostgresStore::migrate_blocking(&url).unwrap_err();
    says(&error, Fault::Refused, "update this program");
    version("0");
    says(&refusal(&url), Fault::Refused, "has version 0 of the tables, and this program needs 1: run");
    version("1");

    // While the store is open.
    server.psql(name_of(&url), "ALTER TABLE idem_record RENAME TO elsewhere");
    says(
        &ask_claim(&store, &claim(token(1))).unwrap_err(),
        Fault::Refused,
        "does not have the tables it had",
    );
    server.psql(name_of(&url), "ALTER TABLE elsewhere RENAME TO idem_record");
    assert_eq!(&*duplicate(&store, token(1)).result, b"one");

    let url = server.database();
    server.psql(name_of(&url), "CREATE TABLE idem_record (mine text)");
    for error in [refusal(&url), PostgresStore::migrate_blocking(&url).unwrap_err()] {
        says(&error, Fault::Refused, "of another program: choose another schema");
    }
    call(&open(&format!("{url}?schema=idem&migrate=true")), token(1), b"one");
}

#[test]
fn many_make_the_same_tables_at_once() {
    let Some(server) = server() else { return };
    for parameters in ["", "?schema=shop"] {
        let url = format!("{}{parameters}", server.database());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| PostgresStore::migrate_blocking(&url).unwrap());
            }
        });
        call(&open(&url), token(1), b"one");
    }
}

#[test]
fn the_statements_for_people_make_what_migrating_makes() {
    let Some(server) = server() else { return };
    let (by_hand, migrated) = (server.database(), database(server));
    server.psql(name_of(&by_hand), &PostgresStore::schema());
    let look = "SELECT table_name, column_name, data_type, is_nullable, column_default, collation_name \
                FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2; \
                SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1; SELECT * FROM idem_schema";
    let [made, expected] = [&by_hand, &migrated].map(|url| server.psql(name_of(url), look));
    assert_eq!(made, expected);
    assert!(made.contains("idem_record_purge_at"), "{made}");
    call(&open(&by_hand), token(1), b"one");
}

#[test]
fn a_database_that_is_read_only() {
    let Some(server) = server() else { return };
    let url = database(server);
    let store = open(&url);
    let set = |value: &str| {
        let name = name_of(&url);
        server
            .psql("postgres", &format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}"));
        let others =
            format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        server.psql("postgres", &others);
    };
    set("on");
    says(&refusal(&url), Fault::Refused, "connect to the primary");
    // As after a failover to a server that has become a standby.
    let error = ask_claim(&store, &claim(token(1))).unwrap_err();
    assert!(error.to_string().contains("connect to the primary") || error.fault() == Fault::Lost, "{error}");
    set("off");
    until("it is used again", || ask_claim(&store, &claim(token(1))).is_ok());
}

#[test]
fn what_the_settings_make_of_the_promises() {
    for (settings, class) in [
        (&[("fsync", "off")][..], Durability::Machine),
        (&[("synchronous_commit", "off")], Durability::Machine),
        (&[("full_page_writes", "off")], Durability::Machine),
        (&[], Durability::Synced),
    ] {
        let Some(server) = Postgres::start_with(settings) else { return };
        let url = database(&server);
        assert_eq!(open(&url).profile().durability, class, "{settings:?}");
        if class == Durability::Synced {
            server.psql(name_of(&url), "ALTER TABLE idem_record SET UNLOGGED");
            assert_eq!(open(&url).profile().durability, Durability::Machine);
            server.psql(name_of(&url), "ALTER TABLE idem_record SET LOGGED");
            // What the URL says of the session counts.
            let weak = format!("{url}?options=-c%20synchronous_commit%3Doff");
            assert_eq!(open(&weak).profile().durability, Durability::Machine);
            // From here on every commit waits for a standby.
            server.psql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'other'");
            server.psql("postgres", "SELECT pg_reload_conf()");
            until("it is read", || open(&url).profile().durability == Durability::Replicated);
        }
    }
}

#[test]
fn a_server_that_cannot_takes_no_claim_and_takes_it_when_it_can() {
    let Some(server) = server() else { return };
    let url = format!("{}?time_limit=2s", database(server));
    let store = open(&url);
    call(&store, token(0), b"zero");
    for (number, (code, fault, words)) in [
        ("53100", Fault::Refused, "no room left on its disk"),
        ("53200", Fault::Unavailable, "too much to do"),
        ("42501", Fault::Refused, "GRANT"),
        ("54000", Fault::TooLarge, "max_result"),
        ("57014", Fault::Unavailable, "pg_stat_activity"),
        ("26000", Fault::Refused, "pooled=transaction"),
        ("XX000", Fault::Unavailable, "failed"),
    ]
    .into_iter()
    .enumerate()
    {
        let number = number as u64 + 1;
        raise(server, &url, code);
        says(&ask_claim(&store, &claim(token(number))).unwrap_err(), fault, words);
        // Together with others: each is told.
        let many: Vec<_> =
            (0..20).map(|more| store.ask(asked_claim(&claim(token(number * 100 + more))))).collect();
        for asked in many {
            says(&wait(asked).unwrap_err(), fault, words);
        }
        // Duplicates are answered meanwhile.
        assert_eq!(&*duplicate(&store, token(0)).result, b"zero");
        mend(server, &url);
        call(&store, token(number), b"one");
    }
    // What passes is asked again, until the time limit.
    raise(server, &url, "40001");
    let asked_at = Instant::now();
    let error = ask_claim(&store, &claim(token(90))).unwrap_err();
    // What is on its way when the time is up may have been carried out; what waits for its next turn was not.
    assert!(matches!(error.fault(), Fault::Lost | Fault::Unavailable), "{error}");
    assert!(error.to_string().contains("ask again"), "{error}");
    assert!(asked_at.elapsed() > Duration::from_secs(1), "{:?}", asked_at.elapsed());
    let asked = store.ask(asked_claim(&claim(token(91))));
    mend(server, &url);
    assert!(matches!(wait(asked), Ok(Reply::Claimed(_))));
}

#[test]
fn a_server_with_few_connections_left_gives_what_it_has() {
    let settings = [("max_connections", "8"), ("superuser_reserved_connections", "0")];
    let Some(server) = guarded(&settings) else { return };
    let url = database(&server);
    // Three of five.
    let first = open(&format!("{url}?connections=5"));
    let second = open(&format!("{url}?connections=8"));
    for number in 0..50 {
        call(&first, token(number), b"one");
        assert_eq!(&*duplicate(&second, token(number)).result, b"one");
    }
    until("none is left", || PostgresStore::connect_blocking(&url).is_err());
    says(&refusal(&url), Fault::Unavailable, "has no connection left");
    drop(first);
    until("it has closed them", || PostgresStore::connect_blocking(&url).is_ok());
}

#[test]
fn a_record_that_is_damaged_is_left_as_it_is() {
    let Some(server) = server() else { return };
    let url = database(server);
    let store = open(&url);
    call(&store, token(1), b"one");
    call(&store, token(2), b"two");
    server.psql(
        name_of(&url),
        &format!("UPDATE idem_record SET state = 'odd' WHERE token = '\\x{}'", token(1)),
    );
    for request in
        [asked_claim(&claim(token(1))), Request::Get { token: token(1) }, Request::Forget { token: token(1) }]
    {
        let error = ask(&store, request).unwrap_err();
        says(&error, Fault::Refused, "holds a damaged record under the token");
        assert!(
            error.to_string().contains(&format!("DELETE FROM idem_record WHERE token = '\\x{}'", token(1)))
        );
    }
    // It does not take the others with it.
    let many: Vec<_> = (0..20).map(|number| store.ask(asked_claim(&claim(token(number % 2 + 1))))).collect();
    for (number, asked) in many.into_iter().enumerate() {
        assert_eq!(wait(asked).is_ok(), number % 2 == 1, "{number}");
    }
    server.psql(name_of(&url), &format!("DELETE FROM idem_record WHERE token = '\\x{}'", token(1)));
    call(&store, token(1), b"again");
}

#[test]
fn what_postgresql_cannot_hold_is_refused_before_it_is_sent() {
    let Some(server) = server() else { return };
    let store = open(&database(server));
    let mut odd = claim(token(1));
    odd.scope = "a\0b".into();
    says(&ask_claim(&store, &odd).unwrap_err(), Fault::Refused, "zero character");
    let large = claim(token(2));
    let grant = claimed(&store, &large);
    let complete = complete(&large, grant, &vec![0; (256 << 20) + 1]);
    let error = ask(&store, Request::Complete(complete.into())).unwrap_err();
    says(&error, Fault::TooLarge, "lower `max_result`");
}
