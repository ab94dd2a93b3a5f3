//! A temporary folder that is removed whatever happens, and the servers in it with it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Waits until whoever started it is gone (the other end of its input is closed then, however that happened), kills
/// what is still noted in the folder, children first, and removes the folder.
const GUARDIAN: &str = r#"
cat > /dev/null
for note in "$1"/running/*; do
  [ -e "$note" ] || continue
  pid=${note##*/}
  kill -STOP "$pid" 2> /dev/null
  pkill -KILL -P "$pid" 2> /dev/null
  kill -KILL "$pid" 2> /dev/null
done
rm -rf "$1"
"#;

/// A temporary folder with a guardian: a shell that outlives the test run, if only for a moment.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    guardian: Child,
}

impl Folder {
    pub(crate) fn new() -> Folder {
        let path =
            tempfile::Builder::new().prefix("idem-server-").tempdir().expect("a temporary folder").keep();
        fs::create_dir(path.join("running")).expect("a folder for notes");
        let guardian = Command::new("sh")
            .args(["-c", GUARDIAN, "guardian"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C at the terminal must not reach it.
            .process_group(0)
            .spawn()
            .expect("a shell");
        Folder { path, guardian }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes a process that must not outlive the folder.
    pub(crate) fn note(&self, pid: u32) {
        fs::write(self.path.join("running").join(pid.to_string()), "").expect("a note of a process");
    }

    /// The process is over, or about to be waited for.
    pub(crate) fn strike(&self, pid: u32) {
        let _ = fs::remove_file(self.path.join("running").join(pid.to_string()));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        let _ = self.guardian.wait();
    }
}
