//! Whoever sees to it that a lane ends when it stands still: on `idem-io`, by its clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{At, Lane};
use crate::link::CONNECT;

/// How long a request may wait here while the runtime stands still, more or less.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);
/// And for how long the server may take.
pub(super) const SLOW: Duration = Duration::from_secs(1);
/// After so many looks that found nothing under way the next one waits for something.
const QUIET: u32 = 20;

/// What the supervisor sees.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Nothing,
    Moving,
    Stuck,
    Over,
}

impl Lane {
    /// Looks whether what was asked is answered. That there is nothing is told to whoever asks next, if `last`.
    pub(super) fn look(&self, now: Instant, last: bool) -> Seen {
        let (patience, slow) = self.patience();
        let mut state = self.lock();
        let waker = match &state.at {
            At::Over => return Seen::Over,
            At::Opening if self.since + CONNECT <= now => return Seen::Stuck,
            At::Opening => return Seen::Moving,
            At::Open(way) => way.driver.task().clone(),
        };
        let asked = state.jobs.front().map(|job| job.since);
        match state.flights.iter().map(|flight| flight.since).chain(asked).min() {
            Some(since) if since + slow <= now || state.nudged && since + patience <= now => Seen::Stuck,
            Some(_) => {
                state.nudged = true;
                drop(state);
                // It may wait for the others' turn, which is no reason to stand still.
                waker.wake();
                self.told.notify_one();
                Seen::Moving
            }
            // Somebody has them in hand, and will wait for what comes of it.
            None if state.landing || state.sending => Seen::Moving,
            // Its runtime is not even there to end it.
            None if state.closed => Seen::Stuck,
            None => {
                state.unwatched = last;
                Seen::Nothing
            }
        }
    }

    /// How long a request may wait here for the runtime, and for the server. Enough is left for another way.
    pub(super) fn patience(&self) -> (Duration, Duration) {
        let most = self.settings.time_limit / 4;
        (PATIENCE.min(most), SLOW.min(most))
    }

    /// Waits on `idem-io`, by its clock, until this has ended, and sees to it that it does when it stands still.
    pub(crate) async fn supervise(self: Arc<Self>) {
        let mut quiet = 0;
        loop {
            tokio::time::sleep(self.patience().0 / 2).await;
            match self.look(Instant::now(), quiet >= QUIET) {
                Seen::Over => return,
                Seen::Stuck => {
                    tracing::debug!(
                        "a runtime's own connection stands still: what it was asked goes another way"
                    );
                    return self.end();
                }
                Seen::Moving => quiet = 0,
                Seen::Nothing if quiet >= QUIET => {
                    self.watched.notified().await;
                    quiet = 0;
                }
                Seen::Nothing => quiet += 1,
            }
        }
    }
}
