//! Where the servers' programs are.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The first of these programs that is in one of these folders or, if there are none, on `PATH`.
///
/// # Panics
/// If there is none and `IDEM_REQUIRE_SERVERS` is `1`.
pub(crate) fn find(names: &[&str], folders: &[PathBuf]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).collect::<Vec<_>>();
    let everywhere = on_path.iter().chain(folders);
    let found = everywhere
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|program| program.is_file());
    if found.is_none() {
        missing(names);
    }
    found
}

/// Says loudly that a program is not there. Not with a macro: a test's output is captured, and this must be seen.
fn missing(names: &[&str]) {
    let names = names.join(" or ");
    assert!(
        env::var_os("IDEM_REQUIRE_SERVERS").is_none_or(|value| value != "1"),
        "{names} is not installed, and IDEM_REQUIRE_SERVERS=1"
    );
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let said = format!("SKIPPED {test}: {names} is not installed\n");
    let _ = std::io::stderr().write_all(said.as_bytes());
}

/// Where PostgreSQL's programs are: what `pg_config` says, and where distributions put them, the newest first.
pub(crate) fn postgres_folders() -> Vec<PathBuf> {
    let said = Command::new("pg_config").arg("--bindir").output();
    let mut folders: Vec<PathBuf> = said
        .ok()
        .filter(|said| said.status.success())
        .map(|said| PathBuf::from(String::from_utf8_lossy(&said.stdout).trim()))
        .into_iter()
        .collect();
    let mut versions = Vec::new();
    for parent in ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt", "/usr/local/opt"] {
        for entry in Path::new(parent).read_dir().into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let number = name.rsplit('@').next().and_then(|number| number.parse::<u32>().ok());
            if let Some(number) = number {
                versions.push((number, entry.path().join("bin")));
            }
        }
    }
    versions.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    folders.extend(versions.into_iter().map(|(_, folder)| folder));
    folders
}
