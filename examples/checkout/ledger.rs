//! What was really charged: a file that only grows, one charge a line.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::shop::Receipt;

/// The first line: whose ledger it is, and which store has the records that go with it.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    shop: String,
    store: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Charge {
    pub event: String,
    pub order: String,
    #[serde(flatten)]
    pub receipt: Receipt,
}

pub struct Ledger {
    path: PathBuf,
    shop: String,
    file: File,
}

impl Ledger {
    /// Goes on with the ledger in this folder, or begins one.
    pub fn open(folder: &Path, store: &str, fresh: bool) -> Result<Self, String> {
        let path = folder.join("ledger.jsonl");
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        if fresh {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
        if !path.exists() {
            begin(&path, store).map_err(failed)?;
        }
        let head = fs::read_to_string(&path).map_err(failed)?;
        let head: Head = serde_json::from_str(head.lines().next().unwrap_or_default())
            .map_err(|error| format!("{} is not a ledger of this program: {error}", path.display()))?;
        if head.store != store {
            return Err(format!(
                "{} goes with the records in {}, not with those in {store}: write --fresh to begin another one",
                path.display(),
                head.store
            ));
        }
        let file = OpenOptions::new().append(true).open(&path).map_err(failed)?;
        Ok(Ledger { path, shop: head.shop, file })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Another one for each ledger, so that a new ledger begins with no records.
    pub fn shop(&self) -> &str {
        &self.shop
    }

    /// One write to a file opened for appending: whole or not there, whoever else writes and whatever is killed.
    pub fn append(&self, charge: &Charge) -> io::Result<()> {
        (&self.file).write_all(&line(charge)?)
    }

    /// The charges of each event.
    pub fn read(&self) -> Result<HashMap<String, Vec<Charge>>, String> {
        let text =
            fs::read_to_string(&self.path).map_err(|error| format!("{}: {error}", self.path.display()))?;
        let mut charges: HashMap<_, Vec<_>> = HashMap::new();
        for (index, line) in text.lines().enumerate().skip(1) {
            let charge: Charge = serde_json::from_str(line)
                .map_err(|error| format!("{}, line {}: {error}", self.path.display(), index + 1))?;
            charges.entry(charge.event.clone()).or_default().push(charge);
        }
        Ok(charges)
    }
}

/// Makes the file with its first line in it, unless another process is quicker.
fn begin(path: &Path, store: &str) -> io::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let head = Head { shop: format!("shop-{}", now.as_nanos()), store: store.to_owned() };
    let draft = path.with_extension(std::process::id().to_string());
    fs::write(&draft, line(&head)?)?;
    let made = match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    fs::remove_file(&draft)?;
    made
}

fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}
