//! What describes a device: its URL, and what the builder sets.

use std::fmt;
use std::time::Duration;

use hyper::Uri;
use idem_runtime::io;
use idem_runtime::store::{Reply, StoreError};

use crate::DeviceStore;

/// What a claim carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Send {
    /// The arguments that make the token, which the device makes itself.
    #[default]
    Arguments,
    /// The token alone: no argument leaves the service.
    Token,
}

/// The environment variable with the key.
const KEY: &str = "IDEM_DEVICE_KEY";

/// A device that is being described; [`DeviceStore::builder`] begins one.
#[derive(Clone)]
#[must_use = "`connect` connects to the device"]
pub struct DeviceStoreBuilder {
    pub(crate) url: String,
    pub(crate) key: Option<String>,
    pub(crate) send: Send,
    pub(crate) time_limit: Duration,
}

impl DeviceStoreBuilder {
    pub(crate) fn new(url: String) -> Self {
        DeviceStoreBuilder { url, key: None, send: Send::default(), time_limit: Duration::from_secs(5) }
    }

    /// The key that the device knows the service by; default: none.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// What a claim carries; default [`Send::Arguments`].
    pub fn send(mut self, send: Send) -> Self {
        self.send = send;
        self
    }

    /// How long a request may take; default 5 seconds.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Connects to the device, and asks it once what it is.
    ///
    /// # Errors
    /// As [`DeviceStore::connect`].
    pub async fn connect(self) -> Result<DeviceStore, StoreError> {
        DeviceStore::with(self.parameters()?).await
    }

    /// As [`DeviceStoreBuilder::connect`], for programs without a runtime: blocks this thread.
    ///
    /// # Errors
    /// As [`DeviceStore::connect`].
    pub fn connect_blocking(self) -> Result<DeviceStore, StoreError> {
        let name = shown(&self.url).to_owned();
        let (sender, receiver) = std::sync::mpsc::channel();
        drop(io().spawn(name.clone(), async move {
            // Nobody may be waiting any more.
            let _ = sender.send(self.connect().await);
            Ok(Reply::Released)
        }));
        let lost = |_| Err(StoreError::lost(name, "was not asked to the end; ask again"));
        receiver.recv().unwrap_or_else(lost)
    }

    /// What the text that [`DeviceStore::connect`] takes says, with the key from the environment.
    pub(crate) fn parse(url: &str) -> Result<Self, StoreError> {
        let builder = DeviceStoreBuilder::new(url.to_owned());
        match std::env::var(KEY) {
            Ok(key) if !key.trim().is_empty() => Ok(builder.key(key.trim())),
            Err(std::env::VarError::NotUnicode(_)) => Err(StoreError::refused(
                shown(url).to_owned(),
                "has a key in IDEM_DEVICE_KEY that is not Unicode",
            )),
            _ => Ok(builder),
        }
    }

    /// Takes the parameters out of the URL.
    fn parameters(mut self) -> Result<Self, StoreError> {
        let name = shown(&self.url).to_owned();
        let refuse = |message: String| StoreError::refused(name.clone(), message);
        let (place, query) = match self.url.split_once('?') {
            Some((place, query)) => (place.to_owned(), query.to_owned()),
            None => (self.url.clone(), String::new()),
        };
        let uri: Uri = place.parse().map_err(|error| refuse(format!("is not a URL: {error}")))?;
        let scheme = uri.scheme_str().unwrap_or_default();
        if !matches!(scheme, "http" | "https") {
            return Err(refuse(
                "is not the URL of a device: write `http://HOST:PORT` or `https://HOST`".into(),
            ));
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(refuse(format!("has a user name in its URL: the key is set as {KEY}")));
        }
        self.url = place.trim_end_matches('/').to_owned();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (parameter, value) = pair.split_once('=').unwrap_or((pair, ""));
            match parameter {
                "send" => {
                    self.send = match value {
                        "arguments" => Send::Arguments,
                        "token" => Send::Token,
                        _ => {
                            return Err(refuse(format!(
                                "has `send={value}` in its URL: write `arguments` or `token`"
                            )));
                        }
                    };
                }
                "time_limit" => {
                    self.time_limit = humantime::parse_duration(value).map_err(|error| {
                        refuse(format!("has `time_limit={value}` in its URL, which is not a duration such as `5s`: {error}"))
                    })?;
                }
                "namespace" => {
                    return Err(refuse(
                        "has a namespace in its URL: at a device, the namespace is that of the key".into(),
                    ));
                }
                _ => {
                    return Err(refuse(format!(
                        "has the unknown parameter `{parameter}` in its URL: known are `send` and `time_limit`"
                    )));
                }
            }
        }
        if self.time_limit.is_zero() {
            return Err(refuse(
                "has a `time_limit` of 0, in which nothing can be answered: the default is `5s`".into(),
            ));
        }
        Ok(self)
    }
}

/// Without the key.
impl fmt::Debug for DeviceStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceStoreBuilder")
            .field("url", &shown(&self.url))
            .field("key", &self.key.as_ref().map(|_| "…"))
            .field("send", &self.send)
            .field("time_limit", &self.time_limit)
            .finish()
    }
}

/// A URL without what may be a password.
fn shown(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, after)| after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<DeviceStoreBuilder, String> {
        DeviceStoreBuilder::new(url.to_owned()).parameters().map_err(|error| error.to_string())
    }

    #[test]
    fn parameters() {
        let plain = read("http://127.0.0.1:4336/").unwrap();
        assert_eq!((plain.url.as_str(), plain.send), ("http://127.0.0.1:4336", Send::Arguments));
        let all = read("https://example.com/idem?send=token&time_limit=1m").unwrap();
        assert_eq!((all.url.as_str(), all.send), ("https://example.com/idem", Send::Token));
        assert_eq!(all.time_limit, Duration::from_secs(60));
    }

    #[test]
    fn what_is_refused_says_what_to_write() {
        for (url, said) in [
            ("ftp://a", "the store ftp://a is not"),
            ("ftp://a", "write `http://HOST:PORT`"),
            ("http://", "is not a URL"),
            ("http://a?send=all", "write `arguments` or `token`"),
            ("http://a?time_limit=soon", "such as `5s`"),
            ("http://a?time_limit=0s", "the default is `5s`"),
            ("http://a?namespace=shop", "that of the key"),
            ("http://a?b=c", "known are `send` and `time_limit`"),
            ("http://me:secret@a", "IDEM_DEVICE_KEY"),
            ("http://me:secret@a", "the store a has"),
        ] {
            let error = read(url).unwrap_err();
            assert!(error.contains(said) && !error.contains("secret"), "{url}: {error}");
        }
    }

    #[test]
    fn the_key_is_not_shown() {
        let builder = DeviceStoreBuilder::new("http://a".into()).key("idem_secret");
        assert!(!format!("{builder:?}").contains("secret"));
    }
}
