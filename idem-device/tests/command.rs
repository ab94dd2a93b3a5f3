//! The `idem` command on a store: what it shows, and that it changes nothing before somebody has agreed.

mod common;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use idem::store::{AttemptId, Claim, Handle, OnInterrupt, Reply, Request, State, Store as _};
use idem::{Text, Token, encoding};
use serde_json::{Value, json};

/// A store in a file, and the command on it.
struct Shop {
    folder: tempfile::TempDir,
    store: Handle,
}

async fn shop() -> Shop {
    let folder = tempfile::tempdir().unwrap();
    let store = idem::connect(&format!("sqlite:{}/shop.db", folder.path().display())).await.unwrap();
    Shop { folder, store }
}

/// What the command has said, and how it ended.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

fn said(output: Output) -> Said {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(common::PROGRAM);
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env("IDEM_STORE", "sqlite:shop.db").env("USER", "ann").env_remove("IDEM_DEVICE_KEY");
    command
}

impl Shop {
    fn idem(&self, arguments: &[&str]) -> Said {
        said(command(self.folder.path(), arguments).output().unwrap())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let said = self.idem(&[arguments, &["--json"]].concat());
        assert_eq!(said.code, 0, "{said:?}");
        serde_json::from_str(&said.out).unwrap()
    }

    /// A record whose attempt runs.
    async fn claim(
        &self,
        function: &str,
        number: u64,
        lease: Duration,
        policy: OnInterrupt,
    ) -> (Token, AttemptId) {
        let mut claim = Claim::default();
        claim.function = Text::from(function.to_owned());
        claim.token = Token::of("", function, &encoding::to_vec(&[number]).unwrap());
        claim.attempt = AttemptId::random();
        (claim.lease, claim.ttl, claim.on_interrupt) = (lease, Duration::from_secs(3_600), policy);
        let made = (claim.token, claim.attempt);
        assert!(matches!(self.store.ask(Request::Claim(Arc::new(claim))).await, Ok(Reply::Claimed(_))));
        made
    }

    /// A record of which nobody knows what its attempt did.
    async fn interrupted(&self, function: &str, number: u64) -> Token {
        let (token, attempt) = self.claim(function, number, HOUR, OnInterrupt::Reject).await;
        self.store.ask(Request::Interrupt { token, attempt }).await.unwrap();
        token
    }

