//! The two clocks of a record: the wall clock for how long it is kept, and a clock that nobody sets
//! for how long an attempt is believed alive.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment by the wall clock, in whole microseconds since 1970 (UTC).
///
/// ```
/// use idem_runtime::Timestamp;
/// use std::time::{Duration, UNIX_EPOCH};
/// let at = Timestamp::from_micros(1_500_000);
/// assert_eq!(at.system_time(), UNIX_EPOCH + Duration::from_millis(1_500));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Later than any moment: what never expires.
    pub const NEVER: Timestamp = Timestamp(u64::MAX);

    /// The moment so many microseconds after 1970 began.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Timestamp(micros)
    }

    /// Microseconds since 1970 began.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// What the wall clock of this machine shows now; a clock before 1970 counts as 1970.
    #[must_use]
    pub fn now() -> Self {
        Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, micros))
    }

    /// As the standard library's type. [`Timestamp::NEVER`] becomes the latest moment in the year 9999.
    #[must_use]
    pub fn system_time(self) -> SystemTime {
        const LATEST: u64 = 253_402_300_799_999_999;
        UNIX_EPOCH + Duration::from_micros(self.0.min(LATEST))
    }

    /// So much later; what would overflow is [`Timestamp::NEVER`].
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Timestamp(self.0.saturating_add(micros(by)))
    }

    /// How long after `earlier` this is; zero if it is not.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// A duration in whole microseconds, the longest one if it does not fit.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A moment by the clock that leases are measured by: microseconds on a clock that nobody sets,
/// and which run of that clock they belong to.
///
/// Two moments of different runs (another boot of the machine) cannot be compared: what was held in an
/// earlier run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LeaseTime {
    /// Which run of the clock: the same number as long as the clock goes on counting.
    pub run: u64,
    /// Microseconds since that run began.
    pub micros: u64,
}

impl LeaseTime {
    /// So much later in the same run.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        LeaseTime { run: self.run, micros: self.micros.saturating_add(micros(by)) }
    }
}

/// What a store's clocks show at one moment: everything a transition needs to know of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Now {
    /// The wall clock, for retention.
    pub wall: Timestamp,
    /// The clock of the leases.
    pub lease: LeaseTime,
}
