//! Who may ask: keys, each of one namespace, kept hashed in a file that may change while the device runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use idem::Text;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// The keys of a file.
#[derive(Debug, Default)]
pub(crate) struct Keys(Vec<Key>);

/// One line: the SHA-256 of a key, and whose it is.
///
/// Keys are 32 random bytes, so that a plain hash is enough: there is nothing to guess.
#[derive(Debug)]
struct Key {
    hash: [u8; 32],
    namespace: Text,
}

/// Why a file is not one of keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    #[error("the key file {0} cannot be read: {1}")]
    Read(PathBuf, std::io::Error),
    #[error("the key file {0}, line {1}: {2}; `idem key NAMESPACE` makes a line")]
    Line(PathBuf, usize, &'static str),
    #[error("the key file {0} has no keys: nobody could ask anything; `idem key NAMESPACE` makes a line")]
    Empty(PathBuf),
}

impl Keys {
    fn read(path: &Path) -> Result<Self, KeyFileError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| KeyFileError::Read(path.to_owned(), error))?;
        let mut keys = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let key = parse(line).map_err(|what| KeyFileError::Line(path.to_owned(), number + 1, what))?;
            keys.push(key);
        }
        if keys.is_empty() { Err(KeyFileError::Empty(path.to_owned())) } else { Ok(Keys(keys)) }
    }

    /// The namespace of a key. How long this takes depends on how many keys there are, and on nothing else.
    fn find(&self, key: &str) -> Option<Text> {
        let hash: [u8; 32] = Sha256::digest(key).into();
        let mut found = u32::MAX;
        for (index, known) in (0_u32..).zip(&self.0) {
            let same: Choice = known.hash.ct_eq(&hash);
            found = u32::conditional_select(&found, &index, same);
        }
        self.0.get(found as usize).map(|key| key.namespace.clone())
    }

    pub(crate) fn has(&self, namespace: &str) -> bool {
        self.0.iter().any(|key| *key.namespace == *namespace)
    }
}

fn parse(line: &str) -> Result<Key, &'static str> {
    let Some((namespace, hash)) = line.split_once(char::is_whitespace) else {
        return Err("a namespace and a hash are expected, with a space between them");
    };
    check_namespace(namespace)?;
    let digits =
        hash.trim().strip_prefix("sha256:").ok_or("a hash that begins with `sha256:` is expected")?;
    // A token is the same: 32 bytes in hexadecimal.
    let hash: idem::Token = digits.parse().map_err(|_| "a hash has 64 hexadecimal digits")?;
    Ok(Key { hash: *hash.as_bytes(), namespace: Text::from(namespace.to_owned()) })
}

/// What a namespace may be: it stands in files, URLs and logs.
pub(crate) fn check_namespace(namespace: &str) -> Result<(), &'static str> {
    let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
    if namespace.is_empty() || namespace.len() > 64 || !namespace.chars().all(fits) {
        return Err("a namespace has 1 to 64 letters, digits, `-`, `_` and `.`");
    }
    Ok(())
}

/// A new key, and its line in the file.
pub(crate) fn make(namespace: &str) -> Result<(String, String), Box<dyn std::error::Error>> {
    check_namespace(namespace)?;
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    let key = format!("idem_{}", URL_SAFE_NO_PAD.encode(random));
    let hash = idem::Token::from_bytes(Sha256::digest(&key).into());
    Ok((key, format!("{namespace} sha256:{hash}")))
}

/// A file of keys, read again when it changes.
pub(crate) struct KeyFile {
    path: PathBuf,
    now: RwLock<(Stamp, Arc<Keys>)>,
}

/// What shows that a file is another one.
type Stamp = Option<(SystemTime, u64)>;

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

impl KeyFile {
    pub(crate) fn open(path: &Path) -> Result<Self, KeyFileError> {
        let stamp = stamp(path);
        let keys = Arc::new(Keys::read(path)?);
        Ok(KeyFile { path: path.to_owned(), now: RwLock::new((stamp, keys)) })
    }

    pub(crate) fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// The namespace of the key in an `Authorization` header.
    pub(crate) fn find(&self, authorization: Option<&str>) -> Option<Text> {
        let (scheme, key) = authorization?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        self.keys().find(key.trim())
    }

    /// Reads the file again if it has changed. A file that is not one of keys changes nothing.
    pub(crate) fn look(&self) {
        let stamp = stamp(&self.path);
        if self.now.read().unwrap_or_else(PoisonError::into_inner).0 == stamp {
            return;
        }
        let read = Keys::read(&self.path);
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        now.0 = stamp;
        match read {
            Ok(keys) => {
                tracing::info!(keys = keys.0.len(), file = %self.path.display(), "the key file was read again");
                now.1 = Arc::new(keys);
            }
            Err(error) => tracing::error!(%error, "the keys stay as they were"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyFile, make};

    #[test]
    fn a_key_is_found_by_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let (shop, shop_line) = make("shop").unwrap();
        let (bank, bank_line) = make("bank").unwrap();
        std::fs::write(&path, format!("# who may ask\n\n{shop_line}\n  {bank_line} # since May\n")).unwrap();
        let file = KeyFile::open(&path).unwrap();
        let find = |key: &str| file.find(Some(&format!("Bearer {key}"))).map(|text| text.to_string());
        assert_eq!(find(&shop).as_deref(), Some("shop"));
        assert_eq!(find(&bank).as_deref(), Some("bank"));
        assert_eq!(find(&shop[1..]), None);
        assert_eq!(find(shop_line.split_once(' ').unwrap().1), None);
        assert_eq!(file.find(Some(&shop)), None);
        assert_eq!(file.find(Some(&format!("Basic {shop}"))), None);
        assert_eq!(file.find(None), None);
    }

    #[test]
    fn what_is_no_key_file_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let (shop, shop_line) = make("shop").unwrap();
        let shop = format!("Bearer {shop}");
        std::fs::write(&path, &shop_line).unwrap();
        let file = KeyFile::open(&path).unwrap();
        for wrong in ["", "shop", "shop sha256:12", "shop 12", "sh/op sha256:00", "# nothing"] {
            std::fs::write(&path, wrong).unwrap();
            assert!(KeyFile::open(&path).is_err(), "{wrong}");
            file.look();
            assert!(file.find(Some(&shop)).is_some(), "{wrong}");
        }
        let (_, other) = make("shop").unwrap();
        std::fs::write(&path, format!("{other}\n# another length")).unwrap();
        file.look();
        assert_eq!(file.find(Some(&shop)), None);
    }
}
