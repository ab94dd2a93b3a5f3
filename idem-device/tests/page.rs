//! The page, as a browser sees it, and as somebody sees it who should not.

#[path = "common/browser.rs"]
mod browser;
mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use browser::Browser;
use common::{Answer, Device, device, key_file};
use idem::store::OnInterrupt;

const ATTEMPT: &str = "00000000-0000-0000-0000-000000000007";

/// A call whose attempt began and did not end: its token.
fn interrupted(device: &Device, key: &str, function: &str, order: u64) -> String {
    let attempt = format!("00000000-0000-0000-0000-{order:012}");
    let claim = format!(
        r#"{{"function": "{function}", "arguments": [{order}], "attempt": "{attempt}", "on_interrupt": "reject",
            "record_arguments": true}}"#
    );
    let claimed = device.post_as(key, "/v1/claim", &claim);
    assert_eq!(claimed.status, 201, "{claimed:?}");
    let token = claimed.json()["token"].as_str().unwrap().to_owned();
    let path = format!("/v1/records/{token}/interrupt");
    assert_eq!(device.post_as(key, &path, &format!(r#"{{"attempt": "{attempt}"}}"#)).status, 200);
    token
}

/// The call that a service makes; its body would be a second charge.
async fn charge(device: &Device, key: &str, order: u64) -> Result<String, idem::Error> {
    let store =
        idem::DeviceStore::builder(device.url()).key(key).connect().await.map_err(idem::Error::connecting)?;
    let charging = async { Ok::<_, idem::Error>("charged a second time".to_owned()) };
    idem::call("orders.charge")
        .arg(&order)
        .store(&store)
        .on_interrupt(OnInterrupt::Reject)
        .run(charging)
        .await
}

#[tokio::test]
async fn a_person_searches_shows_and_resolves() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, [shop]) = key_file(folder.path(), ["shop"]);
    let device = device(&["--key-file", &keys]);
    let token = interrupted(&device, &shop, "orders.charge", 4711);
    assert!(matches!(charge(&device, &shop, 4711).await, Err(idem::Error::Interrupted { .. })));

    let Some(browser) = Browser::start(1_000, 900).await else { return };
    // The browser knows name and key from now on, as after its own question for them.
    browser.client.goto(&format!("http://ann:{shop}@{}/records", device.address)).await.unwrap();
    browser.client.goto(&device.url()).await.unwrap();
    assert!(browser.text(".badge").await.contains("shop"));

    // It is in the work list, and is found by function and arguments.
    assert!(browser.text(".cards li").await.contains("orders.charge"));
    browser.find("summary").await.click().await.unwrap();
    browser.find("input[name=function]").await.send_keys("orders.charge").await.unwrap();
    browser.find("input[name=arguments]").await.send_keys("[4711]").await.unwrap();
    browser.find("details button").await.click().await.unwrap();
    assert_eq!(browser.text("code.token").await, token);
    assert!(browser.text("h1").await.contains("interrupted"));

    browser.link("It happened…").await.click().await.unwrap();
    assert_eq!(browser.find("input[name=by]").await.prop("value").await.unwrap().as_deref(), Some("ann"));
    // A result that is none is said to be none, and what was written is still there.
    browser.find("textarea").await.send_keys("receipt 9").await.unwrap();
    browser.find("button.primary").await.click().await.unwrap();
    assert!(browser.text("[role=alert]").await.contains("not JSON"));
    let area = browser.find("textarea").await;
    assert_eq!(area.prop("value").await.unwrap().as_deref(), Some("receipt 9"));
    area.clear().await.unwrap();
    area.send_keys(r#""receipt 9""#).await.unwrap();
    browser.find("button.primary").await.click().await.unwrap();
    assert!(browser.text("[role=status]").await.starts_with("Resolved"));
    assert!(browser.text("h1").await.contains("done"));
    assert!(browser.text(".attempts").await.contains("Resolved by ann"));

    assert_eq!(charge(&device, &shop, 4711).await.unwrap(), "receipt 9");
    browser.link("Overview").await.click().await.unwrap();
    assert!(browser.text("#open").await.contains('0'));
    browser.close().await;
    assert!(device.log().contains("by=\"ann\"") && !device.log().contains("receipt 9"), "{}", device.log());
}

#[tokio::test]
async fn it_counts_while_somebody_looks_and_works_from_the_keyboard() {
    let device = device(&[]);
    let Some(browser) = Browser::start(400, 800).await else { return };
    browser.client.goto(&device.url()).await.unwrap();
    let count = |browser: &Browser| {
        let client = browser.client.clone();
        async move {
            let script = "return [...document.querySelectorAll('[data-count]')].map((count) => count.textContent).join()";
            client.execute(script, vec![]).await.unwrap().as_str().unwrap().to_owned()
        }
    };
    assert_eq!(count(&browser).await, "0,0,0");
    let call = r#"{"function": "orders.charge", "arguments": [7]}"#;
    assert_eq!(device.post("/v1/submit", call).status, 201);
    assert_eq!(device.post("/v1/submit", call).status, 200);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while count(&browser).await != "1,0,1" {
        assert!(std::time::Instant::now() < until, "{}", count(&browser).await);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(browser.find("svg rect.first").await.attr("height").await.unwrap().is_some());

    // Nothing is wider than a small screen.
    let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(browser.client.execute(wide, vec![]).await.unwrap(), 0);

    // Tab, and what has the focus: the way past the navigation, and then one thing after the other.
    let tab = fantoccini::key::Key::Tab.to_string();
    let mut order = Vec::new();
    for _ in 0..7 {
        let focused = browser.client.active_element().await.unwrap();
        focused.send_keys(&tab).await.unwrap();
        let what = "const on = document.activeElement; return on.name || on.textContent.trim()";
        order.push(browser.client.execute(what, vec![]).await.unwrap().as_str().unwrap().to_owned());
    }
    let expected = [
        "Skip to the content",
        "1×idem",
        "Overview",
        "Records",
        "token",
        "Find",
        "By function, scope and arguments",
    ];
    assert_eq!(order, expected);
    let search = browser.find("#token").await;
    search.send_keys("ffff\u{e007}").await.unwrap();
    assert!(browser.text("[role=alert]").await.contains("No token begins with"));

    // What is no script of the device's does not run.
    let inject =
        "const script = document.createElement('script'); script.textContent = 'window.stranger = 1';
                  document.body.append(script); return window.stranger ?? null";
    assert_eq!(browser.client.execute(inject, vec![]).await.unwrap(), serde_json::Value::Null);
    browser.close().await;
}

/// What a browser sends for somebody who has logged in.
fn basic(name: &str, key: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{key}")))
}

fn page(device: &Device, key: &str, path: &str) -> Answer {
    device.ask("GET", path, &[("authorization", &basic("ann", key))], b"")
}

fn body(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

/// The value of a form's hidden field.
fn hidden(answer: &Answer, name: &str) -> String {
    let text = body(answer);
    let field = text.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("{text}"));
    field.split('"').next().unwrap().to_owned()
}

fn send(device: &Device, key: &str, path: &str, headers: &[(&str, &str)], form: &str) -> Answer {
    let login = basic("ann", key);
    let mut all = vec![("content-type", "application/x-www-form-urlencoded"), ("authorization", &*login)];
    all.extend(headers);
    device.ask("POST", path, &all, form.as_bytes())
}

#[test]
fn a_form_that_is_not_the_pages_own_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, [shop, bank]) = key_file(folder.path(), ["shop", "bank"]);
    let device = device(&["--key-file", &keys]);
    let token = interrupted(&device, &shop, "orders.charge", 1);
    let other = interrupted(&device, &shop, "orders.charge", 2);
    let of_bank = interrupted(&device, &bank, "orders.charge", 1);
    assert_eq!(of_bank, token);

    let path = format!("/records/{token}/reopen");
    let asked = page(&device, &shop, &path);
    let form = |seal: &str, fence: &str| format!("seal={seal}&fence={fence}&by=ann");
    let (seal, fence) = (hidden(&asked, "seal"), hidden(&asked, "fence"));
    let same = [("sec-fetch-site", "same-origin")];
    let refused = |answer: Answer| assert_eq!(answer.status, 403, "{answer:?}");
    refused(send(&device, &shop, &path, &[("sec-fetch-site", "cross-site")], &form(&seal, &fence)));
    refused(send(&device, &shop, &path, &[("sec-fetch-site", "same-site")], &form(&seal, &fence)));
    refused(send(&device, &shop, &path, &[("origin", "http://elsewhere.example")], &form(&seal, &fence)));
    refused(send(&device, &shop, &path, &[("origin", "null")], &form(&seal, &fence)));
    refused(send(&device, &shop, &path, &same, &form("", &fence)));
    refused(send(&device, &shop, &path, &same, "by=ann"));
    // Of another decision, another record, another visitor, another attempt.
    refused(send(&device, &shop, &path.replace("reopen", "resolve"), &same, &form(&seal, &fence)));
    refused(send(&device, &shop, &format!("/records/{other}/reopen"), &same, &form(&seal, &fence)));
    refused(send(&device, &bank, &path, &same, &form(&seal, &fence)));
    refused(send(&device, &shop, &path, &same, &form(&seal, "1234")));
    let state = |token: &str| {
        device
            .ask("GET", &format!("/v1/records/{token}"), &[("authorization", &format!("Bearer {shop}"))], b"")
            .json()["state"]
            .clone()
    };
    assert_eq!((state(&token), state(&other)), ("interrupted".into(), "interrupted".into()));

    // Nobody's name, then the form as it was written; and once more.
    let nobody = send(&device, &shop, &path, &same, &format!("seal={seal}&fence={fence}&by="));
    assert!(nobody.status == 422 && body(&nobody).contains("Your name is missing"), "{nobody:?}");
    let done = send(&device, &shop, &path, &same, &form(&seal, &fence));
    assert_eq!((done.status, done.header("location")), (303, Some(&*format!("../{token}?decided=reopened"))));
    assert_eq!(state(&token), "free");
    let again = send(&device, &shop, &path, &same, &form(&seal, &fence));
    assert!(again.status == 409 && body(&again).contains("by <b>ann</b>"), "{again:?}");
    // Another attempt has begun and did not end since: the form is not about that one.
    let claim = format!(
        r#"{{"function": "orders.charge", "arguments": [1], "attempt": "{ATTEMPT}", "on_interrupt": "reject"}}"#
    );
    assert_eq!(device.post_as(&shop, "/v1/claim", &claim).status, 201);
    let interrupt = format!("/v1/records/{token}/interrupt");
    assert_eq!(device.post_as(&shop, &interrupt, &format!(r#"{{"attempt": "{ATTEMPT}"}}"#)).status, 200);
    let stale = send(&device, &shop, &path, &same, &form(&seal, &fence));
    assert!(stale.status == 409 && body(&stale).contains("has changed"), "{stale:?}");
    assert_eq!(state(&token), "interrupted");
}

#[test]
fn a_key_sees_its_own_namespace_only() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, [shop, bank]) = key_file(folder.path(), ["shop", "bank"]);
    let device = device(&["--key-file", &keys]);
    let token = interrupted(&device, &shop, "orders.charge", 1);

    assert!(body(&page(&device, &shop, "/")).contains("orders.charge"));
    for path in ["/", "/live", "/records", "/records?open=1", "/find?token=zz"] {
        let seen = body(&page(&device, &bank, path));
        assert!(!seen.contains("orders.charge<") && !seen.contains(&token[..8]), "{path}: {seen}");
    }
    assert!(body(&page(&device, &bank, "/live")).contains("data-count=\"first calls\">0<"));
    assert!(body(&page(&device, &shop, "/live")).contains("data-count=\"first calls\">1<"));
    let digits = page(&device, &bank, &format!("/find?token={}", &token[..12]));
    assert!(digits.status == 404 && body(&digits).contains("No token begins"), "{digits:?}");
    for path in ["", "/reopen", "/resolve"] {
        let path = format!("/records/{token}{path}");
        assert_eq!(page(&device, &bank, &path).status, 404, "{path}");
        assert_eq!(page(&device, &shop, &path).status, 200, "{path}");
        if path.ends_with('e') || path.ends_with('n') {
            assert_eq!(send(&device, &bank, &path, &[], "by=bob").status, 404, "{path}");
        }
    }
}

#[test]
fn without_a_key_there_is_no_page() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, [shop]) = key_file(folder.path(), ["shop"]);
    let device = device(&["--key-file", &keys]);
    let token = interrupted(&device, &shop, "orders.charge", 1);
    let record = format!("/records/{token}");
    let reopen = format!("/records/{token}/reopen");
    for path in ["/", "/live", "/records", "/find?token=zz", &record, &reopen] {
        let bearer = format!("Bearer {shop}");
        for login in ["", "Basic bm90aGluZw==", &basic("ann", "idem_wrong"), &bearer] {
            let headers: &[_] = if login.is_empty() { &[] } else { &[("authorization", login)] };
            let answer = device.ask("GET", path, headers, b"");
            assert_eq!(answer.status, 401, "{path} {login}");
            assert!(answer.header("www-authenticate").unwrap().starts_with("Basic realm="), "{answer:?}");
            assert!(!body(&answer).contains("orders.charge"));
        }
        assert_eq!(page(&device, &shop, path).header("x-frame-options"), Some("DENY"));
    }
    assert_eq!(send(&device, "wrong", &reopen, &[], "by=ann").status, 401);
    // A login of the page's is none for the protocol: what a browser sends by itself opens nothing there.
    assert_eq!(page(&device, &shop, "/v1/records").status, 401);
}

