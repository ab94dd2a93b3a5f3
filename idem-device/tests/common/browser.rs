//! A browser of one's own: Chromium without a window, driven over WebDriver.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::json;

/// A browser, and the program that drives it.
pub struct Browser {
    driver: Child,
    pub client: Client,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Nothing where no browser is installed, and a line says so; with `IDEM_REQUIRE_SERVERS=1` that is a panic.
    pub async fn start(width: u32, height: u32) -> Option<Browser> {
        let found =
            |program: &&str| Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
        let chromium = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(found);
        let (Some(chromium), true) = (chromium, found(&"chromedriver")) else {
            assert!(
                std::env::var("IDEM_REQUIRE_SERVERS").is_err(),
                "chromium and chromedriver are not installed"
            );
            eprintln!("SKIPPED: chromium and chromedriver are not installed");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver");
        // The browser ends with its driver: both are of one group.
        let mut driver = driver.arg("--port=0").stdout(Stdio::piped()).process_group(0).spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.by_ref().map(Result::unwrap).find_map(|line| {
            Some(
                line.strip_prefix("ChromeDriver was started successfully on port ")?
                    .trim_end_matches('.')
                    .to_owned(),
            )
        });
        std::thread::spawn(move || lines.for_each(drop));
        let path = profile.path().display();
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--user-data-dir={path}"),
            &format!("--window-size={width},{height}"),
        ];
        let program = which(chromium);
        let capabilities = json!({"goog:chromeOptions": {"args": arguments, "binary": program}});
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        builder.capabilities(capabilities.as_object().unwrap().clone());
        let client = builder.connect(&format!("http://127.0.0.1:{}", port.unwrap())).await.unwrap();
        Some(Browser { driver, client, _profile: profile })
    }

    pub async fn find(&self, css: &str) -> Element {
        let waiting = self.client.wait().at_most(Duration::from_secs(20));
        waiting.for_element(Locator::Css(css)).await.unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    pub async fn link(&self, text: &str) -> Element {
        let waiting = self.client.wait().at_most(Duration::from_secs(20));
        waiting.for_element(Locator::LinkText(text)).await.unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    pub async fn text(&self, css: &str) -> String {
        self.find(css).await.text().await.unwrap()
    }

    pub async fn close(self) {
        self.client.clone().close().await.unwrap();
    }
}

/// Where a program is.
fn which(program: &str) -> String {
    let path = std::env::var("PATH").unwrap();
    let places = path.split(':').map(|folder| format!("{folder}/{program}"));
    places.into_iter().find(|place| std::path::Path::new(place).exists()).unwrap()
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.driver);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.driver.wait();
    }
}
