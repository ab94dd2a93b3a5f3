//! One server's process, and what can happen to it.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::folder::Folder;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs, or has been stopped.
#[derive(Debug)]
pub(crate) struct Process {
    folder: Arc<Folder>,
    child: Option<Child>,
    log: PathBuf,
}

impl Process {
    /// Starts a program and waits until it answers; `Err` with its log if it ends before.
    pub(crate) fn start(
        folder: &Arc<Folder>,
        command: &mut Command,
        log: &Path,
        mut answers: impl FnMut() -> bool,
    ) -> Result<Process, String> {
        let file = File::options().create(true).append(true).open(log).expect("a file for a server's log");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("the same file"))
            .stderr(file)
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        folder.note(child.id());
        let mut process = Process { folder: Arc::clone(folder), child: Some(child), log: log.to_owned() };
        let ended = until("the server answers", || match process.ended() {
            Some(status) => Some(Some(status)),
            None => answers().then_some(None),
        });
        match ended {
            None => Ok(process),
            Some(status) => {
                process.reap();
                Err(format!("{status}: {}", process.log()))
            }
        }
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().expect("the state of a child")
    }

    /// What it has written.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn pid(&self) -> Pid {
        let child = self.child.as_ref().expect("the server runs");
        Pid::from_child(child)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// As if its machine was switched off: every process of it is killed at once.
    pub(crate) fn kill(&mut self) {
        if self.child.is_some() {
            // First it must not start others.
            signal(self.pid(), Signal::STOP);
            let children = children(self.pid());
            children.iter().for_each(|child| signal(*child, Signal::KILL));
            // PostgreSQL does not start where one of its processes still holds the shared memory.
            for child in children {
                until("a killed process has ended", || has_ended(child).then_some(()));
            }
            signal(self.pid(), Signal::KILL);
            self.reap();
        }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(&mut self, how: Signal) {
        if self.child.is_some() {
            signal(self.pid(), how);
            self.reap();
        }
    }

    /// It stands still, with its connections open, until it is thawed.
    pub(crate) fn freeze(&self) {
        signal(self.pid(), Signal::STOP);
        for child in children(self.pid()) {
            signal(child, Signal::STOP);
        }
    }

    pub(crate) fn thaw(&self) {
        for child in children(self.pid()) {
            signal(child, Signal::CONT);
        }
        signal(self.pid(), Signal::CONT);
    }

    fn reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            self.folder.strike(child.id());
            child.wait().expect("the end of a child");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn signal(pid: Pid, signal: Signal) {
    // It may have ended by itself.
    let _ = kill_process(pid, signal);
}

/// The processes that this one has started.
fn children(parent: Pid) -> Vec<Pid> {
    let said =
        Command::new("pgrep").arg("-P").arg(parent.as_raw_nonzero().to_string()).output().expect("pgrep");
    let said = String::from_utf8_lossy(&said.stdout);
    said.lines().filter_map(|line| Pid::from_raw(line.trim().parse().ok()?)).collect()
}

/// Whether a process is gone, or only its parent does not know yet.
fn has_ended(pid: Pid) -> bool {
    let said = Command::new("ps").args(["-o", "stat=", "-p"]).arg(pid.as_raw_nonzero().to_string()).output();
    let said = said.expect("ps").stdout;
    said.is_empty() || said.starts_with(b"Z")
}

/// Looks again until it is there.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not in {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
