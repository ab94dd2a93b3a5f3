//! What bad input gets: a problem document or a closed connection, bounded memory, and others are served meanwhile.

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{Answer, Device, device, key_file, read};

/// What is answered to a body that is not what was asked for.
fn refused(device: &Device, path: &str, json: &str) -> (String, String) {
    let answer = device.post(path, json);
    (answer.problem(), answer.json()["detail"].as_str().unwrap().to_owned())
}

fn cbor(device: &Device, body: &[u8]) -> Answer {
    device.ask(
        "POST",
        "/v1/claim",
        &[("content-type", "application/cbor"), ("accept", "application/json")],
        body,
    )
}

/// Others are served.
fn serves(device: &Device) {
    assert_eq!(device.get("/healthz").status, 200);
    let claim = format!(r#"{{"function":"f","arguments":[{}]}}"#, Instant::now().elapsed().as_nanos());
    assert!(matches!(device.post("/v1/submit", &claim).status, 200 | 201));
}

/// The resident memory of a process, in KiB.
fn memory(device: &Device) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", device.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn malformed_bodies() {
    let device = device(&["--store", "memory:"]);
    for body in
        ["", "{", "[]", "7", "null", "{\"function\":\"f\"", "{\"a\":1,\"a\":2}", "\u{feff}{}", "{} {}"]
    {
        let (problem, _) = refused(&device, "/v1/claim", body);
        assert_eq!(problem, "invalid-request", "{body}");
    }
    let long = "[".repeat(100_000);
    let claims: [&[u8]; 10] = [
        b"",
        b"\xff",
        b"\xa1",
        // Lengths and counts that the body does not have.
        b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xa1\x68function\x7b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xbf\xff\xff",
        b"\xa1\x01\x02",
        b"\xa1\x69arguments\xc1\x01",
    ];
    for body in claims {
        assert_eq!(cbor(&device, body).problem(), "invalid-request", "{body:x?}");
    }
    // Without end: arrays in arrays, of a given length and of none, and maps.
    for byte in [0x81, 0x9f, 0xbf, 0xa1, 0xd8, 0x5f, 0xc2] {
        assert_eq!(cbor(&device, &vec![byte; 1 << 20]).problem(), "invalid-request", "{byte:x}");
    }
    assert_eq!(refused(&device, "/v1/claim", &long).0, "invalid-request");
    let deep = format!(r#"{{"function":"f","arguments":[{}{}]}}"#, "[".repeat(129), "]".repeat(129));
    assert!(refused(&device, "/v1/claim", &deep).1.contains("deeper"));
    let deep = format!(r#"{{"function":"f","arguments":[{}{}]}}"#, "[".repeat(128), "]".repeat(128));
    assert_eq!(device.post("/v1/submit", &deep).status, 201);
    let wide =
        format!(r#"{{"function":"f","arguments":[1],"result":{}{}}}"#, "[".repeat(129), "]".repeat(129));
    assert!(refused(&device, "/v1/submit", &wide).1.contains("deeper"));
    serves(&device);
}

#[test]
fn names_and_values_that_are_none() {
    let device = device(&["--store", "memory:"]);
    let token = "0".repeat(64);
    let record = |end: &str| format!("/v1/records/{token}/{end}");
    let attempt = r#""attempt":"00000000000000000000000000000001""#;
    let year = 365 * 24 * 3600 * 1000_u64;
    for (path, body, said) in [
        ("/v1/claim", r#"{"function":"f","arguments":[],"lease":5}"#.to_owned(), "`lease`: a name"),
        (
            "/v1/claim",
            format!(r#"{{"function":"f","arguments":[],"lease_ms":{year}}}"#),
            "at most 86400000 ms",
        ),
        ("/v1/claim", r#"{"function":"f","arguments":[],"lease_ms":0}"#.to_owned(), "over before it begins"),
        ("/v1/claim", r#"{"function":"f","arguments":[],"lease_ms":-1}"#.to_owned(), "`lease_ms`"),
        ("/v1/claim", r#"{"function":"f","arguments":[],"lease_ms":"10"}"#.to_owned(), "`lease_ms`"),
        ("/v1/claim", r#"{"function":"f","arguments":[],"lease_ms":1.5}"#.to_owned(), "`lease_ms`"),
        (
            "/v1/claim",
            r#"{"function":"f","arguments":[],"ttl_ms":18446744073709551615}"#.to_owned(),
            "`ttl_ms`: at most",
        ),
        (
            "/v1/claim",
            r#"{"function":"f","arguments":[],"on_interrupt":"maybe"}"#.to_owned(),
            "`retry` or `reject`",
        ),
        ("/v1/claim", r#"{"function":"f","arguments":{}}"#.to_owned(), "an array"),
        ("/v1/claim", format!(r#"{{"token":"{token}","arguments":null}}"#), "which function"),
        ("/v1/claim", format!(r#"{{"token":"{token}","function":"f","arguments":null}}"#), "an array"),
        ("/v1/claim", r#"{"arguments":[]}"#.to_owned(), "which function"),
        ("/v1/claim", r#"{"function":"f"}"#.to_owned(), "neither `token` nor `arguments`"),
        ("/v1/claim", r#"{"token":"12"}"#.to_owned(), "64 hexadecimal digits"),
        (
            "/v1/claim",
            format!(r#"{{"token":"{token}","record_arguments":true}}"#),
            "no `arguments` to record",
        ),
        ("/v1/claim", r#"{"function":"f","arguments":[],"attempt":"7"}"#.to_owned(), "a UUID"),
        (
            "/v1/claim",
            format!(r#"{{"function":"f","arguments":[],"attempt":"{}"}}"#, "0".repeat(32)),
            "all zeros",
        ),
        ("/v1/claim", r#"{"function":"f","arguments":[],"verify":[1]}"#.to_owned(), "names and values"),
        (
            "/v1/claim",
            r#"{"function":"f","arguments":[],"verify":{"key()":1}}"#.to_owned(),
            "not the name of an argument",
        ),
        ("/v1/claim", r#"{"function":"f","arguments":[],"digest":"!"}"#.to_owned(), "base64"),
        ("/v1/claim", r#"{"function":"f","arguments":[],"max_attempts":1e10}"#.to_owned(), "too large"),
        ("/v1/claim", format!(r#"{{"function":"{}","arguments":[]}}"#, "f".repeat(17_000)), "longer than"),
        (&record("complete"), "{}".to_owned(), "which attempt"),
        (&record("complete"), format!(r#"{{{attempt},"kind":"value"}}"#), "there is no `result`"),
        (&record("complete"), format!(r#"{{{attempt},"kind":"none","result":1}}"#), "`none` has no `result`"),
        (
            &record("complete"),
            format!(r#"{{{attempt},"result":1,"result_cbor":"AQ=="}}"#),
            "`result` is there, too",
        ),
        (&record("renew"), format!(r#"{{{attempt},"lease_ms":{year}}}"#), "at most 86400000 ms"),
        (&record("reopen"), r#"{"by":"ann"}"#.to_owned(), "`fence`"),
        (&record("resolve"), r#"{"fence":1}"#.to_owned(), "who decides"),
        ("/v1/purge", r#"{"limit":100000}"#.to_owned(), "from 1 to"),
        ("/v1/records/12/renew", format!("{{{attempt}}}"), "64 hexadecimal digits"),
    ] {
        let (problem, detail) = refused(&device, path, &body);
        assert_eq!(problem, "invalid-request", "{path} {body}");
        assert!(detail.contains(said), "{path} {}: {detail}", &body[..body.len().min(200)]);
    }
    for (path, problem) in [
        ("/v1/records?state=none", "invalid-request"),
        ("/v1/records?age=soon", "invalid-request"),
        ("/v1/records?limit=0", "invalid-request"),
        ("/v1/records?limit=1001", "invalid-request"),
        ("/v1/records?cursor=12", "invalid-request"),
        ("/v1/records?color=red", "invalid-request"),
        ("/v1/records?state=done&state=free", "invalid-request"),
        ("/v1/records/12", "invalid-request"),
        (&format!("/v1/records/{token}?wait_ms=x"), "invalid-request"),
        (&format!("/v1/records/{token}?wait=1"), "invalid-request"),
        (&format!("/v1/records/{token}"), "no-record"),
        ("/v2/records", "no-route"),
        ("/v1/claim", "no-method"),
        ("/v1", "no-route"),
        ("/v1/records/%ff", "invalid-request"),
    ] {
        assert_eq!(device.get(path).problem(), problem, "{path}");
    }
    serves(&device);
}

#[test]
fn bodies_of_another_kind_or_size() {
    let device = device(&["--store", "memory:", "--max-body", "1000"]);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
        let answer =
            device.ask("POST", "/v1/claim", &[("content-type", kind)], br#"{"function":"f","arguments":[]}"#);
        assert_eq!((answer.status, answer.problem().as_str()), (415, "media-type"), "{kind}");
    }
    let large = format!(r#"{{"function":"f","arguments":["{}"]}}"#, "x".repeat(1000));
    let answer = device.post("/v1/claim", &large);
    assert_eq!((answer.status, answer.problem().as_str()), (413, "too-large"));
    // The same, without saying so before.
    let mut stream = device.connect();
    let head = "POST /v1/claim HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    for _ in 0..100 {
        if stream.write_all(format!("64\r\n{}\r\n", "x".repeat(100)).as_bytes()).is_err() {
            break;
        }
    }
    assert_eq!(read(&mut stream).problem(), "too-large");
    // A head that is too large, and what is no HTTP.
    let mut stream = device.connect();
    let _ = write!(stream, "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    let mut said = String::new();
    let _ = stream.read_to_string(&mut said);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431"), "{said}");
    let mut stream = device.connect();
    let _ = stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n");
    let mut said = String::new();
    let _ = stream.read_to_string(&mut said);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 400"), "{said}");
    serves(&device);
}

#[test]
fn keys_and_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, [_]) = key_file(folder.path(), ["shop"]);
    let keyed = device(&["--store", "memory:", "--key-file", &keys]);
    for value in
        ["", "Bearer", "Bearer ", "Bearer x", "Basic eDp5", &format!("Bearer {}", "k".repeat(10_000))]
    {
        let answer = keyed.ask("GET", "/v1/stats", &[("authorization", value)], b"");
        assert_eq!((answer.status, answer.problem().as_str()), (401, "no-key"), "{value}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!(keyed.get("/healthz").status, 200);

    // Without keys a page in a browser, which has got here under a name of its own, is not let in.
    let open = device(&["--store", "memory:"]);
    let mut stream = open.connect();
    stream
        .write_all(b"GET /v1/stats HTTP/1.1\r\nhost: evil.example.com\r\nconnection: close\r\n\r\n")
        .unwrap();
    let answer = read(&mut stream);
    assert_eq!((answer.status, answer.problem().as_str()), (421, "wrong-host"));
    for host in ["localhost:1", "127.0.0.1", "[::1]:4336", "LOCALHOST"] {
        let mut stream = open.connect();
        write!(stream, "GET /v1/stats HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
        assert_eq!(read(&mut stream).status, 200, "{host}");
    }
}

#[test]
fn without_keys_it_stays_on_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |arguments: &[&str]| {
        std::process::Command::new(common::PROGRAM)
            .arg("serve")
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    let (keys, [_]) = key_file(folder.path(), ["shop"]);
    std::fs::write(folder.path().join("wrong"), "shop 12").unwrap();
    for (arguments, said) in [
        (&["--listen", "0.0.0.0:0"][..], "--insecure-without-keys"),
        (
            &["--listen", "127.0.0.1:0", "--store", "sqlite:a.db?namespace=a", "--key-file", &keys],
            "leave `namespace=",
        ),
        (&["--listen", "127.0.0.1:0", "--key-file", "wrong"], "line 1"),
        (&["--listen", "127.0.0.1:0", "--key-file", "nowhere"], "cannot be read"),
        (&["--listen", "127.0.0.1:0", "--store", "mermory:"], "memory:"),
        (&["--listen", "127.0.0.1:0", "--tls-cert", "a"], "--tls-key"),
        (&["--listen", "127.0.0.1:0", "--tls-cert", &keys, "--tls-key", &keys], "PEM"),
    ] {
        let ended = serve(arguments);
        let error = String::from_utf8(ended.stderr).unwrap();
        assert!(!ended.status.success() && error.contains(said), "{arguments:?}: {error}");
    }
    let open = device(&["--listen", "0.0.0.0:0", "--store", "memory:", "--insecure-without-keys"]);
    assert_eq!(open.address.ip().to_string(), "0.0.0.0");
}

#[test]
fn slow_clients() {
    let device = device(&["--store", "memory:", "--request-time", "300ms", "--idle-time", "600ms"]);
    // A head, and a body, that come a byte at a time.
    let slow = |start: &str| {
        let mut stream = device.connect();
        stream.write_all(start.as_bytes()).unwrap();
        let began = Instant::now();
        let mut trickle = stream.try_clone().unwrap();
        let mut said = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while trickle.write_all(b"x").is_ok() {
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                said.extend_from_slice(&buffer[..read]);
            }
            let _ = stream.shutdown(std::net::Shutdown::Both);
        });
        assert!(began.elapsed() < Duration::from_secs(20));
        String::from_utf8_lossy(&said).into_owned()
    };
    let head = slow("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: ");
    assert!(head.is_empty() || head.starts_with("HTTP/1.1 4"), "{head}");
    let body = slow(
        "POST /v1/claim HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n{",
    );
    assert!(body.contains("408") && body.contains("#too-slow"), "{body}");
    // A connection that says nothing at all, and one that says nothing more.
    for first in ["", "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"] {
        let mut stream = device.connect();
        stream.write_all(first.as_bytes()).unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        assert_eq!(said.is_empty(), first.is_empty());
    }
    serves(&device);
}

/// Few files may be open on a machine where tests run, so there are fewer connections than in earnest: the device is
/// told to take fewer, too.
#[test]
fn many_connections() {
    let device = device(&["--store", "memory:", "--max-connections", "300", "--request-time", "10m"]);
    let before = memory(&device);
    let mut slow: Vec<TcpStream> = Vec::new();
    for _ in 0..250 {
        let mut stream = device.connect();
        let head = "POST /v1/claim HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
        stream.write_all(head.as_bytes()).unwrap();
        slow.push(stream);
    }
    // Others are served meanwhile.
    serves(&device);
    // Those that are too many are closed.
    let mut closed = false;
    for _ in 0..250 {
        slow.push(device.connect());
    }
    for mut stream in slow.split_off(250) {
        stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        closed |= matches!(stream.read(&mut [0; 1]), Ok(0));
    }
    assert!(closed);
    assert!(memory(&device) < before + 64 * 1024, "{before} → {} KiB", memory(&device));
    drop(slow);
    serves(&device);
    let metrics = String::from_utf8(device.get("/metrics").body).unwrap();
    let refused =
        metrics.lines().find_map(|line| line.strip_prefix("idem_device_connections_refused_total "));
    assert!(refused.unwrap().parse::<u64>().unwrap() > 100, "{metrics}");
}

/// A client that asks for much and reads none of it does not hold it for ever; what it holds is bounded.
#[test]
fn a_large_answer_that_nobody_reads() {
    let device = device(&["--store", "memory:"]);
    let body = format!(r#"{{"function":"f","arguments":[],"result":"{}"}}"#, "x".repeat(3 << 20));
    assert_eq!(device.post("/v1/submit", &body).status, 201);
    let mut streams: Vec<TcpStream> = (0..20).map(|_| device.connect()).collect();
    for stream in &mut streams {
        write!(stream, "GET /v1/records HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    }
    serves(&device);
    assert!(memory(&device) < 400 * 1024, "{} KiB", memory(&device));
}
