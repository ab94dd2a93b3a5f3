//! What annotated functions cost the compiler, beside `#[tracing::instrument]`.
//!
//! Two crates of the same 200 functions, each awaited, are compiled in turns (debug build, not incremental). What
//! counts is the user time of the compiler for that crate alone: cargo's own, measured where there is nothing to
//! do, is taken off.
#![allow(unsafe_code, reason = "the system is asked for the user time of processes")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::measure::Times;
use crate::table::{Row, time};

const FUNCTIONS: usize = 200;
const ROUNDS: usize = 9;

struct Variant {
    name: &'static str,
    dependency: String,
    attribute: &'static str,
    conversion: &'static str,
}

pub fn rows() -> Vec<Row> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let variants = [
        Variant {
            name: "annotated",
            dependency: format!("idem = {{ package = \"idem-rs\", path = {root:?} }}"),
            attribute: "#[idem::idempotent]",
            conversion: "impl From<idem::Error> for Error {
                fn from(error: idem::Error) -> Self { Error(error.to_string()) }
            }",
        },
        Variant {
            name: "instrumented",
            dependency: "tracing = { version = \"0.1\", default-features = false, features = [\"std\", \"attributes\"] }".into(),
            attribute: "#[tracing::instrument]",
            conversion: "",
        },
        Variant { name: "plain", dependency: String::new(), attribute: "", conversion: "" },
    ];
    let folder = tempfile::tempdir().expect("a folder for the crates");
    let members: Vec<_> = variants.iter().map(|variant| variant.name).collect();
    write(folder.path(), "Cargo.toml", &format!("[workspace]\nresolver = \"3\"\nmembers = {members:?}\n"));
    // The same versions as here.
    fs::copy(root.join("Cargo.lock"), folder.path().join("Cargo.lock")).expect("there is a Cargo.lock");
    for variant in &variants {
        let crate_folder = folder.path().join(variant.name);
        fs::create_dir_all(crate_folder.join("src")).expect("the folder can be made");
        write(
            &crate_folder,
            "Cargo.toml",
            &format!(
                "[package]\nname = \"{}\"\nedition = \"2024\"\n[dependencies]\n{}\n",
                variant.name, variant.dependency
            ),
        );
        write(&crate_folder, "src/lib.rs", &source(variant));
    }
    for variant in &variants {
        build(folder.path(), variant.name);
    }
    let rounds = (0..ROUNDS).map(|round| {
        let mut times: Vec<f64> = vec![0.0; variants.len()];
        for turn in 0..variants.len() {
            let turn = if round % 2 == 0 { turn } else { variants.len() - 1 - turn };
            let name = variants[turn].name;
            // Once more where the first finds that the file is as new as what was made of it.
            build(folder.path(), name);
            let nothing = build(folder.path(), name);
            write(&folder.path().join(name), "src/lib.rs", &source(&variants[turn]));
            times[turn] = build(folder.path(), name) - nothing;
        }
        times
    });
    let times = Times::from_rounds(rounds.collect());
    let beside = format!("`#[tracing::instrument]`: {} (plain: {})", time(times.of(1)), time(times.of(2)));
    vec![
        Row::new(format!("compiling {FUNCTIONS} annotated and awaited functions"), time(times.of(0)), beside)
            .ratio(times.ratio(0, 1))
            .at_most(2.0),
    ]
}

fn source(variant: &Variant) -> String {
    let mut source = String::from(
        "#![recursion_limit = \"512\"]
use std::future::Future;
use std::task::{Context, Poll, Waker};

#[derive(Debug)]
pub struct Error(pub String);

async fn step(order: u64) -> Result<u64, Error> {
    if order == 0 { Err(Error(\"no order\".into())) } else { Ok(order) }
}
",
    );
    source.push_str(variant.conversion);
    let mut calls = String::new();
    for function in 0..FUNCTIONS {
        let attribute = variant.attribute;
        write!(
            source,
            "
{attribute}
pub async fn charge_{function}(order: u64, who: &str) -> Result<u64, Error> {{
    let number = step(order).await?;
    Ok(number + {function} + who.len() as u64)
}}
"
        )
        .expect("a String takes every text");
        writeln!(calls, "    sum += charge_{function}(order, who).await?;")
            .expect("a String takes every text");
    }
    write!(
        source,
        "
async fn all(order: u64, who: &str) -> Result<u64, Error> {{
    let mut sum = 0;
{calls}    Ok(sum)
}}

pub fn drive() -> Option<Result<u64, Error>> {{
    let mut all = std::pin::pin!(all(7, \"ann\"));
    match all.as_mut().poll(&mut Context::from_waker(Waker::noop())) {{
        Poll::Ready(sum) => Some(sum),
        Poll::Pending => None,
    }}
}}
"
    )
    .expect("a String takes every text");
    source
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).expect("the file can be written");
}

/// Builds one crate; the user time of all that took part, in nanoseconds.
fn build(folder: &Path, name: &str) -> f64 {
    let before = user_time_of_children();
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--lib", "-p", name])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env("CARGO_INCREMENTAL", "0")
        .env_remove("RUSTFLAGS")
        .stdin(Stdio::null())
        .status()
        .expect("cargo can be started");
    assert!(status.success(), "{name} does not compile");
    user_time_of_children() - before
}

/// The user time of this process's children that have ended, and of theirs.
fn user_time_of_children() -> f64 {
    // SAFETY: `rusage` is made of numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a `rusage` that lives as long as the call.
    let failed = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage) };
    assert_eq!(failed, 0, "the system does not tell the time of children");
    usage.ru_utime.tv_sec as f64 * 1e9 + usage.ru_utime.tv_usec as f64 * 1e3
}
