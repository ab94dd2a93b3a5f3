//! `idem serve`: runs the device.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::Failure;
use crate::device::{Device, Limits};
use crate::keys::KeyFile;
use crate::stores::{Stores, has_namespace};
use crate::stream::Patience;
use crate::tls::Certificates;
use crate::{http, server};

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:4336", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Where records are kept: every URL that `idem::connect` takes.
    #[arg(long, default_value = "sqlite:idem.db", value_name = "URL")]
    store: String,
    /// Who may ask: a file with a line per key, which `idem key` makes. It is read again when it changes.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Listen beyond this machine without keys: everybody who gets there can read and change every record.
    #[arg(long, conflicts_with = "key_file")]
    insecure_without_keys: bool,
    /// The certificate for TLS, with its chain, as PEM. It is read again when it changes.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, as PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The largest body that is taken, in bytes.
    #[arg(long, default_value_t = 4 << 20, value_name = "BYTES")]
    max_body: usize,
    /// How many connections may be open at once; more are closed.
    #[arg(long, default_value_t = 16_384, value_name = "COUNT")]
    max_connections: usize,
    /// How many callers may wait at once for the end of a running attempt.
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    max_waiting: usize,
    /// How long one of them may wait.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    max_wait: Duration,
    /// How long a request's head may take to arrive from its first byte on, and after that its body.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    request_time: Duration,
    /// How long a connection is kept without a request.
    #[arg(long, default_value = "2m", value_parser = humantime::parse_duration, value_name = "DURATION")]
    idle_time: Duration,
    /// How long open requests are waited for when the device stops.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    grace: Duration,
    /// What is logged, to standard error; `debug` has a line for every request.
    #[arg(long, default_value = "info", value_name = "LEVEL")]
    log: tracing::Level,
    /// How it is logged.
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl Serve {
    pub(super) fn run(self) -> Result<(), Failure> {
        self.start_log();
        self.check()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.serve())?;
        // What is still asked of the store goes on on threads of its own.
        idem::shutdown_blocking(Duration::from_secs(5));
        Ok(())
    }

    fn start_log(&self) {
        use std::io::IsTerminal as _;
        let log = tracing_subscriber::fmt().with_max_level(self.log).with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
            LogFormat::Json => log.json().init(),
        }
    }

    fn check(&self) -> Result<(), Failure> {
        if self.key_file.is_some() && has_namespace(&self.store) {
            return Err(
                "with --key-file the namespace comes from the key: leave `namespace=` out of --store".into(),
            );
        }
        if self.key_file.is_none() && !self.listen.ip().is_loopback() && !self.insecure_without_keys {
            return Err(format!(
                "{} can be reached from other machines, and without --key-file everybody there could read and change \
                 every record: make keys with `idem key NAMESPACE`, or say --insecure-without-keys",
                self.listen
            )
            .into());
        }
        Ok(())
    }

    async fn serve(self) -> Result<(), Failure> {
        let keys = self.key_file.as_deref().map(KeyFile::open).transpose()?;
        let certificates = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(Arc::new(Certificates::open(certificate, key)?)),
            _ => None,
        };
        let stores = Stores::connect(&self.store).await.map_err(|error| match error {
            // What a call would be told is about a call.
            idem::Error::Store { source, .. } => source.to_string(),
            idem::Error::Misuse { message, .. } => message.to_string(),
            other => other.to_string(),
        })?;
        let listener = TcpListener::bind(self.listen)
            .await
            .map_err(|error| format!("{} cannot be listened on: {error}", self.listen))?;
        let address = listener.local_addr()?;
        server::raise_open_files(self.max_connections);

        let (stop, stopping) = watch::channel(false);
        let limits = Limits {
            body: self.max_body,
            body_time: self.request_time,
            waiting: self.max_waiting,
            wait: self.max_wait,
        };
        let loopback_only = keys.is_none() && !self.insecure_without_keys;
        let profile = stores.base().profile();
        let scheme = if certificates.is_some() { "https" } else { "http" };
        // Nobody may be reading it.
        let _ = say(scheme, address, &profile.name, profile.durability, keys.is_some());
        let device = Arc::new(Device::new(stores, keys, loopback_only, limits, stopping.clone()));
        tokio::spawn(look(Arc::clone(&device), certificates.clone()));
        tokio::spawn(async move {
            stopped().await;
            tracing::info!("the device stops");
            let _ = stop.send(true);
            std::future::pending::<()>().await;
        });
        let routes = http::routes(&device);
        let limits = server::Limits {
            connections: self.max_connections,
            patience: Patience {
                head: self.request_time,
                idle: self.idle_time,
                write: Duration::from_secs(30),
            },
            grace: self.grace,
        };
        server::serve(listener, device, routes, certificates, limits, stopping).await;
        Ok(())
    }
}

/// Says where the device is, and what to set in a service.
fn say(
    scheme: &str,
    address: SocketAddr,
    store: &str,
    durability: idem::store::Durability,
    keys: bool,
) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "idem {} listens on {scheme}://{address}; its records are in {store} (durability class {durability})",
        env!("CARGO_PKG_VERSION")
    )?;
    writeln!(out, "In the service: IDEM_STORE={scheme}://{address}")?;
    if keys {
        writeln!(out, "                IDEM_DEVICE_KEY=the key that `idem key` printed")?;
    }
    out.flush()
}

/// Looks now and then whether files have changed.
async fn look(device: Arc<Device>, certificates: Option<Arc<Certificates>>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (device, certificates) = (Arc::clone(&device), certificates.clone());
        let looking = tokio::task::spawn_blocking(move || {
            if let Some(keys) = &device.keys {
                keys.look();
                let keys = keys.keys();
                device.stores.keep(&keys);
                device.history.keep(|namespace| keys.has(namespace));
                device.page.keep(|namespace| keys.has(namespace));
            }
            if let Some(certificates) = certificates {
                certificates.look();
            }
        });
        let _ = looking.await;
    }
}

/// Ends when the process is told to.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
        }
        Err(_) => drop(interrupted.await),
    }
}
