//! One Redis, or Valkey.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rustix::process::Signal;

use crate::folder::Folder;
use crate::port::Port;
use crate::process::Process;
use crate::program;

/// A Redis server that keeps nothing on its disk unless it is told to. Killed when it is dropped.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    program: PathBuf,
    /// Where its files are.
    place: PathBuf,
    port: Port,
    /// Where the nodes of a cluster talk to each other.
    bus: Port,
    folder: Arc<Folder>,
}

impl Redis {
    /// Starts one; `None` if there is no `redis-server` or `valkey-server`.
    pub fn start() -> Option<Redis> {
        Redis::start_with(&[])
    }

    /// With lines of its configuration: `("appendonly", "yes")`, `("replicaof", "127.0.0.1 20001")`. With `tls-cert-file` and
    /// `tls-key-file` it speaks TLS, too: see [`Redis::tls_url`].
    ///
    /// # Panics
    /// If it does not start with them; what it said is in the message.
    pub fn start_with(settings: &[(&str, &str)]) -> Option<Redis> {
        let program = find()?;
        Some(Redis::start_in(&Arc::new(Folder::new()), program, settings))
    }

    pub(crate) fn start_in(folder: &Arc<Folder>, program: PathBuf, settings: &[(&str, &str)]) -> Redis {
        let (port, bus) = (Port::take(), Port::take());
        let place = folder.path().join(port.number.to_string());
        fs::create_dir(&place).expect("a folder for a server");
        let mut lines = format!(
            "port {}\nbind 127.0.0.1\ndir {place}\nunixsocket {place}/redis.sock\ndaemonize no\nsave \"\"\n\
             appendonly no\nrepl-diskless-sync-delay 0\ncluster-port {}\n",
            port.number,
            bus.number,
            place = place.display(),
        );
        if settings.iter().any(|(name, _)| *name == "tls-cert-file") {
            // Only the nodes of a cluster need the other one.
            writeln!(lines, "tls-port {}\ntls-auth-clients no", bus.number).expect("a text takes more");
        }
        for (name, value) in settings {
            writeln!(lines, "{name} {value}").expect("a text takes more");
        }
        fs::write(place.join("redis.conf"), lines).expect("a server's configuration");
        let process = launch(folder, &program, &place, port.number);
        Redis { process, program, place, port, bus, folder: Arc::clone(folder) }
    }

    /// `redis://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port.number)
    }

    /// `rediss://localhost:PORT`, if it has a certificate.
    #[must_use]
    pub fn tls_url(&self) -> String {
        format!("rediss://localhost:{}", self.bus.number)
    }

    /// Its port at 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number
    }

    pub(crate) fn bus_port(&self) -> u16 {
        self.bus.number
    }

    /// Its Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.place.join("redis.sock")
    }

    /// A connection beside what is tested.
    ///
    /// # Panics
    /// If there is none to be had.
    #[must_use]
    pub fn connection(&self) -> redis::Connection {
        let client = redis::Client::open(self.url()).expect("a server's address");
        client.get_connection().expect("a connection to a server that runs")
    }

    /// Cuts the connections of every client, in the middle of whatever they do.
    ///
    /// # Panics
    /// If the server does not answer.
    pub fn cut_connections(&self) {
        let killed = redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal"]).query(&mut self.connection());
        let _: i64 = killed.expect("an answer of a server that runs");
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// As if its machine was switched off.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to end, as an operator does (SIGTERM), and waits until it has.
    pub fn stop(&mut self) {
        self.process.stop(Signal::TERM);
    }

    /// It stands still, with its connections open.
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// It goes on after [`Redis::freeze`].
    pub fn thaw(&self) {
        self.process.thaw();
    }

    /// Whether it has been neither killed nor stopped.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Starts it again at the same address, with the files that it has. Kills it before, if it runs.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = launch(&self.folder, &self.program, &self.place, self.port.number);
    }
}

pub(crate) fn find() -> Option<PathBuf> {
    program::find(&["redis-server", "valkey-server"], &[])
}

fn launch(folder: &Arc<Folder>, program: &PathBuf, place: &std::path::Path, port: u16) -> Process {
    let mut command = Command::new(program);
    command.arg(place.join("redis.conf")).current_dir(place);
    let answers = || {
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).expect("a server's address");
        let Ok(mut connection) = client.get_connection() else { return false };
        match redis::cmd("PING").query::<String>(&mut connection) {
            Ok(_) => true,
            // It wants a password, so it is there; while it is loading it is not.
            Err(error) => {
                error.kind() == redis::ErrorKind::AuthenticationFailed || error.code() == Some("NOAUTH")
            }
        }
    };
    Process::start(folder, &mut command, &place.join("log"), answers)
        .unwrap_or_else(|said| panic!("{} does not start: {said}", program.display()))
}
