//! One PostgreSQL.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Signal, geteuid};

use crate::folder::Folder;
use crate::port::Port;
use crate::process::Process;
use crate::program;

/// A PostgreSQL server with the superuser `postgres`, who needs no password. Killed when it is dropped.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    programs: PathBuf,
    /// Where its files are.
    place: PathBuf,
    port: Port,
    folder: Arc<Folder>,
    databases: AtomicU32,
}

impl Postgres {
    /// Starts one; `None` if PostgreSQL is not installed.
    pub fn start() -> Option<Postgres> {
        Postgres::start_with(&[])
    }

    /// With settings: `("synchronous_commit", "off")`.
    ///
    /// # Panics
    /// If it does not start with them; what it said is in the message.
    pub fn start_with(settings: &[(&str, &str)]) -> Option<Postgres> {
        let initdb = program::find(&["initdb"], &program::postgres_folders())?;
        // A link to it need not have the others beside it.
        let initdb = fs::canonicalize(initdb).expect("a program that is there");
        let programs = initdb.parent().expect("a program is in a folder").to_owned();
        let folder = Arc::new(Folder::new());
        let place = folder.path().join("data");
        fs::create_dir(&place).expect("a folder for a server");
        give_away(folder.path());
        give_away(&place);
        let mut init = as_user(&programs.join("initdb"));
        init.args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--pgdata",
        ])
        .arg(&place);
        run(&mut init);
        let port = Port::take();
        let mut lines = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\n",
            port.number,
            folder.path().display()
        );
        for (name, value) in settings {
            lines.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        }
        let conf = place.join("postgresql.conf");
        let before = fs::read_to_string(&conf).expect("a server's configuration");
        fs::write(&conf, before + &lines).expect("a server's configuration");
        let process = launch(&folder, &programs, &place, port.number);
        Some(Postgres { process, programs, place, port, folder, databases: AtomicU32::new(0) })
    }

    /// `postgres://postgres@127.0.0.1:PORT/postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The URL of one database.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port.number)
    }

    /// Makes a database that nothing else uses, and gives its URL.
    ///
    /// # Panics
    /// If the server does not let it.
    #[must_use]
    pub fn database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        self.url_of(&name)
    }

    /// Runs SQL beside what is tested, in one database; gives what `psql` prints, unaligned and without headers.
    ///
    /// # Panics
    /// If it fails; what was said is in the message.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]).arg(self.url_of(database));
        run(&mut psql)
    }

    /// Its port at 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// The folder with `postgresql.conf` and `pg_hba.conf`.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.place
    }

    /// One of PostgreSQL's programs: `pgbench`, `pg_basebackup`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Cuts the connections of every client of a database, in the middle of whatever they do.
    ///
    /// # Panics
    /// If the server does not answer.
    pub fn cut_connections(&self, database: &str) {
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.psql(database, others);
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// As if its machine was switched off: every process of it is killed at once.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to end, as an operator does (SIGINT: a fast shutdown), and waits until it has.
    pub fn stop(&mut self) {
        self.process.stop(Signal::INT);
    }

    /// It stands still, with its connections open: every process of it.
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// It goes on after [`Postgres::freeze`].
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
        self.process = launch(&self.folder, &self.programs, &self.place, self.port.number);
    }
}

fn launch(folder: &Arc<Folder>, programs: &Path, place: &Path, port: u16) -> Process {
    let mut command = as_user(&programs.join("postgres"));
    command.arg("-D").arg(place).current_dir(place);
    let answers = || {
        let ready = Command::new(programs.join("pg_isready"))
            .args(["-q", "-U", "postgres", "-d", "postgres", "-h", "127.0.0.1", "-p", &port.to_string()])
            .status();
        ready.is_ok_and(|status| status.success())
    };
    Process::start(folder, &mut command, &folder.path().join("log"), answers)
        .unwrap_or_else(|said| panic!("postgres does not start: {said}"))
}

/// PostgreSQL refuses to run as root: then it runs as `postgres`, or as nobody.
fn user() -> Option<(u32, u32)> {
    if !geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut words = line.split(':').skip(2);
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody"))
}

pub(crate) fn as_user(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = user() {
        command.uid(user).gid(group).current_dir("/");
    }
    command
}

pub(crate) fn give_away(path: &Path) {
    if let Some((user, group)) = user() {
        chown(path, Some(user), Some(group)).expect("a folder for another user");
        debug_assert_eq!(fs::metadata(path).map(|folder| folder.uid()).ok(), Some(user));
    }
}

/// Runs a program to its good end, and gives what it prints.
fn run(command: &mut Command) -> String {
    let name = command.get_program().to_owned();
    let said =
        command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{}: {error}", name.display()));
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{}: {out}{err}", OsStr::display(&name));
    out.trim_end().to_owned()
}
