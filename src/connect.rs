//! From a URL to a store.

use idem_runtime::store::{Handle, IntoStore, MemoryStore, StoreError};
use idem_runtime::{Error, io};

/// Connects, and blocks meanwhile.
type Open = fn(&str) -> Result<Handle, StoreError>;

/// A kind of store that this library knows, whether it is compiled in or not.
struct Known {
    schemes: &'static [&'static str],
    /// How its URLs are written.
    written: &'static str,
    feature: &'static str,
    /// Nothing if the feature is not compiled in.
    open: Option<Open>,
}

/// How a store is opened if its feature is compiled in.
macro_rules! open {
    ($feature:literal, $open:path) => {{
        #[cfg(feature = $feature)]
        let open: Option<Open> = Some(|url| $open(url).map(IntoStore::into_store));
        #[cfg(not(feature = $feature))]
        let open = None;
        open
    }};
}

const KNOWN: &[Known] = &[
    Known {
        schemes: &["sqlite"],
        written: "sqlite:FILE",
        feature: "sqlite",
        open: open!("sqlite", idem_sqlite::SqliteStore::open),
    },
    Known {
        schemes: &[
            "redis",
            "rediss",
            "redis-cluster",
            "rediss-cluster",
            "redis+unix",
            "unix",
            "valkey",
            "valkeys",
            "valkey-cluster",
            "valkeys-cluster",
            "valkey+unix",
        ],
        written: "redis://HOST",
        feature: "redis",
        open: open!("redis", idem_redis::RedisStore::connect_blocking),
    },
    Known {
        schemes: &["postgres", "postgresql"],
        written: "postgres://USER@HOST/DATABASE",
        feature: "postgres",
        open: open!("postgres", idem_postgres::PostgresStore::connect_blocking),
    },
    Known {
        schemes: &["http", "https"],
        written: "http://HOST:PORT",
        feature: "device",
        open: open!("device", idem_device_client::DeviceStore::connect_blocking),
    },
];

/// Connects to the store that a URL names, and checks everything that can be checked now: a service does so
/// when it starts, so that a wrong URL shows there.
///
/// | URL | store | feature |
/// | --- | --- | --- |
/// | `memory:` | [`MemoryStore`]; `?max_records=N`, `?max_bytes=N` | |
/// | `sqlite:FILE` | `SqliteStore`; `?synchronous=normal`, `?namespace=NAME`, `?time_limit=5s` | `sqlite` |
/// | `redis://HOST:PORT`, `rediss://…`, `redis-cluster://…`, `rediss-cluster://…`, `redis+unix:///PATH` | `RedisStore`; see [its page](crate::guide::redis) | `redis` |
/// | `postgres://USER:PASSWORD@HOST/DATABASE` | `PostgresStore`; see [its page](crate::guide::postgres) | `postgres` |
/// | `http://HOST:PORT`, `https://HOST` | `DeviceStore`; see [the device's page](crate::guide::device) | `device` |
///
/// # Errors
/// [`Error::Misuse`] for a URL of no store, or of one whose feature is not compiled in; [`Error::Store`] if the
/// store cannot be opened. Dropped, it may have created the file that the URL names.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), idem::Error> {
/// let store = idem::connect("memory:").await?;
/// assert_eq!(&*store.profile().name, "memory:");
/// # Ok(()) }
/// ```
pub async fn connect(url: &str) -> Result<Handle, Error> {
    if url.starts_with("memory:") {
        return connect_blocking(url);
    }
    let url = url.to_owned();
    io().block(move || connect_blocking(&url)).await
}

/// As [`connect`], for programs without a runtime: blocks this thread.
///
/// # Errors
/// As [`connect`].
///
/// ```
/// assert!(idem::connect_blocking("mermory:").unwrap_err().to_string().contains("memory:"));
/// ```
pub fn connect_blocking(url: &str) -> Result<Handle, Error> {
    let misuse = |message: String| Error::misuse("idem::connect", message);
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err(misuse(format!("`{}` is not a store's URL: write {}", shown(url), written())));
    };
    if scheme == "memory" {
        return memory(rest).map(IntoStore::into_store).map_err(misuse);
    }
    match KNOWN.iter().find(|known| known.schemes.contains(&scheme)) {
        Some(Known { open: Some(open), .. }) => open(url).map_err(Error::connecting),
        Some(Known { feature, .. }) => Err(misuse(format!(
            "`{scheme}:` needs the feature `{feature}`, which is not compiled in: `cargo add idem-rs --features {feature}`"
        ))),
        None => Err(misuse(format!("there is no store for `{scheme}:`; write {}", written()))),
    }
}

/// How the URLs of all stores are written.
fn written() -> String {
    let others: Vec<_> = KNOWN.iter().map(|known| format!("`{}`", known.written)).collect();
    format!("`memory:` or {}", others.join(", "))
}

/// The memory store's limits.
fn memory(rest: &str) -> Result<MemoryStore, String> {
    let parameters = match rest.split_once('?') {
        Some(("", parameters)) => parameters,
        None if rest.is_empty() => "",
        _ => return Err(format!("`memory:{rest}`: a memory store has no name; write `memory:`")),
    };
    let mut builder = MemoryStore::builder();
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let number =
            || value.parse().map_err(|_| format!("`memory:?{name}={value}`: `{name}` is a whole number"));
        builder = match name {
            "max_records" => builder.max_records(number()?),
            "max_bytes" => builder.max_bytes(number()?),
            _ => {
                return Err(format!(
                    "`memory:` has no parameter `{name}`; it has `max_records` and `max_bytes`"
                ));
            }
        };
    }
    Ok(builder.build())
}

/// A URL without what may be a password.
fn shown(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, after)| after)
}
