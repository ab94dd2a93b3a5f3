//! `idem token`, and the device, make the tokens that a program in another language makes: `tests/vectors` has it.

mod common;

use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{PROGRAM, device};
use serde_json::{Value, json};

const CALLS: &str = "1000";
const SEED: &str = "6";

/// None where Python is not installed, and a line says so; with `IDEM_REQUIRE_SERVERS=1` that is a panic.
fn calls() -> Vec<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/json_arguments.py");
    let Ok(made) = Command::new("python3").args([script, CALLS, SEED]).output() else {
        assert!(std::env::var("IDEM_REQUIRE_SERVERS").is_err(), "python3 is not installed");
        eprintln!("SKIPPED: python3 is not installed");
        return Vec::new();
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let text = String::from_utf8(made.stdout).unwrap();
    let calls: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(calls.len(), 1000);
    calls
}

fn token(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).arg("token").args(arguments).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn the_command_agrees_with_another_language() {
    let calls = calls();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(call) = calls.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let text = |name: &str| call[name].as_str().unwrap();
                    // No argument of a program holds a zero.
                    if text("scope").contains('\0') || text("function").contains('\0') {
                        continue;
                    }
                    let said = token(&[
                        "--scope",
                        text("scope"),
                        "--function",
                        text("function"),
                        "--",
                        text("arguments"),
                    ]);
                    match &call["token"] {
                        Value::Null => assert!(!said.status.success(), "not refused: {call}"),
                        token => {
                            let said = String::from_utf8(said.stdout).unwrap();
                            assert_eq!(said.trim(), token.as_str().unwrap(), "{call}");
                        }
                    }
                }
            });
        }
    });
}

#[test]
fn the_device_agrees_with_another_language() {
    let device = device(&["--store", "memory:"]);
    for call in calls() {
        let text = |name: &str| call[name].as_str().unwrap();
        let names = json!({ "scope": text("scope"), "function": text("function") }).to_string();
        let body = format!(r#"{},"arguments":{}}}"#, names.strip_suffix('}').unwrap(), text("arguments"));
        let answer = device.post("/v1/submit", &body);
        match &call["token"] {
            Value::Null => assert_eq!(answer.problem(), "invalid-request", "{call}"),
            token => {
                assert_eq!((answer.status, &answer.json()["token"]), (201, token), "{call}");
                let record = device.get(&format!("/v1/records/{}", token.as_str().unwrap()));
                // What is recorded comes back as a value of which the token is the same.
                let record = String::from_utf8(record.body).unwrap();
                let (_, arguments) = record.split_once(r#""arguments":"#).unwrap();
                let (arguments, _) = arguments.split_once(r#","verify":{},"attempt":"#).unwrap();
                let body = format!(r#"{},"arguments":{arguments}}}"#, names.strip_suffix('}').unwrap());
                let again = device.post("/v1/submit", &body);
                assert_eq!((again.status, &again.json()["token"]), (200, token), "{call}");
            }
        }
    }
}

#[test]
fn the_command_says_what_it_is_made_of() {
    let function = "shop::charge(order_id: u64, who: String)";
    let encoding = "84666964656d2f3160782873686f703a3a636861726765286f726465725f69643a207536342c2077686f3a20537472696e6729820763616e6e";
    let hash = "6be7b1e2193e236149ff6cb471d5b6d8131c45089e0bf98b550542557eb716fe";
    let said = |more: &[&str]| {
        let arguments: Vec<_> =
            ["--function", function, r#"[7,"ann"]"#].iter().chain(more).copied().collect();
        String::from_utf8(token(&arguments).stdout).unwrap().trim().to_owned()
    };
    assert_eq!(said(&[]), hash);
    assert_eq!(said(&["--cbor"]), encoding);
    let json: Value = serde_json::from_str(&said(&["--json"])).unwrap();
    assert_eq!(json, json!({ "token": hash, "cbor": encoding }));
    let wrong = token(&["--function", "f", r#"{"a":1}"#]);
    assert!(!wrong.status.success());
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("one JSON array"));
}
