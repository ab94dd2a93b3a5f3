//! Records that were read lately, for as long as nothing in their file changes.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use idem_runtime::Token;
use idem_runtime::store::{Record, State};

use crate::version::{Version, Versions};

/// How many at most.
const MANY: usize = 8192;
/// How many bytes one has at most, beside its names.
const SMALL: usize = 1024;

/// Records that are done, each as it is in one version of the file.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    versions: OnceLock<Option<Versions>>,
    /// Each in one of the two that its token leads to.
    places: OnceLock<Box<[Place]>>,
}

type Place = Mutex<Option<Box<Read>>>;

#[derive(Debug)]
struct Read {
    version: Version,
    namespace: Box<str>,
    token: Token,
    record: Arc<Record>,
}

impl Recent {
    /// The record under a token as it is now: remembered, or read now.
    pub(crate) fn get<E>(
        &self,
        path: &Path,
        namespace: &str,
        token: Token,
        read: impl FnOnce() -> Result<Option<Record>, E>,
    ) -> Result<Option<Arc<Record>>, E> {
        let read = || Ok(read()?.map(Arc::new));
        let Some(versions) = self.versions.get_or_init(|| Versions::open(path)) else { return read() };
        let version = versions.now();
        if let Some(record) = self.remembered(&version, namespace, token) {
            return Ok(Some(record));
        }
        let record = read()?;
        let fits = |record: &&Arc<Record>| record.head.state == State::Done && size(record) <= SMALL;
        if let Some(record) = record.as_ref().filter(fits).filter(|_| version.is_whole()) {
            let (namespace, record) = (namespace.into(), Arc::clone(record));
            // What has changed while it was read has made another version: this one does not come again.
            self.remember(Read { version, namespace, token, record });
        }
        Ok(record)
    }

    fn remembered(&self, version: &Version, namespace: &str, token: Token) -> Option<Arc<Record>> {
        self.places(token).into_iter().find_map(|place| {
            let place = lock(place);
            let read = place.as_ref()?;
            let is_it = read.token == token && read.version == *version && *read.namespace == *namespace;
            is_it.then(|| Arc::clone(&read.record))
        })
    }

    /// In place of one that has changed since, or of whichever is in the second place.
    fn remember(&self, read: Read) {
        let [first, second] = self.places(read.token);
        let mut place = lock(first);
        if place.as_ref().is_some_and(|other| other.version == read.version) {
            drop(place);
            place = lock(second);
        }
        *place = Some(Box::new(read));
    }

    fn places(&self, token: Token) -> [&Place; 2] {
        let places = self.places.get_or_init(|| (0..MANY).map(|_| Mutex::default()).collect());
        let [a, b, c, d, ..] = *token.as_bytes();
        [[a, b], [c, d]].map(|bytes| &places[usize::from(u16::from_le_bytes(bytes)) % MANY])
    }

    /// Lets go of the file.
    pub(crate) fn close(&mut self) {
        drop(self.versions.take());
    }

    /// In a forked child: not even closed.
    pub(crate) fn abandon(&mut self) {
        std::mem::forget(self.versions.take());
    }
}

