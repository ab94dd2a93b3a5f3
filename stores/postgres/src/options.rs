//! What can be set: by a URL or by a builder.

use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

use idem_runtime::Text;
use idem_runtime::store::StoreError;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::{PostgresStore, connect, failure};

/// How many connections a store has at least and at most.
const CONNECTIONS: std::ops::RangeInclusive<usize> = 2..=8;

/// A store that is being described; [`PostgresStore::builder`] begins one.
#[derive(Debug, Clone)]
#[must_use = "`connect` connects to the store"]
pub struct PostgresStoreBuilder {
    pub(crate) options: PgConnectOptions,
    pub(crate) namespace: Text,
    pub(crate) schema: Option<Text>,
    pub(crate) connections: usize,
    pub(crate) time_limit: Duration,
    pub(crate) notify: bool,
    pub(crate) pooled: bool,
    pub(crate) migrate: bool,
}

impl PostgresStoreBuilder {
    pub(crate) fn new(options: PgConnectOptions) -> Self {
        PostgresStoreBuilder {
            options,
            namespace: Text::EMPTY,
            schema: None,
            connections: 4,
            time_limit: Duration::from_secs(5),
            notify: true,
            pooled: false,
            migrate: false,
        }
    }

    /// Keeps applications in one database apart; default: none.
    pub fn namespace(mut self, namespace: impl Into<Text>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Where the tables are; default: where the user's `search_path` leads to, which is usually `public`.
    pub fn schema(mut self, schema: impl Into<Text>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// How many connections the store has, from 2 to 8; default 4. One more listens, once somebody waits.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// How long a request may take; default 5 seconds.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Whether the end of an attempt wakes those who wait by `LISTEN` and `NOTIFY`; default true. Without, they look
    /// now and then: at first after 5 ms, later every 250.
    pub fn notify(mut self, notify: bool) -> Self {
        self.notify = notify;
        self
    }

    /// Whether a proxy stands between that gives each transaction another connection, such as PgBouncer with
    /// `pool_mode = transaction`; default false. Then nothing is prepared, nobody listens, and every request is a
    /// statement of its own.
    pub fn transaction_pooling(mut self, pooled: bool) -> Self {
        self.pooled = pooled;
        self
    }

    /// Whether connecting makes the tables where they are missing or of an older version; default false. For
    /// development, and for services whose user may create tables.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Connects, and checks everything that can be checked.
    ///
    /// It works on any executor: what is opened is driven by a thread of the library.
    ///
    /// # Errors
    /// As [`PostgresStore::connect`].
    pub fn connect(self) -> impl Future<Output = Result<PostgresStore, StoreError>> + Send + 'static {
        connect::start(self, PostgresStore::open).done()
    }

    /// As [`PostgresStoreBuilder::connect`], for programs without a runtime: blocks this thread.
    ///
    /// # Errors
    /// As [`PostgresStore::connect`].
    pub fn connect_blocking(self) -> Result<PostgresStore, StoreError> {
        connect::start(self, PostgresStore::open).wait()
    }

    /// What a URL says.
    pub(crate) fn parse(url: &str) -> Result<Self, StoreError> {
        let shown = shown(url);
        let refuse = |message: String| StoreError::refused(shown.clone(), message);
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(refuse(
                "is not the URL of a PostgreSQL database: write `postgres://user@host/database`".into(),
            ));
        }
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if OURS.contains(&name) {
                ours.push((name, decode(value).map_err(refuse)?));
            } else if THEIRS.contains(&name) || name.starts_with("options[") {
                theirs.push(pair);
            } else {
                return Err(refuse(format!(
                    "has the unknown parameter `{name}` in its URL: known are `{}`, and of PostgreSQL's own `{}`",
                    OURS.join("`, `"),
                    THEIRS.join("`, `"),
                )));
            }
        }
        let separator = if theirs.is_empty() { "" } else { "?" };
        let options = PgConnectOptions::from_str(&format!("{address}{separator}{}", theirs.join("&")))
            .map_err(|error| failure::connecting(error, &Text::from(shown.clone())))?;
        let mut builder = PostgresStoreBuilder::new(options);
        for (name, value) in ours {
            builder = builder.parameter(name, value).map_err(refuse)?;
        }
        Ok(builder)
    }

    fn parameter(self, name: &str, value: String) -> Result<Self, String> {
        let wrong = |what: &str| format!("has `{name}={value}` in its URL: write {what}");
        match name {
            "namespace" => Ok(self.namespace(value)),
            "schema" => Ok(self.schema(value)),
            "connections" => match value.parse() {
                Ok(connections) => Ok(self.connections(connections)),
                Err(_) => Err(wrong("a number from 2 to 8")),
            },
            "time_limit" => match humantime::parse_duration(&value) {
                Ok(limit) => Ok(self.time_limit(limit)),
                Err(error) => Err(format!("{}: {error}", wrong("a duration such as `5s`"))),
            },
            "notify" => match &*value {
                "on" => Ok(self.notify(true)),
                "off" => Ok(self.notify(false)),
                _ => Err(wrong("`on` or `off`")),
            },
            "pooled" => match &*value {
                "transaction" => Ok(self.transaction_pooling(true)),
                _ => Err(wrong("`transaction`, or nothing for a proxy that pools sessions")),
            },
            _ => match &*value {
                "true" => Ok(self.migrate(true)),
                "false" => Ok(self.migrate(false)),
                _ => Err(wrong("`true` or `false`")),
            },
        }
    }

    /// What nothing can be connected to with.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !CONNECTIONS.contains(&self.connections) {
            return Err(format!("has `connections={}`: a store has 2 to 8 of its own", self.connections));
        }
        if self.time_limit.is_zero() {
            return Err(
                "has a `time_limit` of 0, in which nothing can be answered: the default is `5s`".into()
            );
        }
        if self.namespace.contains('\0') {
            return Err("has a namespace with a zero character in it: give another one".into());
        }
        let wrong = |schema: &Text| schema.is_empty() || schema.contains('\0') || schema.len() > 63;
        if self.schema.as_ref().is_some_and(wrong) {
            return Err("has a `schema` that is no name: give one of 1 to 63 bytes".into());
        }
        Ok(())
    }

    /// The options with which connections are opened.
    pub(crate) fn session(&self) -> PgConnectOptions {
        let mut options = self.options.clone().disable_statement_logging();
        if options.get_application_name().is_none() {
            options = options.application_name("idem");
        }
        if self.pooled {
            // A setting would belong to whatever connection the proxy takes.
            return options.extra_float_digits(None).statement_cache_capacity(0);
        }
        let limit = self.time_limit - self.time_limit / 4;
        let limit = limit.as_millis().clamp(1, i32::MAX as u128).to_string();
        options.statement_cache_capacity(64).options([
            // The server gives up a little before the caller does, and says so.
            ("statement_timeout", &*limit),
            // One plan for each statement, by the indexes, whatever the tables were like when it was made.
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_seqscan", "off"),
            ("enable_bitmapscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("jit", "off"),
        ])
    }

    /// How logs call the store: its URL without a password.
    pub(crate) fn name(&self) -> Text {
        let options = &self.options;
        let mut name = match options.get_socket() {
            Some(socket) => format!("postgres://{}@{}", options.get_username(), socket.display()),
            None => {
                format!("postgres://{}@{}:{}", options.get_username(), options.get_host(), options.get_port())
            }
        };
        name.push('/');
        name.push_str(options.get_database().unwrap_or(options.get_username()));
        let mut separator = '?';
        for (parameter, value) in [
            ("schema", self.schema.as_deref()),
            ("namespace", Some(&*self.namespace).filter(|name| !name.is_empty())),
        ] {
            if let Some(value) = value {
                name.push_str(&format!("{separator}{parameter}={value}"));
                separator = '&';
            }
        }
        Text::from(name)
    }
}

