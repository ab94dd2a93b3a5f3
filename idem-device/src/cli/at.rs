//! Which store a command looks at: a device, or any store without one. Both are asked in the same way.

use std::path::PathBuf;

use clap::Args;
use idem::store::{Handle, Store as _};

use super::Failure;
use super::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct At {
    /// The device (http://HOST:PORT, with its key in IDEM_DEVICE_KEY), or any store's URL.
    #[arg(long, short, env = "IDEM_STORE", hide_env_values = true, value_name = "URL")]
    store: Option<String>,
    /// The namespace, where the URL has none; a device's key says which one it is.
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
    /// Print JSON, for programs.
    #[arg(long)]
    pub(super) json: bool,
}

impl At {
    /// The URL, with the namespace in it.
    pub(super) fn url(&self) -> Result<String, Failure> {
        let url = self.store.as_deref().filter(|url| !url.trim().is_empty()).ok_or_else(|| {
            Exit::usage(
                "which store? --store http://HOST:PORT for a device, or a store's URL such as sqlite:orders.db; \
                 IDEM_STORE says it for all commands",
            )
        })?;
        let Some(namespace) = &self.namespace else { return Ok(url.to_owned()) };
        if is_device(url) {
            return Err(
                Exit::usage("a device's key says which namespace it opens: leave --namespace out").into()
            );
        }
        if crate::stores::has_namespace(url) {
            return Err(Exit::usage("the URL has a namespace, too: leave one of them out").into());
        }
        let encoded: String = form_urlencoded::byte_serialize(namespace.as_bytes()).collect();
        // A space is `%20` wherever URLs are read, and `+` only in forms.
        let encoded = encoded.replace('+', "%20");
        Ok(format!("{url}{}namespace={encoded}", if url.contains('?') { '&' } else { '?' }))
    }

    /// Connects to it.
    pub(super) async fn connect(&self) -> Result<Handle, Failure> {
        let url = self.url()?;
        if url.starts_with("memory:") {
            let what = "a memory store is in one process, and this is another one: name the device or the store \
                        where the records are";
            return Err(Exit::usage(what).into());
        }
        // A look must not make a file: its name is misspelled.
        if let Some(file) = sqlite_file(&url).filter(|file| !file.exists()) {
            let what = format!("there is no file {}: `idem migrate` makes an empty one", file.display());
            return Err(what.into());
        }
        Ok(idem::connect(&url).await?)
    }
}

/// Whether a URL names a device.
pub(super) fn is_device(url: &str) -> bool {
    url.starts_with("http:") || url.starts_with("https:")
}

/// The file that an SQLite store's URL names.
pub(super) fn sqlite_file(url: &str) -> Option<PathBuf> {
    let rest = url.strip_prefix("sqlite:")?;
    let path = rest.strip_prefix("//").unwrap_or(rest).split('?').next()?;
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
    (!decoded.is_empty()).then(|| PathBuf::from(&*decoded))
}

/// What a store is called: its URL without a password.
pub(super) fn name(store: &Handle) -> &str {
    &store.profile().name
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{At, sqlite_file};

    #[test]
    fn the_namespace_becomes_a_part_of_the_url() {
        let url = |store: &str, namespace: &str| {
            let at = At { store: Some(store.into()), namespace: Some(namespace.into()), json: false };
            at.url().map_err(|error| error.to_string())
        };
        assert_eq!(url("sqlite:a.db", "shop").unwrap(), "sqlite:a.db?namespace=shop");
        assert_eq!(
            url("sqlite:a.db?time_limit=1s", "a b&c").unwrap(),
            "sqlite:a.db?time_limit=1s&namespace=a%20b%26c"
        );
        assert!(url("sqlite:a.db?namespace=bank", "shop").unwrap_err().contains("leave one of them out"));
        assert!(url("http://localhost:4336", "shop").unwrap_err().contains("key"));
    }

    #[test]
    fn the_file_of_a_url() {
        assert_eq!(
            sqlite_file("sqlite:my%20orders.db?namespace=x").as_deref(),
            Some(Path::new("my orders.db"))
        );
        assert_eq!(sqlite_file("sqlite:///var/a.db").as_deref(), Some(Path::new("/var/a.db")));
        assert_eq!(sqlite_file("redis://localhost"), None);
    }
}
