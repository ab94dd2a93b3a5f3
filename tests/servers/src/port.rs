//! Free ports that stay ours.

use std::fs::{self, File, TryLockError};
use std::net::{Ipv4Addr, TcpListener};

/// Below the ports that the system gives to outgoing connections, so that a server that is down for a moment finds its
/// own free when it comes back.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port of the loopback address that no other test takes while this lives: a lock on a file, which ends with the
/// process.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    _lock: File,
}

impl Port {
    /// Takes a free one.
    pub(crate) fn take() -> Port {
        let locks = std::env::temp_dir().join("idem-servers-ports");
        fs::create_dir_all(&locks).expect("a folder for the locks of ports");
        let start = std::process::id() as u16 ^ (turn() as u16).wrapping_mul(977);
        for step in 0..COUNT {
            let number = FIRST + start.wrapping_add(step.wrapping_mul(7)) % COUNT;
            let lock = File::create(locks.join(number.to_string())).expect("a file for the lock of a port");
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => panic!("the lock of a port: {error}"),
            }
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Port { number, _lock: lock };
            }
        }
        panic!("no port between {FIRST} and {} is free", FIRST + COUNT);
    }
}

/// Another number each time, so that threads that start servers at once do not look at the same ports first.
fn turn() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
