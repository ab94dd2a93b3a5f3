//! Certificates from files, read again when they change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("the file {0} cannot be read as PEM: {1}")]
    Pem(PathBuf, rustls::pki_types::pem::Error),
    #[error("the certificate {0} cannot be used with its key: {1}")]
    Unfit(PathBuf, rustls::Error),
}

/// A certificate with its key.
pub(crate) struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    now: RwLock<(Stamp, TlsAcceptor)>,
}

type Stamp = [Option<SystemTime>; 2];

fn stamp(certificate: &Path, key: &Path) -> Stamp {
    [certificate, key].map(|path| std::fs::metadata(path).ok()?.modified().ok())
}

fn read(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let pem = |path: &Path| {
        let path = path.to_owned();
        move |error| TlsError::Pem(path, error)
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(pem(certificate))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(pem(key))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
    let mut config = config.map_err(|error| TlsError::Unfit(certificate.to_owned(), error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl Certificates {
    pub(crate) fn open(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let now = (stamp(certificate, key), read(certificate, key)?);
        Ok(Certificates { certificate: certificate.to_owned(), key: key.to_owned(), now: RwLock::new(now) })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.now.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// Reads the files again if they have changed; where they cannot be used, nothing changes.
    pub(crate) fn look(&self) {
        let stamp = stamp(&self.certificate, &self.key);
        if self.now.read().unwrap_or_else(PoisonError::into_inner).0 == stamp {
            return;
        }
        let read = read(&self.certificate, &self.key);
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        now.0 = stamp;
        match read {
            Ok(acceptor) => {
                tracing::info!(file = %self.certificate.display(), "the certificate was read again");
                now.1 = acceptor;
            }
            Err(error) => tracing::error!(%error, "the certificate stays as it was"),
        }
    }
}