fn lock(place: &Place) -> MutexGuard<'_, Option<Box<Read>>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a record takes, beside its names.
fn size(record: &Record) -> usize {
    let arguments =
        record.arguments.as_ref().map_or(0, |arguments| arguments.key.len() + arguments.verified.len());
    record.result.len() + record.digest.len() + arguments
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicI64, Ordering};

    use idem_runtime::store::Payload;
    use rusqlite::Connection;

    use super::*;

    fn token(places: [u16; 2], number: u8) -> Token {
        let mut bytes = [number; 32];
        bytes[..2].copy_from_slice(&places[0].to_le_bytes());
        bytes[2..4].copy_from_slice(&places[1].to_le_bytes());
        Token::from_bytes(bytes)
    }

    fn done(result: &[u8]) -> Record {
        let mut record = Record::default();
        record.head.state = State::Done;
        record.result = Payload::from(result);
        record
    }

    struct Bench {
        _folder: tempfile::TempDir,
        path: std::path::PathBuf,
        writer: Connection,
        recent: Recent,
        reads: Cell<usize>,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.db");
            let writer = Connection::open(&path).unwrap();
            writer.pragma_update(None, "journal_mode", "WAL").unwrap();
            writer.pragma_update(None, "synchronous", "OFF").unwrap();
            writer.execute_batch("CREATE TABLE a (a); INSERT INTO a VALUES (0)").unwrap();
            Bench { _folder: folder, path, writer, recent: Recent::default(), reads: Cell::new(0) }
        }

        fn changes(&self) {
            self.writer.execute("UPDATE a SET a = a + 1", []).unwrap();
        }

        /// The record, and whether it was read for that.
        fn get(&self, namespace: &str, token: Token, record: &Record) -> bool {
            let reads = self.reads.get();
            let read = || {
                self.reads.set(reads + 1);
                Ok::<_, ()>(Some(record.clone()))
            };
            let found = self.recent.get(&self.path, namespace, token, read).unwrap().unwrap();
            assert_eq!(*found, *record);
            self.reads.get() > reads
        }
    }

    #[test]
    fn a_record_is_remembered_until_something_changes() {
        let bench = Bench::new();
        let record = done(b"result");
        for _ in 0..3 {
            assert!(bench.get("", token([1, 2], 1), &record), "the first time, and after a change");
            assert!(!bench.get("", token([1, 2], 1), &record));
            assert!(bench.get("shop", token([3, 4], 1), &record), "another token");
            assert!(
                !bench.get("", token([1, 2], 1), &record) && !bench.get("shop", token([3, 4], 1), &record)
            );
            bench.changes();
        }
    }

    #[test]
    fn of_those_whose_places_are_the_same_two_are_remembered() {
        let bench = Bench::new();
        let record = done(b"result");
        let [one, two, three] = [1, 2, 3].map(|number| token([1, 2], number));
        assert!(bench.get("", one, &record) && bench.get("", two, &record));
        assert!(!bench.get("", one, &record) && !bench.get("", two, &record));
        assert!(bench.get("shop", one, &record), "another namespace");
        assert!(!bench.get("", one, &record) && bench.get("", two, &record));
        assert!(bench.get("", three, &record) && bench.get("", two, &record));
        bench.changes();
        assert!(bench.get("", three, &record) && bench.get("", one, &record), "the others have changed");
        assert!(!bench.get("", three, &record) && !bench.get("", one, &record));
        assert!(
            bench.get("", token([1 + MANY as u16, 2], 1), &record),
            "not every token has places of its own"
        );
    }

    #[test]
    fn what_is_large_or_not_done_is_not_remembered() {
        let bench = Bench::new();
        let (mut running, mut argued) = (done(b""), done(b""));
        running.head.state = State::Running;
        argued.arguments =
            Some(idem_runtime::store::Arguments::new(vec![0; SMALL / 2], vec![0; SMALL / 2 + 1]));
        let mut digested = done(b"result");
        digested.digest = vec![0; SMALL - 5];
        for record in [running, argued, digested, done(&[0; SMALL + 1])] {
            assert!(bench.get("", token([1, 2], 1), &record) && bench.get("", token([1, 2], 1), &record));
        }
        let largest = done(&[0; SMALL]);
        assert!(bench.get("", token([1, 2], 1), &largest) && !bench.get("", token([1, 2], 1), &largest));
    }

    #[test]
    fn what_changes_while_it_is_read_is_not_remembered() {
        let bench = Bench::new();
        let read = || {
            bench.changes();
            Ok::<_, ()>(Some(done(b"before")))
        };
        assert!(bench.recent.get(&bench.path, "", token([1, 2], 1), read).is_ok());
        assert!(bench.get("", token([1, 2], 1), &done(b"after")));
    }

    /// Whoever knows of a commit finds what it wrote.
    #[test]
    fn what_was_known_before_is_never_missed() {
        let bench = Bench::new();
        let known = AtomicI64::new(0);
        let (known, recent, path) = (&known, &bench.recent, &bench.path);
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(move || {
                        let connection = crate::connect::reader(path).unwrap();
                        let read = || {
                            let number =
                                connection.query_row("SELECT a FROM a", [], |row| row.get::<_, i64>(0))?;
                            Ok::<_, rusqlite::Error>(Some(done(&number.to_be_bytes())))
                        };
                        let mut remembered = 0_u64;
                        loop {
                            let before = known.load(Ordering::Acquire);
                            let mut is_read = false;
                            let found = recent.get(path, "", token([1, 2], 1), || {
                                is_read = true;
                                read()
                            });
                            let found = found.unwrap().unwrap();
                            assert!(i64::from_be_bytes((*found.result).try_into().unwrap()) >= before);
                            remembered += u64::from(!is_read);
                            if before >= 2_000 {
                                return remembered;
                            }
                        }
                    })
                })
                .collect();
            for number in 1..=2_000 {
                bench.changes();
                known.store(number, Ordering::Release);
                std::thread::yield_now();
            }
            let remembered: u64 = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
            assert!(remembered > 0, "there was something to be wrong about");
        });
    }
}
