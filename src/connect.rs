//! From a URL to a store.

use idem_runtime::Error;
#[cfg(any(feature = "device", feature = "sqlite"))]
use idem_runtime::io;
use idem_runtime::store::{Handle, IntoStore, MemoryStore};

/// Where a URL leads to.
enum Kind {
    Memory(MemoryStore),
    #[cfg(feature = "sqlite")]
    Sqlite(String),
    #[cfg(feature = "device")]
    Device(String),
}

/// Connects to the store that a URL names, and checks everything that can be checked now: a service does so
/// when it starts, so that a wrong URL shows there.
///
/// | URL | store | feature |
/// | --- | --- | --- |
/// | `memory:` | [`MemoryStore`]; `?max_records=N`, `?max_bytes=N` | |
/// | `http://HOST:PORT`, `https://HOST` | `DeviceStore`; `?send=token`, `?time_limit=5s`; the key in `IDEM_DEVICE_KEY` | `device` |
/// | `sqlite:FILE` | `SqliteStore`; `?synchronous=normal`, `?namespace=NAME`, `?time_limit=5s` | `sqlite` |
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
    match kind(url)? {
        Kind::Memory(store) => Ok((&store).into_store()),
        #[cfg(any(feature = "device", feature = "sqlite"))]
        kind => io().block(move || open(kind)).await,
    }
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
    open(kind(url)?)
}

fn open(kind: Kind) -> Result<Handle, Error> {
    match kind {
        Kind::Memory(store) => Ok((&store).into_store()),
        #[cfg(feature = "sqlite")]
        Kind::Sqlite(url) => match idem_sqlite::SqliteStore::open(&url) {
            Ok(store) => Ok((&store).into_store()),
            Err(error) => Err(Error::connecting(error)),
        },
        #[cfg(feature = "device")]
        Kind::Device(url) => match idem_device_client::DeviceStore::connect_blocking(&url) {
            Ok(store) => Ok((&store).into_store()),
            Err(error) => Err(Error::connecting(error)),
        },
    }
}

fn kind(url: &str) -> Result<Kind, Error> {
    let misuse = |message: String| Error::misuse("idem::connect", message);
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err(misuse(format!(
            "`{}` is not a store's URL: write `memory:` or `sqlite:FILE`",
            shown(url)
        )));
    };
    match scheme {
        "memory" => memory(rest).map(Kind::Memory).map_err(misuse),
        #[cfg(feature = "sqlite")]
        "sqlite" => Ok(Kind::Sqlite(url.to_owned())),
        #[cfg(not(feature = "sqlite"))]
        "sqlite" => Err(misuse(
            "`sqlite:` needs the feature `sqlite`, which is not compiled in: `cargo add idem-rs --features sqlite`"
                .to_owned(),
        )),
        #[cfg(feature = "device")]
        "http" | "https" => Ok(Kind::Device(url.to_owned())),
        #[cfg(not(feature = "device"))]
        "http" | "https" => Err(misuse(
            "a device's URL needs the feature `device`, which is not compiled in: `cargo add idem-rs --features device`"
                .to_owned(),
        )),
        _ => Err(misuse(format!(
            "there is no store for `{scheme}:`; write `memory:` or `sqlite:FILE`"
        ))),
    }
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
