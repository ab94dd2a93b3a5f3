//! Handles 5,000 webhook deliveries, about a third of them repetitions, and charges each event once.
//!
//! ```text
//! cargo run --example checkout                  run it again, or kill it and run it again
//! cargo run --example checkout -- --fresh       starts over, with an empty ledger
//! cargo run --example checkout -- --settle      first decides about what a killed run has left interrupted
//! cargo run --example checkout -- FILE          other deliveries than `examples/checkout/deliveries.jsonl`
//! ```
//!
//! The records are in the store that `IDEM_STORE` names, or else in `target/checkout/idem.db`. What was really
//! charged is in `target/checkout/ledger.jsonl`. The annotated function is in `shop.rs`.
//!
//! | run | executed | replayed | refused | failed |
//! | --- | --- | --- | --- | --- |
//! | first | 3500 | 1150 | 150 | 200 |
//! | every other | 0 | 4850 | 150 | 0 |
//!
//! Refused are deliveries with the id of an event and another amount. What failed was delivered again, later in
//! the same file, and succeeded then. A run that was killed leaves the charges that it was about to make
//! *interrupted*: nobody knows whether they were made. The next run waits until their lease is over (5 s), and
//! then they are refused until a person has looked, here with `--settle`. Several runs at once share the work.

mod ledger;
mod report;
mod settle;
mod shop;

use std::collections::VecDeque;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use idem::store::{Durability, Handle};
use serde::Deserialize;

use self::ledger::Ledger;
use self::report::{Fate, Report};
use self::shop::Shop;

/// So many deliveries are in hand at a time. The file counts on not more than 64: see `make_deliveries.py`.
const AT_ONCE: usize = 64;

const DELIVERIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/checkout/deliveries.jsonl");
const FOLDER: &str = "target/checkout";

/// One line of the file.
#[derive(Deserialize)]
struct Delivery {
    event: String,
    order: String,
    amount_cents: u64,
    /// For so many attempts the payment provider will be busy.
    busy: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    // What the library warns of, and nothing else of it.
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    match checkout().await {
        Ok(report) if report.is_clean() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("checkout: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn checkout() -> Result<Report, Box<dyn Error>> {
    let options = Options::read(std::env::args().skip(1))?;
    let deliveries = read(&options.deliveries)?;

    let folder = Path::new(FOLDER);
    std::fs::create_dir_all(folder).map_err(|error| format!("{FOLDER} cannot be made: {error}"))?;
    let store = connect(folder).await?;
    idem::install(store.clone())?;
    let profile = store.profile();
    // Records that end with the process know nothing of an older ledger.
    let fresh = options.fresh || profile.durability == Durability::Process;
    let ledger = Ledger::open(folder, &profile.name, fresh)?;
    println!(
        "store   {} (class `{}`)\nledger  {}\n",
        profile.name,
        profile.durability,
        ledger.path().display()
    );

    let shop = Arc::new(Shop::new(ledger));
    if options.settle {
        settle::settle(&store, &shop).await?;
    }
    let report = handle_all(&shop, deliveries).await?;
    report.print(&shop.ledger().read()?);
    settle::list(&store, &shop).await?;
    println!("{}", report.summary());
    // Nothing is left here, unless the store was not there while a result was recorded.
    if !idem::shutdown(Duration::from_secs(10)).await {
        eprintln!("some results could not be recorded");
    }
    Ok(report)
}

/// Handles the deliveries in their order, so many at once, and waits for the oldest one before it takes another.
async fn handle_all(shop: &Arc<Shop>, deliveries: Vec<Delivery>) -> Result<Report, Box<dyn Error>> {
    let mut report = Report::new(deliveries.len());
    let mut in_hand = VecDeque::with_capacity(AT_ONCE);
    let began = Instant::now();
    for delivery in deliveries {
        if in_hand.len() == AT_ONCE {
            if let Some(oldest) = in_hand.pop_front() {
                report.add(oldest.await?);
            }
        }
        in_hand.push_back(tokio::spawn(handle(Arc::clone(shop), delivery)));
    }
    for rest in in_hand {
        report.add(rest.await?);
    }
    report.took(began.elapsed());
    Ok(report)
}

/// What a web handler would do: call the annotated function. The rest is for the report.
async fn handle(shop: Arc<Shop>, delivery: Delivery) -> Fate {
    let Delivery { event, order, amount_cents, busy } = delivery;
    let (result, seen) = idem::observe(shop.charge(&event, &order, amount_cents, busy)).await;
    Fate::of(result, seen)
}

async fn connect(folder: &Path) -> Result<Handle, Box<dyn Error>> {
    let url = match std::env::var("IDEM_STORE") {
        Ok(url) if !url.trim().is_empty() => url,
        _ => format!("sqlite:{}", folder.join("idem.db").display()),
    };
    Ok(idem::connect(&url).await?)
}

fn read(path: &Path) -> Result<Vec<Delivery>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let line = |(index, line)| {
        serde_json::from_str(line).map_err(|error| format!("{}, line {}: {error}", path.display(), index + 1))
    };
    text.lines().enumerate().map(line).collect()
}

struct Options {
    fresh: bool,
    settle: bool,
    deliveries: PathBuf,
}

impl Options {
    fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Options { fresh: false, settle: false, deliveries: DELIVERIES.into() };
        for argument in arguments {
            match argument.as_str() {
                "--fresh" => options.fresh = true,
                "--settle" => options.settle = true,
                flag if flag.starts_with('-') => {
                    return Err(format!("there is no option {flag}; write [--fresh] [--settle] [FILE]"));
                }
                file => options.deliveries = file.into(),
            }
        }
        Ok(options)
    }
}
