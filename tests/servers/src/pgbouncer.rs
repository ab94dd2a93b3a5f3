//! PgBouncer before a PostgreSQL.

use std::fs;
use std::net::TcpStream;
use std::sync::Arc;

use crate::folder::Folder;
use crate::port::Port;
use crate::postgres::{Postgres, as_user, give_away};
use crate::process::Process;
use crate::program;

/// A proxy that gives each transaction whichever of its few connections is free.
/// Killed when it is dropped.
#[derive(Debug)]
pub struct PgBouncer {
    process: Process,
    port: Port,
}

impl PgBouncer {
    /// Starts one before a server; `None` if PgBouncer is not installed.
    ///
    /// # Panics
    /// If it does not start; what it said is in the message.
    pub fn start(server: &Postgres) -> Option<PgBouncer> {
        let program = program::find(&["pgbouncer"], &["/usr/sbin".into()])?;
        let (folder, port) = (Arc::new(Folder::new()), Port::take());
        let place = folder.path().join("pgbouncer.ini");
        let lines = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
             default_pool_size = 3\n",
            server.port(),
            port.number,
        );
        fs::write(&place, lines).expect("a server's configuration");
        give_away(folder.path());
        give_away(&place);
        let mut command = as_user(&program);
        command.arg(&place);
        let answers = || TcpStream::connect(("127.0.0.1", port.number)).is_ok();
        let process = Process::start(&folder, &mut command, &folder.path().join("log"), answers)
            .unwrap_or_else(|said| panic!("pgbouncer does not start: {said}"));
        Some(PgBouncer { process, port })
    }

    /// The URL of one of the server's databases through this proxy.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port.number)
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}
