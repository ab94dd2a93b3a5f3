//! What can be set: by a URL or by a builder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use idem_runtime::Text;
use idem_runtime::store::StoreError;

use crate::SqliteStore;

/// How much a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Synchronous {
    /// Every commit is on the disk before it is answered: records survive a power cut (durability class
    /// `synced`).
    #[default]
    Full,
    /// The operating system writes when it likes: records survive the end of the process, and a power cut
    /// may lose the last ones, so that a body runs again (durability class `machine`).
    Normal,
}

/// A store that is being described; [`SqliteStore::builder`] begins one.
#[derive(Debug, Clone)]
#[must_use = "`open` opens the store"]
pub struct SqliteStoreBuilder {
    pub(crate) path: PathBuf,
    pub(crate) synchronous: Synchronous,
    pub(crate) namespace: Text,
    pub(crate) time_limit: Duration,
}

impl SqliteStoreBuilder {
    pub(crate) fn new(path: PathBuf) -> Self {
        SqliteStoreBuilder {
            path,
            synchronous: Synchronous::default(),
            namespace: Text::EMPTY,
            time_limit: Duration::from_secs(5),
        }
    }

    /// How much a commit waits for the disk; default [`Synchronous::Full`].
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// Keeps applications in one file apart; default: none.
    pub fn namespace(mut self, namespace: impl Into<Text>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// How long a request may wait for other processes that write, and for the disk; default 5 seconds. One that is
    /// being written by then is answered as [lost](idem_runtime::store::Fault::Lost), and is carried out all the same
    /// as soon as the disk goes on.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Opens the file, and makes it if it is not there.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open(self) -> Result<SqliteStore, StoreError> {
        SqliteStore::with(self)
    }

    /// What the text that [`SqliteStore::open`] takes says.
    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        let refuse = |message: String| StoreError::refused(text.to_owned(), message);
        let (is_url, rest) = match text.strip_prefix("sqlite:") {
            Some(rest) => (true, rest.strip_prefix("//").unwrap_or(rest)),
            None => (false, text),
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = if is_url { decode(path).map_err(refuse)? } else { path.to_owned() };
        let mut builder = SqliteStoreBuilder::new(PathBuf::from(path));
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value).map_err(refuse)?;
            builder = builder.parameter(name, &value).map_err(refuse)?;
        }
        Ok(builder)
    }

    fn parameter(self, name: &str, value: &str) -> Result<Self, String> {
        match name {
            "synchronous" => match value {
                "full" => Ok(self.synchronous(Synchronous::Full)),
                "normal" => Ok(self.synchronous(Synchronous::Normal)),
                _ => Err(format!("has `synchronous={value}` in its URL: write `full` or `normal`")),
            },
            "namespace" => Ok(self.namespace(value.to_owned())),
            "time_limit" => match humantime::parse_duration(value) {
                Ok(limit) => Ok(self.time_limit(limit)),
                Err(error) => Err(format!(
                    "has `time_limit={value}` in its URL, which is not a duration such as `5s`: {error}"
                )),
            },
            "mode" if value == "memory" => Err(IN_MEMORY.to_owned()),
            _ => Err(format!(
                "has the unknown parameter `{name}` in its URL: known are `synchronous`, `namespace` and `time_limit`"
            )),
        }
    }

    /// What no file can be opened with.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.path.as_os_str().is_empty() {
            return Err(
                "names no file: write `sqlite:orders.db`, or `memory:` for a store without a file".into()
            );
        }
        if is_in_memory(&self.path) {
            return Err(IN_MEMORY.into());
        }
        if self.time_limit.is_zero() {
            return Err(
                "has a `time_limit` of 0, in which nothing can be answered: the default is `5s`".into()
            );
        }
        Ok(())
    }
}

/// How logs call a namespace of a file.
pub(crate) fn name(path: &Path, namespace: &str) -> Text {
    let mut name = format!("sqlite:{}", path.display());
    if !namespace.is_empty() {
        name.push_str("?namespace=");
        name.push_str(namespace);
    }
    Text::from(name)
}

const IN_MEMORY: &str = "is SQLite without a file, which its connections do not share: \
                         use the memory store, `memory:`";

fn is_in_memory(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path == ":memory:" || path == "file::memory:")
}

/// Replaces `%20` and the like by what they stand for.
fn decode(text: &str) -> Result<String, String> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let wrong = || {
        format!("has `{text}` in its URL, where `%` is not followed by two hexadecimal digits: write `%25`")
    };
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or_else(wrong);
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let value = digit(bytes.next())? << 4 | digit(bytes.next())?;
            decoded.push(value as u8);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded)
        .map_err(|_| format!("has `{text}` in its URL, which is not UTF-8: use the builder"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        let error = SqliteStoreBuilder::parse(url)
            .and_then(|builder| {
                builder.check().map_err(|message| StoreError::refused(url.to_owned(), message))
            })
            .unwrap_err();
        error.to_string()
    }

    #[test]
    fn the_path_is_what_stands_between_the_scheme_and_the_parameters() {
        for (url, path) in [
            ("sqlite:orders.db", "orders.db"),
            ("sqlite:data/orders.db", "data/orders.db"),
            ("sqlite://orders.db", "orders.db"),
            ("sqlite:///var/lib/orders.db", "/var/lib/orders.db"),
            ("sqlite:/var/lib/orders.db", "/var/lib/orders.db"),
            ("sqlite:my%20orders%3F.db?namespace=shop", "my orders?.db"),
            ("orders.db", "orders.db"),
            ("100%25.db?namespace=shop", "100%25.db"),
        ] {
            assert_eq!(SqliteStoreBuilder::parse(url).unwrap().path, Path::new(path), "{url}");
        }
    }

    #[test]
    fn parameters() {
        let plain = SqliteStoreBuilder::parse("sqlite:a.db").unwrap();
        assert_eq!(plain.synchronous, Synchronous::Full);
        assert_eq!((plain.namespace.as_str(), plain.time_limit), ("", Duration::from_secs(5)));
        assert_eq!(name(&plain.path, &plain.namespace).as_str(), "sqlite:a.db");

        let all = "sqlite:a.db?synchronous=normal&namespace=my%20shop&time_limit=1m%2030s";
        let all = SqliteStoreBuilder::parse(all).unwrap();
        assert_eq!(all.synchronous, Synchronous::Normal);
        assert_eq!((all.namespace.as_str(), all.time_limit), ("my shop", Duration::from_secs(90)));
        assert_eq!(name(&all.path, &all.namespace).as_str(), "sqlite:a.db?namespace=my shop");
    }

    #[test]
    fn what_is_refused_says_what_to_write() {
        assert_eq!(
            refused("sqlite:a.db?sync=normal"),
            "the store sqlite:a.db?sync=normal has the unknown parameter `sync` in its URL: \
             known are `synchronous`, `namespace` and `time_limit`"
        );
        assert!(refused("sqlite:a.db?mode=ro").contains("the unknown parameter `mode`"));
        assert!(refused("sqlite:a.db?synchronous=off").contains("write `full` or `normal`"));
        assert!(refused("sqlite:a.db?time_limit=soon").contains("such as `5s`"));
        assert!(refused("sqlite:a.db?time_limit=0s").contains("the default is `5s`"));
        assert!(refused("sqlite:a%2.db").contains("write `%25`"));
        assert!(refused("sqlite:").contains("names no file"));
        for url in [
            "sqlite::memory:",
            "sqlite://:memory:",
            ":memory:",
            "sqlite:file::memory:",
            "sqlite:a?mode=memory",
        ] {
            assert!(refused(url).contains("`memory:`"), "{url}");
        }
    }
}
