//! TLS, with a certificate of one's own that the client is told to trust.

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use common::device;
use idem::{DeviceStore, Error, Store as _};

const URL: &str = "IDEM_TEST_TLS_URL";

/// A certificate for this machine and its key, as PEM.
fn make(folder: &std::path::Path, name: &str) -> [String; 2] {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let files = [
        (format!("{name}.pem"), made.cert.pem()),
        (format!("{name}-key.pem"), made.signing_key.serialize_pem()),
    ];
    files.map(|(file, text)| {
        let path = folder.join(file);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    })
}

/// Calls through the device at this URL in a process that trusts the certificate; says whether that went well.
fn calls(url: &str, trusted: &str) -> bool {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "a_service_calls_through_tls"]).env(URL, url).env("SSL_CERT_FILE", trusted);
    program.output().unwrap().status.success()
}

/// Does nothing, but in the process that `calls` starts.
#[tokio::test]
async fn a_service_calls_through_tls() {
    let Ok(url) = std::env::var(URL) else { return };
    let store = DeviceStore::connect(&url).await.unwrap();
    assert_eq!(store.profile().durability.to_string(), "process");
    for _ in 0..2 {
        let call = idem::call("shop.charge").arg(&7).store(&store);
        let receipt: String = call.run(async { Ok::<_, Error>("receipt".to_owned()) }).await.unwrap();
        assert_eq!(receipt, "receipt");
    }
}

#[test]
fn over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = make(folder.path(), "first");
    let device = device(&["--store", "memory:", "--tls-cert", &certificate, "--tls-key", &key]);
    let url = format!("https://localhost:{}", device.address.port());
    assert!(calls(&url, &certificate));
    // Another certificate is not that of this device, and plain HTTP is none.
    let [other, other_key] = make(folder.path(), "other");
    assert!(!calls(&url, &other));
    assert!(!calls(&url.replace("https", "http"), &certificate));
    // The files are read again when they change.
    std::fs::copy(&other, &certificate).unwrap();
    std::fs::copy(&other_key, &key).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while !calls(&url, &other) {
        assert!(Instant::now() < until, "{}", device.log());
    }
}
