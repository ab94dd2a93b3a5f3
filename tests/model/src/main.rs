//! Looks at every state of every system, and prints how many there are; then takes out one rule after the other, and
//! prints the promise that fails and the shortest way there.
//!
//! `cargo run --release -p idem-model`: some minutes on two cores, and up to 4 GB.

use std::process::ExitCode;
use std::time::Instant;

use idem_model::bounds::Bounds;
use idem_model::system::System;
use idem_model::{broken, trace};
use stateright::{Checker, Model};

fn main() -> ExitCode {
    let mut holds = true;
    let only = std::env::args().nth(1).unwrap_or_default();
    println!(
        "| system | bounds | states | steps | longest way | time | broken |\n| --- | --- | --- | --- | --- | --- | --- |"
    );
    for bounds in Bounds::full().into_iter().filter(|bounds| bounds.name.contains(&only)) {
        let began = Instant::now();
        let checker = System::new(bounds).checker().threads(2).spawn_bfs().join();
        let broken = checker.discoveries();
        println!(
            "| {} | {bounds} | {} | {} | {} | {:.0?} | {} |",
            bounds.name,
            checker.unique_state_count(),
            checker.state_count(),
            checker.max_depth(),
            began.elapsed(),
            broken.len(),
        );
        for (promise, path) in broken {
            holds = false;
            println!("\n{promise} does not hold:\n{}", trace::text(path));
        }
    }
    for rule in broken::all().into_iter().filter(|rule| rule.name.contains(&only)) {
        let began = Instant::now();
        match rule.found() {
            Some(path) => {
                println!(
                    "\n{}\nbreaks {} ({:.0?}):\n{}",
                    rule.name,
                    rule.breaks.text(),
                    began.elapsed(),
                    trace::text(path)
                );
            }
            None => {
                holds = false;
                println!("\n{}: nothing is found, though {} should fail", rule.name, rule.breaks.text());
            }
        }
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
