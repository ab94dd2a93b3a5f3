//! Requests are answered within the time limit, also while a disk keeps the writer inside one transaction.
//!
//! A disk that hangs lets nobody go who waits for it: the writer's thread stays where it is, and somebody else has to
//! answer. A look now and then, only while requests are made, costs a request next to nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use idem_runtime::io;
use idem_runtime::store::{Reply, StoreError};

use crate::file::File;

/// How many looks the time limit has. A request is answered at most one of them before its limit.
const LOOKS: u32 = 8;

/// Sees to it that whoever waits is answered in time: until nobody has waited for a while.
pub(crate) fn look_after(file: &Arc<File>) {
    if file.looked_after.load(Ordering::SeqCst) || file.looked_after.swap(true, Ordering::SeqCst) {
        return;
    }
    let (file, name) = (Arc::downgrade(file), file.name.clone());
    let look_on = async move {
        let mut begun = None;
        while let Some(pause) = file.upgrade().map(|file| pause(&file)) {
            // It is answered by the clock and cannot fail.
            let _ = io().pause(pause).await;
            let Some(file) = file.upgrade() else { break };
            if !look(&file, &mut begun, pause) {
                break;
            }
        }
        Ok(Reply::Record(None))
    };
    drop(io().spawn(name, look_on));
}

fn pause(file: &File) -> Duration {
    (file.time_limit / LOOKS).max(Duration::from_millis(1))
}

/// Looks once; false when nobody has to look any more. `begun` is how many transactions there had been the last time.
fn look(file: &File, begun: &mut Option<u64>, pause: Duration) -> bool {
    let now = file.queue.begun();
    // A writer that finds the file busy begins again and again, and answers by itself.
    let stuck = begun.replace(now) == Some(now);
    if !stuck {
        return true;
    }
    let overdue = file.queue.overdue(Instant::now() + pause);
    let name = || file.name.clone();
    if !overdue.taken.is_empty() || !overdue.queued.is_empty() {
        tracing::error!(store = %file.name, "the disk has not taken what is written for the whole time limit");
    }
    for waiting in overdue.taken {
        waiting.answer(Err(StoreError::lost(
            name(),
            "waits for its disk for longer than the time limit, and may yet write what was asked: ask again, and \
             check the disk",
        )));
    }
    for waiting in overdue.queued {
        waiting.answer(Err(StoreError::unavailable(
            name(),
            "waits for its disk for longer than the time limit: check the disk, or raise `time_limit`",
        )));
    }
    if !file.queue.is_idle() {
        return true;
    }
    file.looked_after.store(false, Ordering::SeqCst);
    // Somebody may have asked just before that, and left it to us.
    !file.queue.is_idle() && !file.looked_after.swap(true, Ordering::SeqCst)
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use idem_runtime::Token;
    use idem_runtime::store::{Answer, Asked, AttemptId, Complete, Fault, Request};
    use rusqlite::trace::{TraceEvent, TraceEventCodes};

    use super::*;
    use crate::file::Open;
    use crate::options::SqliteStoreBuilder;

    const LONG: Duration = Duration::from_secs(60);

    /// A disk that hangs: whether commits are held.
    static HELD: Mutex<bool> = Mutex::new(false);
    static CHANGED: Condvar = Condvar::new();

    fn hold(event: TraceEvent<'_>) {
        if let TraceEvent::Stmt(_, "COMMIT") = event {
            let held = HELD.lock().unwrap();
            drop(CHANGED.wait_while(held, |held| *held).unwrap());
        }
    }

    fn complete(open: &Open, number: u8) -> Asked {
        let mut complete = Complete::default();
        complete.token = Token::from_bytes([number; 32]);
        complete.attempt = AttemptId::random();
        complete.ttl = LONG;
        open.file.write(&"".into(), Request::Complete(Arc::new(complete)))
    }

    fn answer(asked: Asked) -> Answer {
        asked.wait(Some(LONG)).expect("an answer in time")
    }

    #[test]
    fn a_disk_that_hangs_is_not_waited_for_longer_than_the_time_limit() {
        let folder = tempfile::tempdir().unwrap();
        let builder =
            SqliteStoreBuilder::new(folder.path().join("a.db")).time_limit(Duration::from_millis(200));
        let (file, connection) = File::open(&builder).unwrap();
        connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(hold));
        assert_eq!(pause(&file), Duration::from_millis(25));
        let open = Open::start(file, connection).unwrap();
        // Now and later: nobody looks on while nobody asks.
        for round in [0, 10] {
            assert_eq!(answer(complete(&open, round)).unwrap(), Reply::Completed);
            // What the writer tidies up after that is not to be held.
            while !open.file.queue.sleeps() {
                std::thread::yield_now();
            }
            *HELD.lock().unwrap() = true;
            let begun = open.file.queue.begun();
            let taken = complete(&open, round + 1);
            while open.file.queue.begun() == begun {
                std::thread::yield_now();
            }
            let queued = complete(&open, round + 2);
            let error = answer(taken).unwrap_err();
            assert_eq!(error.fault(), Fault::Lost, "{error}");
            let error = answer(queued).unwrap_err();
            assert_eq!(error.fault(), Fault::Unavailable, "{error}");

            *HELD.lock().unwrap() = false;
            CHANGED.notify_all();
            assert_eq!(answer(complete(&open, round + 3)).unwrap(), Reply::Completed);
            let there = |number| open.file.look("", Token::from_bytes([number; 32])).unwrap().is_some();
            assert!(there(round + 1), "what was being written is there");
            assert!(!there(round + 2), "what was not begun is not");
            while open.file.looked_after.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        }
    }
}
