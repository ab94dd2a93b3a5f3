//! What to do while another process holds the write lock.
//!
//! SQLite's own handler sleeps in steps that grow, so that one process among four was seen to wait for more than a
//! second. Short random pauses give everybody a turn.

use std::hash::{BuildHasher, RandomState};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::{Error, ErrorCode};

/// Whether the same may succeed in a moment: another connection holds a lock.
pub(crate) fn is_busy(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed)
    )
}

/// Until when something may take that starts now.
pub(crate) fn deadline(limit: Duration) -> Instant {
    // The longest durations would not fit.
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    Instant::now() + limit.min(YEAR)
}

/// Waits for 1 to 5 ms.
pub(crate) fn pause() {
    // A new hasher is keyed at random.
    let random = RandomState::new().hash_one(());
    sleep(Duration::from_micros(1_000 + random % 4_000));
}

/// Does it again while another connection holds a lock, until `until`.
pub(crate) fn retry<T>(until: Instant, mut run: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    loop {
        match run() {
            Err(error) if is_busy(&error) && Instant::now() < until => pause(),
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_longer_than_a_year_takes_a_year() {
        const DAY: Duration = Duration::from_secs(86_400);
        let before = Instant::now();
        assert!(deadline(Duration::MAX) > before + 364 * DAY);
        assert!(deadline(DAY) <= Instant::now() + DAY);
    }
}
