//! Measures things beside each other: in turns, in one run, many times over.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A round counts as disturbed where a thread waited for a processor longer than this share of the time.
const DISTURBED: f64 = 0.01;

/// How many more rounds than asked for are made, at most, to replace those that were disturbed.
const PATIENCE: usize = 4;

/// Something that is measured: it does so many operations.
pub struct Subject<'a> {
    run: Box<dyn FnMut(usize) + 'a>,
}

impl<'a> Subject<'a> {
    /// `run` does the operation so many times.
    pub fn new(run: impl FnMut(usize) + 'a) -> Self {
        Subject { run: Box::new(run) }
    }

    /// One operation, done again and again.
    pub fn each(mut once: impl FnMut() + 'a) -> Self {
        Subject::new(move |times| (0..times).for_each(|_| once()))
    }
}

/// Nanoseconds per operation: of each subject, in each round.
pub struct Times(Vec<Vec<f64>>);

/// By which clock.
#[derive(Clone, Copy)]
pub enum Clock {
    /// The thread's own time on a processor: for what never waits, so that time which the processor was given to
    /// other programs does not count.
    Thread,
    /// The time that passes.
    Wall,
}

impl Clock {
    fn start(self) -> impl Fn() -> Duration {
        let thread = || {
            let now = clock_gettime(ClockId::ThreadCPUTime);
            Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
        };
        let (began, began_on_processor) = (Instant::now(), thread());
        move || match self {
            Clock::Thread => thread() - began_on_processor,
            Clock::Wall => began.elapsed(),
        }
    }
}

/// Runs the subjects in turns: each round runs each of them once, for `operations`, every second round the other
/// way round. Rounds in which other programs took the processor are replaced, as far as there is patience: they
/// leave other things in the caches.
pub fn in_turns(clock: Clock, rounds: usize, operations: usize, subjects: &mut [Subject<'_>]) -> Times {
    for subject in subjects.iter_mut() {
        (subject.run)(operations.div_ceil(4));
    }
    let mut seen: Vec<(f64, Vec<f64>)> = Vec::new();
    let mut clean = 0;
    while clean < rounds && seen.len() < rounds * PATIENCE {
        let mut times = vec![0.0; subjects.len()];
        let mut worst: f64 = 0.0;
        for turn in 0..subjects.len() {
            let turn = if seen.len() % 2 == 0 { turn } else { subjects.len() - 1 - turn };
            let (waited, elapsed) = (waited_for_processor(), clock.start());
            (subjects[turn].run)(operations);
            let elapsed = elapsed().as_nanos() as f64;
            worst = worst.max((waited_for_processor() - waited) as f64 / elapsed);
            times[turn] = elapsed / operations as f64;
        }
        clean += usize::from(worst <= DISTURBED);
        seen.push((worst, times));
    }
    seen.sort_by(|a, b| a.0.total_cmp(&b.0));
    seen.truncate(rounds);
    Times((0..subjects.len()).map(|subject| seen.iter().map(|(_, times)| times[subject]).collect()).collect())
}

impl Times {
    /// What was measured elsewhere, round by round.
    pub fn from_rounds(rounds: Vec<Vec<f64>>) -> Self {
        let subjects = rounds.first().map_or(0, Vec::len);
        Times((0..subjects).map(|subject| rounds.iter().map(|round| round[subject]).collect()).collect())
    }

    /// The median of one subject.
    pub fn of(&self, subject: usize) -> f64 {
        quantile(&self.0[subject], 0.5)
    }

    /// One subject relative to another: in each round, so that what slows both down does not count.
    pub fn ratio(&self, subject: usize, beside: usize) -> Ratio {
        self.ratio_by(|round| round(subject) / round(beside))
    }

    /// What `ratio` makes of each round.
    pub fn ratio_by(&self, ratio: impl Fn(&dyn Fn(usize) -> f64) -> f64) -> Ratio {
        let rounds = self.0.first().map_or(0, Vec::len);
        let ratios: Vec<f64> = (0..rounds).map(|round| ratio(&|subject| self.0[subject][round])).collect();
        Ratio {
            median: quantile(&ratios, 0.5),
            quartiles: Some((quantile(&ratios, 0.25), quantile(&ratios, 0.75))),
        }
    }
}

/// A ratio, and between what the middle half of the rounds lay.
#[derive(Clone, Copy)]
pub struct Ratio {
    pub median: f64,
    pub quartiles: Option<(f64, f64)>,
}

impl From<f64> for Ratio {
    fn from(exact: f64) -> Self {
        Ratio { median: exact, quartiles: None }
    }
}

pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// How long this thread has been ready to run and was not, in nanoseconds; 0 where the system does not say.
pub fn waited_for_processor() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|waited| waited.parse().ok()).unwrap_or(0)
}