/// The parameters of this store.
const OURS: [&str; 7] = ["namespace", "schema", "connections", "time_limit", "notify", "pooled", "migrate"];
/// The parameters that PostgreSQL's own programs have, too.
const THEIRS: [&str; 11] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "application_name",
    "options",
    "host",
    "port",
    "dbname",
    "user",
    "password",
];

/// A URL without what may be a password.
pub(crate) fn shown(url: &str) -> String {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let mut shown = match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, rest)), Some((_, host))) => {
            let user = rest.split([':', '@']).next().unwrap_or_default();
            format!("{scheme}://{user}@{host}")
        }
        _ => address.to_owned(),
    };
    let harmless = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("password"));
    for (index, pair) in harmless.enumerate() {
        shown.push(if index == 0 { '?' } else { '&' });
        shown.push_str(pair);
    }
    shown
}

/// Replaces `%20` and the like by what they stand for.
fn decode(text: &str) -> Result<String, String> {
    let wrong = || {
        format!("has `{text}` in its URL, where `%` is not followed by two hexadecimal digits: write `%25`")
    };
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or_else(wrong);
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => (digit(bytes.next())? << 4 | digit(bytes.next())?) as u8,
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(decoded).map_err(|_| format!("has `{text}` in its URL, which is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        let error = PostgresStoreBuilder::parse(url)
            .and_then(|builder| builder.check().map_err(|message| StoreError::refused(shown(url), message)))
            .unwrap_err();
        error.to_string()
    }

    #[test]
    fn parameters() {
        let plain = PostgresStoreBuilder::parse("postgres://ann:secret@db.example/shop").unwrap();
        assert_eq!((plain.connections, plain.time_limit), (4, Duration::from_secs(5)));
        assert!(plain.notify && !plain.pooled && !plain.migrate && plain.schema.is_none());
        assert_eq!(plain.name().as_str(), "postgres://ann@db.example:5432/shop");

        let all = "postgresql://ann:secret@db.example:6432/shop?namespace=my%20shop&connections=8&time_limit=1m+30s\
                   &notify=off&pooled=transaction&migrate=true&schema=idem&sslmode=require";
        let all = PostgresStoreBuilder::parse(all).unwrap();
        assert_eq!((all.connections, all.time_limit), (8, Duration::from_secs(90)));
        assert!(!all.notify && all.pooled && all.migrate);
        assert_eq!(all.name().as_str(), "postgres://ann@db.example:6432/shop?schema=idem&namespace=my shop");
    }

    #[test]
    fn what_is_refused_says_what_to_write_and_no_password() {
        assert!(refused("postgres://ann:secret@db/shop?name=a").starts_with(
            "the store postgres://ann@db/shop?name=a has the unknown parameter `name` in its URL"
        ));
        for (url, said) in [
            ("mysql://ann:secret@db/shop", "write `postgres://user@host/database`"),
            ("postgres://ann:secret@db/shop?connections=1", "2 to 8"),
            ("postgres://ann:secret@db/shop?connections=many", "a number from 2 to 8"),
            ("postgres://ann:secret@db/shop?time_limit=soon", "such as `5s`"),
            ("postgres://ann:secret@db/shop?time_limit=0s", "the default is `5s`"),
            ("postgres://ann:secret@db/shop?notify=yes", "`on` or `off`"),
            ("postgres://ann:secret@db/shop?pooled=session", "`transaction`"),
            ("postgres://ann:secret@db/shop?migrate=1", "`true` or `false`"),
            ("postgres://ann:secret@db/shop?schema=", "is no name"),
            ("postgres://ann:secret@db/shop?namespace=a%00", "zero character"),
            ("postgres://ann:secret@db/shop?namespace=a%0", "write `%25`"),
            ("postgres://ann:secret@db:port/shop", "its URL is not right"),
            ("postgres://ann@db:port/shop?password=secret", "its URL is not right"),
        ] {
            let refused = refused(url);
            assert!(refused.contains(said), "{refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
    }
}
