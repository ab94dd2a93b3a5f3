//! As long a run of the history checker as is wanted, on any store.
//!
//! ```sh
//! cargo test --release -p idem-history --test long -- --store sqlite --until kills=200,stops=50,lost=2000
//! ```

mod place;

use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Parser;
use idem::Store as _;
use idem::conformance::history::{self, History, Report};
use idem::store::Durability;

use self::place::Place;

/// Kills and stops processes that use a store, loses its answers, and checks that every promise is kept.
#[derive(Parser)]
struct Options {
    /// Where: a store's URL; or a store that is started for this run and is gone after it: `memory`, `sqlite`,
    /// `postgres`, `redis`, `redis-cluster`.
    #[arg(long)]
    store: String,
    /// How much has to happen.
    #[arg(long, value_parser = until, default_value = "kills=200,stops=50,lost=2000")]
    until: Until,
    /// What everything random is drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The leases of the calls.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "200ms")]
    lease: Duration,
    /// How many processes there are at a time.
    #[arg(long, default_value_t = 4)]
    processes: usize,
    /// It fails if that has not happened within so long.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "1h")]
    at_most: Duration,
    /// Keeps the ledger in this folder.
    #[arg(long)]
    keep: Option<std::path::PathBuf>,
}

#[derive(Clone, Copy)]
struct Until {
    kills: u64,
    stops: u64,
    lost: u64,
}

fn until(text: &str) -> Result<Until, String> {
    let mut until = Until { kills: 0, stops: 0, lost: 0 };
    for part in text.split(',') {
        let (name, number) = part.split_once('=').ok_or("write `kills=200,stops=50,lost=2000`")?;
        let number = number.parse().map_err(|_| format!("`{number}` is not a whole number"))?;
        match name {
            "kills" => until.kills = number,
            "stops" => until.stops = number,
            "lost" => until.lost = number,
            _ => return Err(format!("`{name}` is none of `kills`, `stops`, `lost`")),
        }
    }
    Ok(until)
}

fn main() -> ExitCode {
    // In the processes of the run: makes calls, and does not return.
    history::worker(idem::connect_blocking);
    let options = Options::parse();
    match run(&options) {
        Ok(report) => {
            println!("{report}");
            if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<Report, String> {
    let place = Place::open(&options.store)?;
    let Until { kills, stops, lost } = options.until;
    let mut history = History::new()
        .seed(options.seed)
        .lease(options.lease)
        .at_once(options.processes)
        .kills(kills)
        .stops(stops)
        .lost(lost)
        .at_most(options.at_most);
    if let Some(folder) = &options.keep {
        history = history.keep(folder);
    }
    if let Some(cut) = place.cut() {
        history = history.disturb("connections cut", cut);
    }
    let store = idem::connect_blocking(place.url()).map_err(|error| error.to_string())?;
    if store.profile().durability == Durability::Process {
        return Ok(history.tasks(|| store.clone()));
    }
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(history.processes(place.url(), || Command::new(&program)))
}
