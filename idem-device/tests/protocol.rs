//! Every operation as a request: what it is answered with, in JSON and in CBOR, and once more.

mod common;

use std::io::Write as _;
use std::time::{Duration, Instant};

use common::{Answer, Device, device, read};
use idem::encoding::{entries, from_slice, to_vec};
use serde::Serialize;
use serde_json::json;

const CALL: &str = r#"{"function":"charge","arguments":[7],"verify":{"amount":250}}"#;
const ATTEMPT: &str = "0195d1ae-7c3b-7e6f-8a9b-0c1d2e3f4a5b";

/// A call with more names.
fn call(more: &str) -> String {
    CALL.replacen('{', &format!("{{{more},"), 1)
}

fn attempt(more: &str) -> String {
    format!(r#"{{"attempt":"{ATTEMPT}"{more}}}"#)
}

fn claimed(device: &Device) -> (String, serde_json::Value) {
    let claim = device.post("/v1/claim", &call(&format!(r#""attempt":"{ATTEMPT}""#)));
    assert_eq!(claim.status, 201, "{claim:?}");
    let json = claim.json();
    (format!("/v1/records/{}", json["token"].as_str().unwrap()), json)
}

#[test]
fn from_claim_to_result() {
    let device = device(&[]);
    let (record, first) = claimed(&device);
    assert_eq!((&first["outcome"], &first["number"]), (&json!("claimed"), &json!(1)));
    assert_eq!(first["fence"], first["generation"]);
    assert_eq!(first["attempt"], ATTEMPT);
    // The same request of the same attempt is answered as the first time.
    assert_eq!(claimed(&device).1, first);

    let running = device.post("/v1/claim", CALL);
    assert_eq!((running.status, running.problem().as_str()), (409, "running"));
    let left = running.json()["lease_left_ms"].as_u64().unwrap();
    assert!(left > 5_000 && left <= 10_000, "{left}");
    let after: u64 = running.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(after, left.div_ceil(1000));

    let mismatch = device.post("/v1/claim", &CALL.replace("250", "251"));
    assert_eq!((mismatch.status, mismatch.problem().as_str()), (422, "mismatch"));
    assert_eq!(mismatch.json()["argument"], "amount");
    assert!(!String::from_utf8(mismatch.body).unwrap().contains("250"));

    let seen = device.get(&record).json();
    assert_eq!((&seen["state"], &seen["lease_over"]), (&json!("running"), &json!(false)));
    let held = device.ask("DELETE", &record, &[], b"");
    assert_eq!((held.status, held.problem().as_str()), (409, "running"));
    let renewed = device.post(&format!("{record}/renew"), &attempt(r#","lease_ms":60000"#));
    assert_eq!((renewed.status, &renewed.json()["outcome"]), (200, &json!("renewed")));
    let renewed = device.post("/v1/claim", CALL).json();
    assert!(renewed["lease_left_ms"].as_u64().unwrap() > 50_000, "{renewed}");

    let complete =
        attempt(r#","function":"charge","result":{"receipt":[1,null,"ö"]},"verify":{"amount":250}"#);
    for _ in 0..2 {
        let completed = device.post(&format!("{record}/complete"), &complete);
        assert_eq!((completed.status, &completed.json()["outcome"]), (200, &json!("completed")));
    }
    let done = device.post("/v1/claim", CALL);
    assert_eq!((done.status, &done.json()["outcome"]), (200, &json!("done")));
    assert_eq!(done.json()["result"], json!({"receipt": [1, null, "ö"]}));
    assert_eq!(done.json()["completed_by"], ATTEMPT);
    assert!(done.json()["expires_at"].as_str().unwrap() > done.json()["completed_at"].as_str().unwrap());
    let rejected = device.post("/v1/claim", &call(r#""on_duplicate":"reject""#)).json();
    assert_eq!(
        (&rejected["message"], rejected.get("result")),
        (&json!("Do not submit repeated requests"), None)
    );

    // Another attempt that comes late has lost, and is told what there is.
    let late = device
        .post(&format!("{record}/complete"), r#"{"attempt":"00000000000000000000000000000009","result":1}"#);
    assert_eq!((late.status, late.problem().as_str()), (412, "lease-lost"));
    assert_eq!(late.json()["winner"]["result"], json!({"receipt": [1, null, "ö"]}));

    let forgotten = device.ask("DELETE", &record, &[], b"");
    assert_eq!((forgotten.status, &forgotten.json()["outcome"]), (200, &json!("forgotten")));
    let gone = device.get(&record);
    assert_eq!((gone.status, gone.problem().as_str()), (404, "no-record"));
}

#[test]
fn what_a_person_decides() {
    let device = device(&["--store", "memory:"]);
    let (record, first) = claimed(&device);
    let fence = &first["fence"];
    let by = |more: &str| format!(r#"{{"fence":{fence},"by":"ann"{more}}}"#);
    let not_yet = device.post(&format!("{record}/reopen"), &by(""));
    assert_eq!((not_yet.status, not_yet.problem().as_str()), (409, "not-open"));
    assert_eq!(not_yet.json()["record"]["state"], "running");

    let interrupted = device.post(&format!("{record}/interrupt"), &attempt(""));
    assert_eq!((interrupted.status, &interrupted.json()["outcome"]), (200, &json!("interrupted")));
    let refused = device.post("/v1/claim", &call(r#""on_interrupt":"reject""#));
    assert_eq!((refused.status, refused.problem().as_str()), (409, "interrupted"));
    let list = device.get("/v1/records?state=interrupted&function=charge&age=0s").json();
    assert_eq!(list["records"][0]["fence"], *fence);
    assert_eq!(list["next"], json!(null));

    let resolved = device.post(&format!("{record}/resolve"), &by(r#","result":"receipt 7""#));
    assert_eq!((resolved.status, &resolved.json()["outcome"]), (200, &json!("resolved")));
    let done = device.post("/v1/claim", CALL).json();
    assert_eq!((&done["result"], &done["completed_by"]), (&json!("receipt 7"), &json!(null)));
    assert_eq!(device.get(&record).json()["by"], "ann");

    // And the other way: run it again.
    let other = device.post("/v1/claim", &CALL.replace("[7]", "[8]")).json();
    let record = format!("/v1/records/{}", other["token"].as_str().unwrap());
    let attempt = other["attempt"].as_str().unwrap();
    device.post(&format!("{record}/interrupt"), &format!(r#"{{"attempt":"{attempt}"}}"#));
    let reopened =
        device.post(&format!("{record}/reopen"), &format!(r#"{{"fence":{},"by":"bob"}}"#, other["fence"]));
    assert_eq!((reopened.status, &reopened.json()["outcome"]), (200, &json!("reopened")));
    let again = device.post("/v1/claim", &CALL.replace("[7]", "[8]"));
    assert_eq!((again.status, &again.json()["number"]), (201, &json!(2)));
    let released =
        device.post(&format!("{record}/release"), &format!(r#"{{"attempt":{}}}"#, again.json()["attempt"]));
    assert_eq!((released.status, &released.json()["outcome"]), (200, &json!("released")));
    assert_eq!(device.get(&record).json()["state"], "free");
}

#[test]
fn a_lease_that_is_over_is_seen() {
    let device = device(&[]);
    for order in 0..20 {
        let more = if order == 7 { r#""lease_ms":1"# } else { r#""lease_ms":60000"# };
        device.post("/v1/claim", &call(more).replace("[7]", &format!("[{order}]")));
    }
    let mut over = 0;
    let all = device.get("/v1/records?state=running").json();
    for record in all["records"].as_array().unwrap() {
        let one = device.get(&format!("/v1/records/{}", record["token"].as_str().unwrap())).json();
        over += u64::from(one["lease_over"] == json!(true));
    }
    assert_eq!(over, 1);
    let list = device.get("/v1/records?lease_over=true").json();
    assert_eq!(list["records"].as_array().unwrap().len(), 1);
}

#[test]
fn pages() {
    let device = device(&["--store", "memory:"]);
    for order in 0..25 {
        let answer = device.post(
            "/v1/submit",
            &format!(r#"{{"function":"f","arguments":[{order}],"result":"{}"}}"#, "x".repeat(400_000)),
        );
        assert_eq!(answer.status, 201);
    }
    let (mut cursor, mut found, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let page = device.get(&format!("/v1/records?limit=20{cursor}"));
        assert!(page.body.len() < 5 << 20, "{}", page.body.len());
        let page = page.json();
        found.extend(page["records"].as_array().unwrap().iter().map(|record| record["token"].to_string()));
        pages += 1;
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(found.is_sorted());
    assert_eq!((found.len(), pages), (25, 3));
    let purged = device.post("/v1/purge", "{}").json();
    assert_eq!(purged, json!({"outcome": "purged", "purged": 0}));
}

#[test]
fn submit_with_an_attempt_is_answered_as_the_first_time() {
    let device = device(&[]);
    let submit = call(&format!(r#""attempt":"{ATTEMPT}","result":"receipt""#));
    let first = device.post("/v1/submit", &submit);
    assert_eq!((first.status, &first.json()["outcome"]), (201, &json!("completed")));
    assert_eq!(device.post("/v1/submit", &submit).status, 201);
    let other = device.post("/v1/submit", CALL);
    assert_eq!((other.status, &other.json()["message"]), (200, &json!("Do not submit repeated requests")));
    assert_eq!(other.json()["result"], "receipt");
}

#[test]
fn many_submit_at_once_and_one_is_first() {
    let device = device(&[]);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..32).map(|_| scope.spawn(|| device.post("/v1/submit", CALL).status)).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 31, "{statuses:?}");
}

#[derive(Serialize)]
struct Claim<'a> {
    function: &'a str,
    arguments: (u64,),
    verify: std::collections::BTreeMap<&'a str, u64>,
}

fn cbor(device: &Device, path: &str, body: &impl Serialize) -> Answer {
    device.ask("POST", path, &[("content-type", "application/cbor")], &to_vec(body).unwrap())
}

fn field<T: serde::de::DeserializeOwned>(answer: &Answer, name: &str) -> T {
    let (_, value) = entries(&answer.body).unwrap().into_iter().find(|(other, _)| *other == name).unwrap();
    from_slice(value).unwrap()
}

#[test]
fn cbor_has_the_same_schema() {
    let device = device(&[]);
    let claim = Claim { function: "charge", arguments: (7,), verify: [("amount", 250)].into() };
    let claimed = cbor(&device, "/v1/claim", &claim);
    assert_eq!((claimed.status, claimed.header("content-type")), (201, Some("application/cbor")));
    let token: String = field(&claimed, "token");
    // JSON makes the same token.
    assert_eq!(device.post("/v1/claim", CALL).json()["token"], token);
    let running = cbor(&device, "/v1/claim", &claim);
    assert_eq!((running.status, field::<String>(&running, "outcome")), (409, "running".to_owned()));
    assert!(field::<String>(&running, "type").ends_with("#running"));

    // A result that JSON cannot say.
    #[derive(Serialize)]
    struct Complete {
        attempt: String,
        result: (f64, i32),
    }
    let complete = Complete { attempt: field(&claimed, "attempt"), result: (f64::NAN, -1) };
    assert_eq!(cbor(&device, &format!("/v1/records/{token}/complete"), &complete).status, 200);
    let done = device.post("/v1/claim", CALL).json();
    assert_eq!((done.get("result"), &done["result_cbor"]), (None, &json!("gvl+ACA=")));
    let done = cbor(&device, "/v1/claim", &claim);
    assert!(field::<(f64, i32)>(&done, "result").0.is_nan());
    // Who asks for JSON gets it, and the other way round.
    let accept = |kind: &'static str| {
        device
            .ask("GET", &format!("/v1/records/{token}"), &[("accept", kind)], b"")
            .header("content-type")
            .unwrap()
            .to_owned()
    };
    assert_eq!(accept("application/cbor"), "application/cbor");
    assert_eq!(accept("application/json"), "application/json");
    // Base64 in JSON is the same result.
    let other = device.post("/v1/claim", &CALL.replace("[7]", "[8]")).json();
    let path = format!("/v1/records/{}/complete", other["token"].as_str().unwrap());
    let body = format!(r#"{{"attempt":{},"kind":"error","result_cbor":"gvl+ACA="}}"#, other["attempt"]);
    assert_eq!(device.post(&path, &body).status, 200);
    let done = device.post("/v1/claim", &CALL.replace("[7]", "[8]")).json();
    assert_eq!((&done["kind"], &done["result_cbor"]), (&json!("error"), &json!("gvl+ACA=")));
}

#[test]
fn the_token_alone() {
    let device = device(&[]);
    let (_, claimed) = claimed(&device);
    let token = &claimed["token"];
    let digest = device.post("/v1/claim", &CALL.replace("250", "251")).json()["digest"].clone();
    let by_token = device.post("/v1/claim", &format!(r#"{{"token":{token},"digest":{digest}}}"#));
    assert_eq!(by_token.problem(), "running");
    // Arguments and a token that is not theirs.
    let differs = device.post("/v1/claim", &call(&format!(r#""token":"{}""#, "0".repeat(64))));
    assert_eq!((differs.status, differs.problem().as_str()), (422, "token-differs"));
    assert_eq!(&differs.json()["token"], token);
}

#[test]
fn waiting_is_a_long_poll() {
    let device = device(&[]);
    let (record, _) = claimed(&device);
    let began = Instant::now();
    let still = device.get(&format!("{record}?wait_ms=300")).json();
    assert_eq!(still["state"], "running");
    assert!(began.elapsed() >= Duration::from_millis(300));
    std::thread::scope(|scope| {
        let claim = scope.spawn(|| device.post("/v1/claim", &call(r#""wait_ms":30000"#)));
        let watch = scope.spawn(|| device.get(&format!("{record}?wait_ms=30000")));
        waiting(&device, 2);
        device.post(&format!("{record}/complete"), &attempt(r#","result":1,"verify":{"amount":250}"#));
        assert_eq!(claim.join().unwrap().json()["result"], 1);
        assert_eq!(watch.join().unwrap().json()["state"], "done");
    });
    waiting(&device, 0);
    assert!(began.elapsed() < Duration::from_secs(20));
}

/// Until so many callers wait.
fn waiting(device: &Device, count: usize) {
    let until = Instant::now() + Duration::from_secs(20);
    let line = format!("idem_device_waiting {count}\n");
    while !String::from_utf8(device.get("/metrics").body).unwrap().contains(&line) {
        assert!(Instant::now() < until, "{count} callers were to wait");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_long_poll_that_goes_away_is_over() {
    let device = device(&["--max-waiting", "2"]);
    let (record, _) = claimed(&device);
    let hang_on = || {
        let mut stream = device.connect();
        write!(stream, "GET {record}?wait_ms=60000 HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        stream
    };
    let waiters = [hang_on(), hang_on()];
    waiting(&device, 2);
    // There is no room for more, and everything else goes on.
    let full = device.get(&format!("{record}?wait_ms=60000"));
    assert_eq!((full.status, full.problem().as_str()), (503, "too-many-waiting"));
    let full = device.post("/v1/claim", &call(r#""wait_ms":60000"#));
    assert_eq!((full.status, full.problem().as_str()), (503, "too-many-waiting"));
    assert!(full.header("retry-after").is_some());
    assert_eq!(device.get(&record).status, 200);
    drop(waiters);
    waiting(&device, 0);
}

/// Nobody knows the attempt that the device has made for a caller who is gone: the token is given back.
#[test]
fn a_caller_who_hangs_up_while_it_waits_for_its_claim_holds_nothing() {
    let device = device(&[]);
    let (record, _) = claimed(&device);
    let mut stream = device.connect();
    let body = call(r#""wait_ms":60000"#);
    write!(
        stream,
        "POST /v1/claim HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    waiting(&device, 1);
    drop(stream);
    waiting(&device, 0);
    device.post(&format!("{record}/release"), &attempt(""));
    let next = device.post("/v1/claim", CALL);
    assert_eq!((next.status, &next.json()["number"]), (201, &json!(2)), "the first one to claim it since");
}

#[test]
fn it_stops_gracefully() {
    let mut device = device(&["--grace", "20s"]);
    let (record, _) = claimed(&device);
    let mut waiter = device.connect();
    write!(waiter, "GET {record}?wait_ms=60000 HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    waiting(&device, 1);
    let began = Instant::now();
    assert!(device.terminate().success());
    // Who waited is answered with what there is.
    let answer = read(&mut waiter);
    assert_eq!((answer.status, &answer.json()["state"]), (200, &json!("running")));
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[test]
fn what_everybody_may_ask() {
    let device = device(&["--log", "debug", "--log-format", "json"]);
    assert_eq!(device.get("/healthz").json()["outcome"], "well");
    assert_eq!(device.get("/readyz").json()["outcome"], "ready");
    let secret = r#"{"function":"charge","arguments":["4111-secret"],"verify":{"pin":"secret-pin"},"result":"secret-result"}"#;
    assert_eq!(device.post("/v1/submit", secret).status, 201);
    assert_eq!(device.post("/v1/submit", secret).status, 200);
    let metrics = device.get("/metrics");
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let metrics = String::from_utf8(metrics.body).unwrap();
    for line in [
        r#"idem_device_answers_total{operation="submit",outcome="completed"} 1"#,
        r#"idem_device_answers_total{operation="submit",outcome="done"} 1"#,
        r#"idem_device_seconds_count{operation="submit"} 2"#,
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let named = device.ask("GET", "/v1/stats", &[("x-request-id", "order-7.b")], b"");
    assert_eq!(named.header("x-request-id"), Some("order-7.b"));
    let unfit = device.ask("GET", "/v1/stats", &[("x-request-id", "a b\"c")], b"");
    assert_ne!(unfit.header("x-request-id"), Some("a b\"c"));
    let log = device.log();
    assert!(log.contains(r#""request":"order-7.b""#), "{log}");
    assert!(!log.contains("secret") && !metrics.contains("secret"), "{log}");
    for line in log.lines() {
        let _: serde_json::Value = serde_json::from_str(line).unwrap();
    }
}
