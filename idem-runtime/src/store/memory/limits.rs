//! How much a memory store may hold.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::Packed;
use crate::store::StoreError;
use crate::time::{Timestamp, micros};

/// What a record takes beside its own bytes: its place in the table and the allocator's own.
const BESIDE: usize = 32;

/// Looking through the whole store for what has expired may take one part in so many of the time.
const SHARE: u64 = 10;

#[derive(Debug)]
pub(super) struct Limits {
    max_records: usize,
    max_bytes: usize,
    records: AtomicUsize,
    bytes: AtomicUsize,
    /// No record expires before this.
    earliest: AtomicU64,
    /// When the store may be looked through again, by the clock of the leases.
    rest_until: AtomicU64,
}

fn size(record: &Packed) -> usize {
    record.size() + BESIDE
}

impl Limits {
    /// Nothing where there is no limit: then nothing is counted either.
    pub(super) fn new(max_records: Option<usize>, max_bytes: Option<usize>) -> Option<Self> {
        (max_records.is_some() || max_bytes.is_some()).then(|| Limits {
            max_records: max_records.unwrap_or(usize::MAX),
            max_bytes: max_bytes.unwrap_or(usize::MAX),
            records: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            earliest: AtomicU64::new(u64::MAX),
            rest_until: AtomicU64::new(0),
        })
    }

    /// Counts a new record, if there is room for it.
    pub(super) fn reserve(&self, record: &Packed) -> bool {
        let below = |count: &AtomicUsize, by: usize, most: usize| {
            count
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                    count.checked_add(by).filter(|count| *count <= most)
                })
                .is_ok()
        };
        if !below(&self.records, 1, self.max_records) {
            return false;
        }
        let room = below(&self.bytes, size(record), self.max_bytes);
        if room {
            self.expires(record.expires());
        } else {
            self.records.fetch_sub(1, Ordering::Relaxed);
        }
        room
    }

    /// Counts a record that is kept whether there is room or not.
    pub(super) fn add(&self, record: &Packed) {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(size(record), Ordering::Relaxed);
        self.expires(record.expires());
    }

    /// Counts a record as gone.
    pub(super) fn remove(&self, record: &Packed) {
        self.records.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(size(record), Ordering::Relaxed);
    }

    /// A record will expire then.
    pub(super) fn expires(&self, at: Timestamp) {
        self.earliest.fetch_min(at.as_micros(), Ordering::Relaxed);
    }

    /// Whether something may have expired and the store was not looked through a moment ago.
    pub(super) fn worth_looking(&self, wall: Timestamp, lease_clock: u64) -> bool {
        self.earliest.load(Ordering::Relaxed) <= wall.as_micros()
            && self.rest_until.load(Ordering::Relaxed) <= lease_clock
    }

    /// The whole store is about to be looked through; what is said to expire from now on is remembered.
    pub(super) fn looking(&self) {
        self.earliest.store(u64::MAX, Ordering::Relaxed);
    }

    /// The whole store has been looked through, which took so long.
    pub(super) fn looked(&self, lease_clock: u64, took: Duration) {
        let rest = micros(took).saturating_mul(SHARE).max(100);
        self.rest_until.store(lease_clock.saturating_add(rest), Ordering::Relaxed);
    }

    #[cold]
    pub(super) fn refuse(&self, store: &'static str) -> StoreError {
        let records = self.records.load(Ordering::Relaxed);
        let limit = if records >= self.max_records {
            format!("`max_records` is {}", self.max_records)
        } else {
            format!("`max_bytes` is {}", self.max_bytes)
        };
        let message = format!(
            "is full: {records} records that have not expired, and its {limit}; raise the limit or shorten `ttl`"
        );
        StoreError::refused(store, message)
    }
}
