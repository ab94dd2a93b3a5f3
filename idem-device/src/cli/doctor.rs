//! `idem doctor`: what a store promises with the settings that it has.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use idem::Token;
use idem::store::{Durability, Handle, Query, Request, Store as _};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::at::{At, name};
use super::exit::Exit;
use super::{Failure, out};
use crate::answer::Object;
use crate::look::{self, words};

#[derive(Debug, Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    at: At,
}

/// So often the store is asked, to see how long it takes.
const ROUNDS: usize = 21;

impl Doctor {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let warnings = Warnings::default();
        tracing_subscriber::registry().with(warnings.clone()).init();
        let began = Instant::now();
        let store = self.at.connect().await?;
        let connecting = began.elapsed();
        let answering = answering(&store).await?;
        let mut query = Query::default();
        query.limit = 1_000;
        let (open, more) = look::open_records(&store, &query).await?;
        let warnings = warnings.take();

        let open = open.len() as u64;
        let profile = store.profile();
        if self.at.json {
            let list =
                warnings.iter().map(|warning| Object::new().text("warning", warning.clone())).collect();
            out::json(
                &Object::new()
                    .text("store", name(&store).to_owned())
                    .text("durability", profile.durability.to_string())
                    .millis("time_limit_ms", profile.time_limit)
                    .number("connecting_us", micros(connecting))
                    .number("read_us", micros(answering))
                    .number("open", open)
                    .flag("more_open", more.is_some())
                    .list("warnings", list),
            )?;
        } else {
            let mut text = String::new();
            let mut line = |name: &str, value: String| {
                let _ = writeln!(text, "{name:<12}{value}");
            };
            line("store", words::clean(name(&store)));
            line("durability", format!("{}: {}", profile.durability, survives(profile.durability)));
            line("time limit", format!("{}: so long a request may take", words::span(profile.time_limit)));
            line("connecting", format!("{:.1} ms", connecting.as_secs_f64() * 1e3));
            line("a read", format!("{:.3} ms, the median of {ROUNDS}", answering.as_secs_f64() * 1e3));
            let at_least = if more.is_some() { "at least " } else { "" };
            let see = if open > 0 { ": see `idem ls --open`" } else { "" };
            line("open", format!("{at_least}{} records wait for a person{see}", words::number(open)));
            for warning in &warnings {
                line("warning", words::clean(warning));
            }
            out::print(&text)?;
        }
        match warnings.len() {
            0 => Ok(()),
            count => Err(Exit::warned(format!("{count} of its settings cost a promise")).into()),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// How long the store takes to answer that there is no such record.
async fn answering(store: &Handle) -> Result<Duration, Failure> {
    let mut took = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        store.ask(Request::Get { token: Token::default() }).await?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    Ok(took[ROUNDS / 2])
}

fn survives(durability: Durability) -> &'static str {
    match durability {
        Durability::Process => {
            "its records survive nothing beyond the process that keeps them; after its end every call is a first one"
        }
        Durability::Machine => {
            "its records survive the end of the process, but a power cut can cost the last ones"
        }
        Durability::Synced => "its records survive a power cut, but not the loss of the machine",
        Durability::Replicated => "its records survive the loss of the machine",
        _ => "a class that this version does not know",
    }
}

/// What stores warn about when they connect.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: tracing::Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let ours = event.metadata().target().starts_with("idem");
        if ours && *event.metadata().level() <= tracing::Level::WARN {
            let mut message = Message::default();
            event.record(&mut message);
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(message.0);
        }
    }
}

/// The text of a warning; which store it is about stands above it.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.0.insert_str(0, &format!("{value:?}")),
            "store" => {}
            name => drop(write!(self.0, "; {name}={value:?}")),
        }
    }
}
