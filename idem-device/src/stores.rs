//! The device's store, and in it one namespace for each key's records.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use idem::store::{Durability, Handle, IntoStore};
use idem::{Error, SqliteStore, Text};
use tokio::sync::OnceCell;

use crate::keys::Keys;

/// A store, and its namespaces, which are opened when they are first asked for.
pub(crate) struct Stores {
    base: Handle,
    url: String,
    sqlite: Option<SqliteStore>,
    open: Mutex<HashMap<Text, Arc<OnceCell<Handle>>>>,
}

impl Stores {
    /// Connects, so that a wrong URL shows at once.
    pub(crate) async fn connect(url: &str) -> Result<Self, Error> {
        // Its namespaces share one file, one thread and their commits.
        let sqlite = match url.strip_prefix("sqlite:") {
            Some(_) => {
                let url = url.to_owned();
                let opened = idem::io().block(move || SqliteStore::open(&url)).await;
                Some(opened.map_err(Error::connecting)?)
            }
            None => None,
        };
        let base = match &sqlite {
            Some(store) => store.into_store(),
            None => idem::connect(url).await?,
        };
        Ok(Stores { base, url: url.to_owned(), sqlite, open: Mutex::default() })
    }

    /// The store without a namespace of a key's.
    pub(crate) fn base(&self) -> &Handle {
        &self.base
    }

    /// A namespace of the store.
    pub(crate) async fn namespace(&self, namespace: &Text) -> Result<Handle, Error> {
        let cell = Arc::clone(self.lock().entry(namespace.clone()).or_default());
        cell.get_or_try_init(|| self.open(namespace)).await.cloned()
    }

    async fn open(&self, namespace: &Text) -> Result<Handle, Error> {
        if let Some(store) = &self.sqlite {
            return Ok((&store.with_namespace(namespace.clone())).into_store());
        }
        if self.url.starts_with("memory:") {
            // A memory store is one namespace; its limits hold for each of them.
            return idem::connect(&self.url).await;
        }
        let join = if self.url.contains('?') { '&' } else { '?' };
        idem::connect(&format!("{}{join}namespace={namespace}", self.url)).await
    }

    /// Closes the namespaces that have no key any more; but not in memory, where that would be the end of their records.
    pub(crate) fn keep(&self, keys: &Keys) {
        if self.base.profile().durability == Durability::Process {
            return;
        }
        self.lock().retain(|namespace, _| keys.has(namespace));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Text, Arc<OnceCell<Handle>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What belongs to keys is not also said in the URL.
pub(crate) fn has_namespace(url: &str) -> bool {
    url.split_once('?').is_some_and(|(_, query)| query.split('&').any(|pair| pair.starts_with("namespace=")))
}