    async fn state(&self, token: Token) -> Option<State> {
        match self.store.ask(Request::Get { token }).await.unwrap() {
            Reply::Record(record) => record.map(|record| record.head.state),
            reply => panic!("{reply:?}"),
        }
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

/// The call that a service makes.
async fn charge(store: &Handle, order: u64) -> Result<String, idem::Error> {
    idem::call("orders.charge")
        .arg(&order)
        .store(store)
        .on_interrupt(OnInterrupt::Reject)
        .record_arguments()
        .run(async { Ok::<_, idem::Error>(format!("receipt {order}")) })
        .await
}

#[tokio::test]
async fn ls_finds_records_by_state_function_and_age() {
    let shop = shop().await;
    for number in 0..5 {
        shop.claim("stock.reserve", number, HOUR, OnInterrupt::Retry).await;
    }
    charge(&shop.store, 7).await.unwrap();
    let interrupted = shop.interrupted("orders.charge", 8).await;
    let (over, _) = shop.claim("orders.charge", 9, Duration::from_micros(1), OnInterrupt::Reject).await;
    let (retried, _) = shop.claim("stock.reserve", 9, Duration::from_micros(1), OnInterrupt::Retry).await;

    let tokens = |arguments: &[&str]| {
        let list = shop.json(&[&["ls"], arguments].concat());
        let records = list["records"].as_array().unwrap().clone();
        records.into_iter().map(|record| record["token"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(tokens(&[]).len(), 9);
    assert_eq!(tokens(&["--state", "done"]).len(), 1);
    assert_eq!(tokens(&["--state", "interrupted"]), [interrupted.to_string()]);
    assert_eq!(tokens(&["--state", "running", "--function", "stock.reserve"]).len(), 6);
    assert_eq!(tokens(&["--age", "1h"]).len(), 0);
    assert_eq!(tokens(&["--age", "0s", "--state", "done"]).len(), 1);
    let mut lost = [over.to_string(), retried.to_string()];
    lost.sort();
    assert_eq!(tokens(&["--lease-over"]), lost);
    let mut open = [over.to_string(), interrupted.to_string()];
    open.sort();
    assert_eq!(tokens(&["--open"]), open);

    // A page at a time they are the same.
    let (mut paged, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut arguments = vec!["ls", "--limit", "2"];
        arguments.extend(cursor.iter().flat_map(|cursor| ["--cursor", cursor]));
        let page = shop.json(&arguments);
        paged.extend(
            page["records"]
                .as_array()
                .unwrap()
                .iter()
                .map(|record| record["token"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(paged, tokens(&["--all"]));

    let table = shop.idem(&["ls"]).out;
    let line = |token: Token| table.lines().find(|line| line.starts_with(&token.to_string()[..12])).unwrap();
    assert!(
        line(interrupted).contains("interrupted") && line(interrupted).ends_with("orders.charge"),
        "{table}"
    );
    assert!(line(over).contains("lease over   reject"), "{table}");
    assert!(shop.idem(&["ls", "--limit", "2"]).err.contains("--cursor "));
    assert!(shop.idem(&["ls", "--function", "none"]).err.contains("No such records"));
}

#[tokio::test]
async fn show_tells_what_is_known() {
    let shop = shop().await;
    charge(&shop.store, 7).await.unwrap();
    let by_call = shop.json(&["show", "--function", "orders.charge", "[7]"]);
    assert_eq!((&by_call["arguments"], &by_call["result"]), (&json!([7]), &json!("receipt 7")));
    let token = by_call["token"].as_str().unwrap();
    assert_eq!(shop.json(&["show", token]), by_call);
    assert_eq!(shop.json(&["show", &token[..6]]), by_call);

    let text = shop.idem(&["show", token]).out;
    for line in [
        "function      orders.charge",
        "state         done",
        "arguments     [7]",
        "result        \"receipt 7\"",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    for (arguments, code, what) in [
        (&["show", "--function", "orders.charge", "[8]"][..], 3, "no record of this call"),
        (&["show", "ffffffff"], 3, "no record whose token begins"),
        (&["show", "xyz"], 2, "64 hexadecimal digits"),
        (&["show", "--function", "orders.charge", "7"], 1, "JSON array"),
    ] {
        let said = shop.idem(arguments);
        assert!(said.code == code && said.err.contains(what), "{said:?}");
    }
}

#[tokio::test]
async fn texts_of_callers_do_not_reach_the_terminal_as_they_are() {
    let shop = shop().await;
    let (token, _) = shop.claim("red\u{1b}[31m\u{202e}", 1, HOUR, OnInterrupt::Retry).await;
    for said in [shop.idem(&["ls"]), shop.idem(&["show", &token.to_string()]), shop.idem(&["stats"])] {
        assert!(
            !said.out.contains(['\u{1b}', '\u{202e}']) && said.out.contains("red\\u{1b}[31m"),
            "{said:?}"
        );
    }
}

#[tokio::test]
async fn what_is_resolved_is_what_the_next_duplicate_gets() {
    let shop = shop().await;
    let token = shop.interrupted("orders.charge", 7).await;
    assert!(matches!(charge(&shop.store, 7).await, Err(idem::Error::Interrupted { .. })));

    let call = ["resolve", "--function", "orders.charge", "[7]", "--result", r#""receipt by hand""#];
    let said = shop.idem(&call);
    assert!(
        said.code == 5 && said.err.contains("nothing was changed") && said.err.contains("receipt by hand"),
        "{said:?}"
    );
    assert_eq!(shop.state(token).await, Some(State::Interrupted));

    let said = shop.json(&[&call[..], &["--yes", "--by", "bob"]].concat());
    assert_eq!(said, json!({"outcome": "resolved", "token": token.to_string(), "by": "bob"}));
    assert_eq!(charge(&shop.store, 7).await.unwrap(), "receipt by hand");
    let record = shop.json(&["show", &token.to_string()]);
    assert_eq!(
        (&record["by"], &record["attempt"], &record["ttl_ms"]),
        (&json!("bob"), &Value::Null, &json!(3_600_000))
    );

    // It is decided.
    let said = shop.idem(&[&call[..], &["--yes"]].concat());
    assert!(said.code == 4 && said.err.contains("done"), "{said:?}");
}

#[tokio::test]
async fn a_result_comes_as_cbor_or_not_at_all() {
    let shop = shop().await;
    let token = shop.interrupted("orders.charge", 1).await.to_string();
    std::fs::write(shop.folder.path().join("result"), b"\x43\x01\x02\x03").unwrap();
    shop.json(&["resolve", &token, "--result-cbor", "result", "--yes", "--ttl", "1m"]);
    let shown = shop.idem(&["show", &token]).out;
    assert!(shown.contains("result        h'010203'") && shown.contains("kept for      1m\n"), "{shown}");
    assert!(shown.contains("resolved by   ann"), "{shown}");

    let token = shop.interrupted("orders.charge", 2).await.to_string();
    shop.json(&["resolve", &token, "--no-result", "--yes"]);
    assert!(matches!(charge(&shop.store, 2).await, Err(idem::Error::Duplicate { .. })));

    let token = shop.interrupted("orders.charge", 3).await.to_string();
    for (arguments, what) in [
        (&["resolve", &token, "--yes"][..], "--no-result"),
        (&["resolve", &token, "--yes", "--result", "{"], "the result"),
        (&["resolve", &token, "--yes", "--result", "1", "--no-result"], "cannot be used with"),
        (&["resolve", &token, "--yes", "--no-result", "--ttl", "0s"], "over before it begins"),
    ] {
        let said = shop.idem(arguments);
        assert!(said.code == 2 && said.err.contains(what), "{said:?}");
    }
}

#[tokio::test]
async fn what_is_reopened_runs_again() {
    let shop = shop().await;
    let token = shop.interrupted("orders.charge", 7).await;
    assert_eq!(shop.idem(&["reopen", &token.to_string()]).code, 5);
    assert_eq!(shop.json(&["reopen", &token.to_string()[..8], "--yes"])["outcome"], "reopened");
    assert_eq!(shop.json(&["show", &token.to_string()])["by"], "ann");
    assert_eq!(charge(&shop.store, 7).await.unwrap(), "receipt 7");

    let (running, _) = shop.claim("orders.charge", 8, HOUR, OnInterrupt::Reject).await;
    let said = shop.idem(&["reopen", &running.to_string(), "--yes"]);
    assert!(said.code == 4 && said.err.contains("lease is not over"), "{said:?}");
}

#[tokio::test]
async fn what_is_forgotten_is_a_first_call_again() {
    let shop = shop().await;
    charge(&shop.store, 7).await.unwrap();
    let call = ["forget", "--function", "orders.charge", "[7]"];
    let said = shop.idem(&call);
    assert!(said.code == 5 && said.err.contains("second time"), "{said:?}");
    assert_eq!(shop.json(&[&call[..], &["--yes"]].concat())["outcome"], "forgotten");
    assert_eq!(shop.idem(&[&call[..], &["--yes"]].concat()).code, 3);

    let (running, _) = shop.claim("orders.charge", 8, HOUR, OnInterrupt::Reject).await;
    let said = shop.idem(&["forget", &running.to_string(), "--yes"]);
    assert!(said.code == 4 && said.err.contains("while its lease lasts"), "{said:?}");
    assert_eq!(shop.state(running).await, Some(State::Running));
}

/// An answer that comes from no terminal is nobody's.
#[tokio::test]
async fn without_a_terminal_nobody_is_asked() {
    let shop = shop().await;
    let token = shop.interrupted("orders.charge", 7).await;
    std::fs::write(shop.folder.path().join("yes"), "y\n").unwrap();
    for change in [&["reopen"][..], &["resolve", "--no-result"], &["forget"]] {
        let mut command = command(shop.folder.path(), change);
        let yes = std::fs::File::open(shop.folder.path().join("yes")).unwrap();
        let said = said(command.arg(token.to_string()).stdin(yes).output().unwrap());
        assert!(said.code == 5 && said.err.contains("no terminal"), "{said:?}");
        assert_eq!(shop.state(token).await, Some(State::Interrupted));
    }
}

/// Somebody who reads and answers.
#[tokio::test]
async fn on_a_terminal_somebody_is_asked() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::io::Write as _;

    let shop = shop().await;
    for (answer, code, state) in
        [("\n", 5, State::Interrupted), ("no\n", 5, State::Interrupted), ("y\n", 0, State::Free)]
    {
        let token = match shop.state(Token::of("", "a", &encoding::to_vec(&[1]).unwrap())).await {
            Some(_) => Token::of("", "a", &encoding::to_vec(&[1]).unwrap()),
            None => shop.interrupted("a", 1).await,
        };
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&near).unwrap();
        unlockpt(&near).unwrap();
        let path = ptsname(&near, Vec::new()).unwrap().into_string().unwrap();
        let far = std::fs::File::options().read(true).write(true).open(path).unwrap();
        std::fs::File::from(near.try_clone().unwrap()).write_all(answer.as_bytes()).unwrap();
        let output =
            command(shop.folder.path(), &["reopen", &token.to_string()]).stdin(far).output().unwrap();
        let said = said(output);
        assert!(said.code == code && said.err.contains("Do it? [y/N]"), "{said:?}");
        assert_eq!(shop.state(token).await, Some(state));
    }
}

#[tokio::test]
async fn watch_waits_for_the_end() {
    let shop = shop().await;
    let (token, attempt) = shop.claim("orders.charge", 7, HOUR, OnInterrupt::Retry).await;
    let said = shop.idem(&["watch", &token.to_string(), "--timeout", "10ms"]);
    assert!(said.code == 4 && said.err.contains("still runs"), "{said:?}");

    let mut watching = command(shop.folder.path(), &["watch", &token.to_string()]);
    let mut watching = watching.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It says that it waits, and then it does.
    let mut line = String::new();
    let mut err = std::io::BufReader::new(watching.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut err, &mut line).unwrap();
    assert!(line.contains("waiting for its end"), "{line}");
    assert!(watching.try_wait().unwrap().is_none());
    shop.store.ask(Request::Interrupt { token, attempt }).await.unwrap();
    let output = watching.wait_with_output().unwrap();
    assert!(output.status.success() && String::from_utf8(output.stdout).unwrap().contains("interrupted"));
}

#[tokio::test]
async fn stats_and_purge_count() {
    let shop = shop().await;
    charge(&shop.store, 7).await.unwrap();
    shop.interrupted("orders.charge", 8).await;
    shop.claim("stock.reserve", 1, HOUR, OnInterrupt::Retry).await;
    let stats = shop.json(&["stats"]);
    assert_eq!(stats["exact"], json!(true));
    assert_eq!(stats["all"], json!({"running": 1, "lease_over": 0, "interrupted": 1, "free": 0, "done": 1}));
    assert_eq!(stats["functions"][1]["function"], "stock.reserve");
    let text = shop.idem(&["stats"]).out;
    assert!(text.contains("durability class synced") && text.contains("all functions"), "{text}");

    assert_eq!(shop.idem(&["purge"]).code, 5);
    assert_eq!(shop.json(&["purge", "--yes"]), json!({"outcome": "purged", "purged": 0}));
}

#[tokio::test]
async fn a_namespace_is_its_own() {
    let shop = shop().await;
    charge(&shop.store, 7).await.unwrap();
    assert_eq!(shop.json(&["ls", "--namespace", "bank"])["records"], json!([]));
    assert_eq!(shop.json(&["ls", "--store", "sqlite:shop.db?namespace=bank"])["records"], json!([]));
}

/// Every store is asked in one way; so are those that other processes serve.
#[tokio::test]
async fn servers_are_asked_in_the_same_way() {
    let redis = idem_servers::Redis::start();
    let postgres = idem_servers::Postgres::start();
    let urls = [redis.as_ref().map(|redis| redis.url()), postgres.as_ref().map(|postgres| postgres.url())];
    let folder = tempfile::tempdir().unwrap();
    for url in urls.into_iter().flatten() {
        let idem = |arguments: &[&str]| {
            let mut command = command(folder.path(), arguments);
            said(command.env("IDEM_STORE", &url).output().unwrap())
        };
        let done = |arguments: &[&str]| {
            let said = idem(arguments);
            assert_eq!(said.code, 0, "{url} {arguments:?} {said:?}");
            said.out
        };
        if url.starts_with("postgres") {
            let none = idem(&["ls", "--namespace", "shop"]);
            assert!(none.code == 1 && none.err.contains("migrate"), "{none:?}");
        }
        done(&["migrate", "--yes"]);
        let join = if url.contains('?') { '&' } else { '?' };
        let store = idem::connect(&format!("{url}{join}namespace=shop")).await.unwrap();
        let shop = Shop { folder: tempfile::tempdir().unwrap(), store };
        let token = shop.interrupted("orders.charge", 7).await.to_string();
        shop.claim("orders.charge", 8, HOUR, OnInterrupt::Reject).await;
        charge(&shop.store, 9).await.unwrap();

        let shop_of = |arguments: &[&str]| done(&[arguments, &["--namespace", "shop"]].concat());
        assert!(shop_of(&["ls", "--open"]).contains(&token[..12]));
        assert_eq!(shop_of(&["ls"]).lines().count(), 4);
        assert!(shop_of(&["stats"]).contains("orders.charge"));
        assert!(shop_of(&["show", &token[..10]]).contains("interrupted"));
        shop_of(&["resolve", &token[..10], "--result", r#""receipt by hand""#, "--yes"]);
        assert_eq!(charge(&shop.store, 7).await.unwrap(), "receipt by hand");
        shop_of(&["forget", &token, "--yes"]);
        assert_eq!(shop_of(&["ls", "--state", "done"]).lines().count(), 2);
        shop_of(&["purge", "--yes"]);
        let doctor = idem(&["doctor", "--json"]);
        assert!(matches!(doctor.code, 0 | 6) && doctor.out.contains("durability"), "{doctor:?}");
    }
}

/// A device is one more store: what is shown and changed is the same, and a key opens its own namespace only.
#[tokio::test]
async fn a_device_is_asked_in_the_same_way() {
    let keys = tempfile::tempdir().unwrap();
    let (file, [shop, bank]) = common::key_file(keys.path(), ["shop", "bank"]);
    let device = common::device(&["--key-file", &file]);
    let with = |key: &str, arguments: &[&str]| {
        let mut command = command(device.folder.path(), arguments);
        said(command.env("IDEM_STORE", device.url()).env("IDEM_DEVICE_KEY", key).output().unwrap())
    };
    let call = r#"{"function": "orders.charge", "arguments": [7], "attempt": "00000000000000000000000000000007",
                   "on_interrupt": "reject", "record_arguments": true}"#;
    let claimed = device.post_as(&shop, "/v1/claim", call);
    assert_eq!(claimed.status, 201, "{claimed:?}");
    let token = claimed.json()["token"].as_str().unwrap().to_owned();
    let watched = with(&shop, &["watch", &token, "--timeout", "10ms"]);
    assert_eq!(watched.code, 4, "{watched:?}");
    let interrupted = device.post_as(
        &shop,
        &format!("/v1/records/{token}/interrupt"),
        r#"{"attempt": "00000000000000000000000000000007"}"#,
    );
    assert_eq!(interrupted.status, 200, "{interrupted:?}");

    let listed = with(&shop, &["ls", "--open"]);
    assert!(listed.code == 0 && listed.out.contains("interrupted  reject"), "{listed:?}");
    let shown = with(&shop, &["show", "--function", "orders.charge", "[7]"]);
    assert!(shown.code == 0 && shown.out.contains("arguments     [7]"), "{shown:?}");
    assert_eq!(with(&shop, &["resolve", &token[..8], "--result", "1"]).code, 5);
    assert_eq!(with(&bank, &["show", &token]).code, 3);
    assert_eq!(with(&bank, &["resolve", &token, "--result", "1", "--yes"]).code, 3);
    let resolved =
        with(&shop, &["resolve", &token[..8], "--result", r#"{"receipt": 7}"#, "--yes", "--by", "bob"]);
    assert_eq!(resolved.code, 0, "{resolved:?}");
    let duplicate = device.post_as(&shop, "/v1/claim", r#"{"function": "orders.charge", "arguments": [7]}"#);
    assert_eq!((duplicate.status, &duplicate.json()["result"]), (200, &json!({"receipt": 7})));
    let shown = with(&shop, &["show", &token, "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&shown.out).unwrap()["by"], "bob");

    assert!(with(&shop, &["stats"]).out.contains("orders.charge"));
    assert!(with(&shop, &["doctor"]).out.contains("synced"));
    assert_eq!(with(&shop, &["purge", "--yes"]).code, 0);
    assert_eq!(with(&shop, &["forget", &token, "--yes"]).code, 0);
    assert_eq!(with(&shop, &["show", &token]).code, 3);
    let migrated = with(&shop, &["migrate", "--yes"]);
    assert!(migrated.code == 2 && migrated.err.contains("where the device runs"), "{migrated:?}");
    let refused = with("wrong", &["ls"]);
    assert!(refused.code == 1 && refused.err.to_lowercase().contains("key"), "{refused:?}");
}

#[tokio::test]
async fn doctor_says_what_settings_cost() {
    let shop = shop().await;
    let well = shop.idem(&["doctor"]);
    assert!(well.code == 0 && well.out.contains("synced: its records survive a power cut"), "{well:?}");
    drop(shop.store);
    let weak = command(shop.folder.path(), &["doctor", "--store", "sqlite:weak.db?synchronous=normal"]);
    // There is no such file, and a look does not make it.
    let mut weak = weak;
    let none = said(weak.output().unwrap());
    assert!(none.code == 1 && none.err.contains("there is no file weak.db"), "{none:?}");
    assert!(!shop.folder.path().join("weak.db").exists());
    let made = said(
        command(shop.folder.path(), &["migrate", "--yes", "--store", "sqlite:weak.db"]).output().unwrap(),
    );
    assert!(made.code == 0 && made.err.contains("make the file weak.db"), "{made:?}");
    let weak = said(weak.output().unwrap());
    assert!(weak.code == 6 && weak.out.contains("warning     synchronous=normal"), "{weak:?}");
    assert!(weak.out.contains("machine: its records survive the end of the process"), "{weak:?}");
}

#[test]
fn a_store_must_be_named() {
    let folder = tempfile::tempdir().unwrap();
    for (store, code, what) in
        [("", 2, "which store?"), ("memory:", 2, "memory store"), ("nosuch:x", 1, "there is no store for")]
    {
        let said = said(command(folder.path(), &["ls"]).env("IDEM_STORE", store).output().unwrap());
        assert!(said.code == code && said.err.contains(what), "{said:?}");
    }
}

#[test]
fn shells_complete_it() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = said(command(folder.path(), &["completions", shell]).output().unwrap());
        assert!(said.code == 0 && said.out.contains("resolve") && said.out.contains("no-result"), "{shell}");
    }
}
