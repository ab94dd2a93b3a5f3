//! What idem costs, beside what one would write instead: every figure is a ratio of two things that were measured
//! in turns, in one run.
//!
//! `cargo bench -p idem-benches [-- SECTION… [--dir FOLDER]]` prints a Markdown table. Sections: `token`,
//! `memory`, `threads`, `space`, `allocations`, `sqlite`, `redis`, `postgres`, `postgres-many`, `device`,
//! `device-callers`, `compile`, `future`; all of them if none is named.

mod allocations;
mod allocator;
mod beside;
mod compile;
mod device;
mod device_callers;
mod future;
mod http;
mod measure;
mod memory;
mod postgres;
mod postgres_many;
mod redis;
mod redis_others;
mod redis_space;
mod space;
mod sqlite;
mod subject;
mod table;
mod threads;
mod token;
mod waiting;

use std::path::PathBuf;
use std::process::ExitCode;

use table::Row;

const SECTIONS: [&str; 13] = [
    "token",
    "memory",
    "threads",
    "space",
    "allocations",
    "sqlite",
    "redis",
    "postgres",
    "postgres-many",
    "device",
    "device-callers",
    "compile",
    "future",
];

fn main() -> ExitCode {
    let mut sections = Vec::new();
    let mut folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // `cargo bench` says so after everything else.
            "--bench" => {}
            "--dir" => match arguments.next() {
                Some(named) => folder = named.into(),
                None => return usage("--dir needs a folder"),
            },
            space::CHILD => {
                space::child();
                return ExitCode::SUCCESS;
            }
            postgres::CHILD => {
                postgres::child(&arguments.next().expect("a URL"));
                return ExitCode::SUCCESS;
            }
            redis_others::CHILD => {
                redis_others::child(&arguments.next().expect("a URL"));
                return ExitCode::SUCCESS;
            }
            device::CHILD => {
                device::child(&arguments.next().expect("what it answers"));
                return ExitCode::SUCCESS;
            }
            waiting::CHILD => {
                waiting::child();
                return ExitCode::SUCCESS;
            }
            section if SECTIONS.contains(&section) => sections.push(section.to_owned()),
            other => return usage(&format!("there is no section `{other}`")),
        }
    }
    let chosen = |section: &str| sections.is_empty() || sections.iter().any(|chosen| chosen == section);

    let mut rows: Vec<Row> = Vec::new();
    let mut add = |section: &str, measured: &mut dyn FnMut() -> Vec<Row>| {
        if chosen(section) {
            eprintln!("{section} …");
            rows.extend(measured());
        }
    };
    add("token", &mut token::rows);
    add("memory", &mut || memory::rows(memory::FEW));
    add("threads", &mut || threads::rows(memory::FEW));
    add("memory", &mut || memory::rows(memory::MANY));
    add("threads", &mut || threads::rows(memory::MANY));
    add("space", &mut space::rows);
    add("allocations", &mut allocations::rows);
    add("sqlite", &mut || sqlite::rows(&folder));
    add("postgres", &mut postgres::rows);
    add("postgres-many", &mut postgres_many::rows);
    add("redis", &mut redis::rows);
    add("device", &mut || device::rows(&folder));
    add("device-callers", &mut || device_callers::rows(&folder));
    add("compile", &mut compile::rows);
    add("future", &mut future::rows);
    table::print(&rows);
    ExitCode::SUCCESS
}

fn usage(what: &str) -> ExitCode {
    eprintln!("{what}\nusage: idem-benches [{}] [--dir FOLDER]", SECTIONS.join("] ["));
    ExitCode::FAILURE
}
