//! No key opens another namespace: tried on every route that takes one.

mod common;

use std::time::{Duration, Instant};

use common::{Answer, Device, device, key_file};

/// What is asked of a record, by its token and the attempt that holds it: a method, a path and a body.
fn on_a_record(token: &str, attempt: &str) -> Vec<(&'static str, String, String)> {
    let path = |end: &str| format!("/v1/records/{token}{end}");
    let attempt = |more: &str| format!(r#"{{"attempt":"{attempt}"{more}}}"#);
    let by = r#"{"fence":1,"by":"mallory"}"#;
    vec![
        ("GET", path(""), String::new()),
        ("GET", path("?wait_ms=100"), String::new()),
        ("POST", path("/renew"), attempt("")),
        ("POST", path("/interrupt"), attempt("")),
        ("POST", path("/reopen"), by.to_owned()),
        ("POST", path("/resolve"), by.replace('}', r#","result":"stolen"}"#)),
        ("DELETE", path(""), String::new()),
        ("POST", path("/release"), attempt("")),
        ("POST", path("/complete"), attempt(r#","result":"stolen""#)),
    ]
}

fn ask(device: &Device, key: Option<&str>, method: &str, path: &str, body: &str) -> Answer {
    let bearer = key.map(|key| format!("Bearer {key}"));
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    device.ask(method, path, &headers, body.as_bytes())
}

#[test]
fn a_key_opens_its_own_namespace_only() {
    for store in ["sqlite:records.db", "memory:"] {
        let folder = tempfile::tempdir().unwrap();
        let (keys, [shop, bank]) = key_file(folder.path(), ["shop", "bank"]);
        let device = device(&["--key-file", &keys, "--store", store]);
        let call = r#"{"function":"charge","arguments":[7],"record_arguments":true,"on_interrupt":"reject"}"#;

        // One of the shop's records in every state.
        let claimed = device.post_as(&shop, "/v1/claim", call).json();
        let (token, attempt) = (claimed["token"].as_str().unwrap(), claimed["attempt"].as_str().unwrap());
        let look = || {
            device.ask(
                "GET",
                &format!("/v1/records/{token}"),
                &[("authorization", &format!("Bearer {shop}"))],
                b"",
            )
        };
        for state in ["running", "interrupted", "done"] {
            match state {
                "interrupted" => {
                    let body = format!(r#"{{"attempt":"{attempt}"}}"#);
                    assert_eq!(
                        device.post_as(&shop, &format!("/v1/records/{token}/interrupt"), &body).status,
                        200
                    );
                }
                "done" => {
                    let body = format!(r#"{{"attempt":"{attempt}","result":"secret receipt"}}"#);
                    assert_eq!(
                        device.post_as(&shop, &format!("/v1/records/{token}/complete"), &body).status,
                        200
                    );
                }
                _ => {}
            }
            let before = look().json();
            assert_eq!(before["state"], state);
            for (method, path, body) in on_a_record(token, attempt) {
                for key in [None, Some("idem_wrong"), Some(&*bank)] {
                    let began = Instant::now();
                    let answer = ask(&device, key, method, &path, &body);
                    let said = String::from_utf8_lossy(&answer.body).into_owned();
                    let what = format!("{method} {path} with {key:?}, {state}: {said}");
                    assert!(!said.contains("secret") && !said.contains("charge"), "{what}");
                    if key != Some(&*bank) {
                        assert_eq!(answer.problem(), "no-key", "{what}");
                    } else if method == "GET" {
                        assert_eq!(answer.problem(), "no-record", "{what}");
                        assert!(began.elapsed() < Duration::from_secs(10), "{what}");
                    }
                }
                assert_eq!(look().json(), before, "{method} {path} changed what is not the bank's");
            }
            for key in [None, Some(&*bank)] {
                let list = ask(&device, key, "GET", "/v1/records", "");
                let said = String::from_utf8_lossy(&list.body).into_owned();
                assert!(!said.contains("secret") && !said.contains(r#""charge""#), "{said}");
                assert_eq!(list.status, if key.is_some() { 200 } else { 401 });
                let _ = ask(&device, key, "POST", "/v1/purge", r#"{"limit":100}"#);
                // The bank's own call of the same function with the same arguments is a first one; with its token it
                // is no way to the shop's.
                let own = ask(&device, key, "POST", "/v1/submit", &format!(r#"{{"token":"{token}"}}"#));
                assert!(!String::from_utf8_lossy(&own.body).contains("secret"));
                let _ = ask(&device, key, "DELETE", &format!("/v1/records/{token}"), "");
            }
            let claim = ask(&device, Some(&bank), "POST", "/v1/claim", call);
            assert_eq!(claim.status, 201, "{claim:?}");
            let _ = ask(
                &device,
                Some(&bank),
                "POST",
                &format!("/v1/records/{token}/complete"),
                &format!(r#"{{"attempt":"{}"}}"#, claim.json()["attempt"].as_str().unwrap()),
            );
            let _ = ask(&device, Some(&bank), "DELETE", &format!("/v1/records/{token}"), "");
            assert_eq!(look().json(), before, "the shop's record is as it was");
            let stats = ask(&device, Some(&bank), "GET", "/v1/stats", "").json();
            assert_eq!(stats["namespace"], "bank");
        }
        for route in ["/v1/claim", "/v1/submit", "/v1/purge"] {
            assert_eq!(ask(&device, None, "POST", route, "{}").problem(), "no-key");
        }
        assert_eq!(ask(&device, None, "GET", "/v1/stats", "").problem(), "no-key");
    }
}

/// A key that is taken out of the file opens nothing any more; one that is put in does.
#[test]
fn the_key_file_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, [old]) = key_file(folder.path(), ["shop"]);
    let device = device(&["--key-file", &path]);
    let status = |key: &str| ask(&device, Some(key), "GET", "/v1/stats", "").status;
    assert_eq!(status(&old), 200);
    // Another line of another length.
    let (_, [new, _]) = key_file(folder.path(), ["shop", "bank"]);
    let until = Instant::now() + Duration::from_secs(20);
    while status(&new) != 200 {
        assert!(Instant::now() < until, "{}", device.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(status(&old), 401);
}