#[test]
fn everything_comes_from_here_and_texts_are_only_texts() {
    let device = device(&[]);
    let call = r#"{"function": "<script>alert(1)</script>", "scope": "\"><img src=x>", "arguments": ["</code><b>"],
                   "on_interrupt": "reject", "record_arguments": true, "lease_ms": 1}"#;
    let token = device.post("/v1/claim", call).json()["token"].as_str().unwrap().to_owned();
    for path in [
        "/",
        "/records",
        "/records?open=1",
        &format!("/records/{token}"),
        &format!("/records/{token}/resolve"),
        "/assets/style.css",
        "/assets/page.js",
        "/assets/icon.svg",
        "/find?token=%3Cscript%3Ealert",
        "/records/%3Cscript%3Ealert",
    ] {
        let answer = device.get(path);
        // The name of the picture's language is no address.
        let text = body(&answer).replace("http://www.w3.org/2000/svg", "");
        assert!(
            !text.contains("<script>alert") && !text.contains("<img") && !text.contains("<b>\""),
            "{path}: {text}"
        );
        assert!(
            !text.contains("http://") && !text.contains("https://") && !text.contains(" style="),
            "{path}: {text}"
        );
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    assert!(body(&device.get("/records")).contains("&lt;script&gt;alert(1)"));
    // A page from elsewhere that calls itself by another name gets nothing.
    let mut stream = device.connect();
    std::io::Write::write_all(
        &mut stream,
        b"GET / HTTP/1.1\r\nhost: elsewhere.example\r\nconnection: close\r\n\r\n",
    )
    .unwrap();
    assert_eq!(common::read(&mut stream).status, 421);
}

#[test]
fn what_is_not_there_is_said() {
    let device = device(&[]);
    let none = "f".repeat(64);
    for (path, status, what) in [
        (format!("/records/{none}"), 404, "no record under the token"),
        ("/records/7".to_owned(), 404, "no record under the token"),
        ("/find?function=a&arguments=%7B".to_owned(), 404, "not JSON"),
        ("/find?function=a&arguments=1".to_owned(), 404, "one JSON array"),
        ("/find?arguments=[1]".to_owned(), 404, "Which function"),
        ("/records?state=lost".to_owned(), 422, "no such state"),
        ("/records?age=old".to_owned(), 422, "the age"),
        ("/records?function=none".to_owned(), 200, "no such records"),
    ] {
        let answer = device.get(&path);
        assert!(answer.status == status && body(&answer).contains(what), "{path}: {answer:?}");
    }
    let found = device.get("/find?function=a&arguments=[1]");
    assert!(found.status == 303 && found.header("location").unwrap().starts_with("records/"), "{found:?}");
}
