//! The schedule of a run: which process is killed, stopped or started, and when; until enough of it has happened.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::History;
use super::check::{Allowance, Broken, Counts, check};
use super::event::{Event, What};
use super::ledger::{Ledger, Reader};

/// A process of a run, as the schedule sees it.
pub(super) trait Process {
    /// Ends it at once, and does not return before it has ended.
    fn kill(&mut self);
    fn stop(&mut self);
    fn go_on(&mut self);
    /// Lets it end in good order; `false` if it does not within so long.
    fn finish(&mut self, limit: Duration) -> bool;
    /// Why it has ended without having been told to.
    fn ended(&mut self) -> Option<String>;
}

/// Starts a process with this number.
pub(super) type Start<'a> = dyn FnMut(u32) -> Result<Box<dyn Process>, String> + 'a;

/// One that runs.
struct Running {
    number: u32,
    process: Box<dyn Process>,
    /// Since when it stands still, and until when.
    stopped: Option<(Instant, Instant)>,
}

/// What a run has brought.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) events: Vec<Event>,
    pub(super) counts: Counts,
    pub(super) broken: Vec<Broken>,
    pub(super) troubles: Vec<String>,
}

/// How long a process may take to end in good order.
const PATIENCE: Duration = Duration::from_secs(40);

pub(super) struct Schedule<'a> {
    history: &'a History,
    rng: Rng,
    notes: Ledger,
    reader: Reader,
    running: Vec<Running>,
    next: u32,
    /// Stops that lasted longer than the lease.
    stops: u64,
    outcome: Outcome,
}

impl<'a> Schedule<'a> {
    pub(super) fn new(history: &'a History, folder: &Path) -> io::Result<Schedule<'a>> {
        Ok(Schedule {
            history,
            rng: Rng::with_seed(history.seed),
            notes: Ledger::open(folder, 0)?,
            reader: Reader::new(folder),
            running: Vec::new(),
            next: 1,
            stops: 0,
            outcome: Outcome::default(),
        })
    }

    /// Runs it, and checks what has happened.
    pub(super) fn run(mut self, start: &mut Start<'_>) -> io::Result<Outcome> {
        let began = Instant::now();
        let mut look = began + Duration::from_secs(1);
        while self.running.len() < self.history.processes && self.start(start) {}
        loop {
            if !self.outcome.troubles.is_empty() || (self.reached() && self.stops >= self.history.stops) {
                break;
            }
            if began.elapsed() > self.history.at_most {
                self.outcome.troubles.push(format!(
                    "within {:?} there were {} kills of {}, {} stops of {}, {} lost answers of {}",
                    self.history.at_most,
                    self.outcome.counts.get("kills"),
                    self.history.kills,
                    self.stops,
                    self.history.stops,
                    self.outcome.counts.get("lost answers"),
                    self.history.lost
                ));
                break;
            }
            std::thread::sleep(self.history.lease.mul_f64(0.2 + self.rng.f64() * 0.6));
            self.act(start);
            self.read()?;
            // Seldom enough that it does not count, and soon enough that a broken store is seen at once.
            if Instant::now() >= look {
                look = Instant::now() + began.elapsed();
                self.check();
                if !self.outcome.broken.is_empty() {
                    break;
                }
            }
        }
        self.finish();
        self.read()?;
        self.check();
        self.outcome.counts.0.insert("stops beyond the lease", self.stops);
        Ok(self.outcome)
    }

    fn reached(&self) -> bool {
        let counts = &self.outcome.counts;
        counts.get("kills") >= self.history.kills && counts.get("lost answers") >= self.history.lost
    }

    fn read(&mut self) -> io::Result<()> {
        let more = self.reader.more()?;
        more.iter().for_each(|event| self.outcome.counts.add(event));
        self.outcome.events.extend(more);
        Ok(())
    }

    fn check(&mut self) {
        self.outcome.broken = check(&self.outcome.events, Allowance::default());
    }

    fn start(&mut self, start: &mut Start<'_>) -> bool {
        let number = self.next;
        self.next += 1;
        match start(number) {
            Ok(process) => {
                self.notes.note(number, What::Started);
                self.running.push(Running { number, process, stopped: None });
                true
            }
            Err(why) => {
                self.outcome.troubles.push(why);
                false
            }
        }
    }

    /// Does one thing to one of the processes.
    fn act(&mut self, start: &mut Start<'_>) {
        for one in &mut self.running {
            if let Some(why) = one.process.ended() {
                self.outcome.troubles.push(format!("process {} ended by itself: {why}", one.number));
            }
            if let Some((since, _)) = one.stopped.filter(|(_, until)| *until <= Instant::now()) {
                self.stops += u64::from(since.elapsed() > self.history.lease);
                one.process.go_on();
                one.stopped = None;
                self.notes.note(one.number, What::Continued);
            }
        }
        let index = self.rng.usize(..self.running.len());
        let one = &mut self.running[index];
        let most = self.history.processes / 2;
        match self.rng.u32(..100) {
            0..38 => {
                let mut one = self.running.swap_remove(index);
                one.process.kill();
                self.notes.note(one.number, What::Killed);
                self.start(start);
            }
            38..85 if one.stopped.is_none() => {
                let time = self.history.lease.mul_f64(1.1 + self.rng.f64() * 2.0);
                self.notes.note(one.number, What::Stopped);
                one.process.stop();
                one.stopped = Some((Instant::now(), Instant::now() + time));
            }
            _ => {
                if let Some((what, disturb)) = &self.history.disturb {
                    disturb();
                    self.notes.note(0, What::Disturbed { what: what.clone() });
                }
            }
        }
        // Somebody has to be there to take over.
        let stopped = self.running.iter().filter(|one| one.stopped.is_some()).count();
        if stopped > most.max(1) {
            std::thread::sleep(self.history.lease / 2);
        }
    }

    fn finish(&mut self) {
        for one in &mut self.running {
            if one.stopped.take().is_some() {
                one.process.go_on();
                self.notes.note(one.number, What::Continued);
            }
        }
        for one in &mut self.running {
            if !one.process.finish(PATIENCE) {
                // Whoever still waits in it has waited for too long.
                self.notes.note(one.number, What::Finished);
                one.process.kill();
            }
        }
    }
}
