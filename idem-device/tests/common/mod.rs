//! A device of one's own for each test: the program itself, on a free port, and stopped in the end.

#![allow(dead_code, missing_docs, reason = "each test uses some of it")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_idem");

/// A device that runs.
pub struct Device {
    child: Child,
    pub address: SocketAddr,
    pub folder: tempfile::TempDir,
}

/// A device with these arguments, over SQLite in a folder of its own.
pub fn device(arguments: &[&str]) -> Device {
    let folder = tempfile::tempdir().unwrap();
    let (child, address) = start(folder.path(), arguments);
    Device { child, address, folder }
}

fn start(folder: &Path, arguments: &[&str]) -> (Child, SocketAddr) {
    let mut command = Command::new(PROGRAM);
    command.arg("serve").args(arguments).current_dir(folder);
    if !arguments.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split("://").nth(1).and_then(|rest| rest.split(';').next());
    let Some(address) = address.and_then(|address| address.parse().ok()) else {
        let log = std::fs::read_to_string(folder.join("log")).unwrap();
        panic!("the device did not start: {line}{log}");
    };
    (child, address)
}

impl Device {
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the device has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// SIGKILL, and the same again on the same port and file.
    pub fn kill_and_restart(&mut self, arguments: &[&str]) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let listen = self.address.to_string();
        let arguments: Vec<_> = arguments.iter().copied().chain(["--listen", &listen]).collect();
        (self.child, self.address) = start(self.folder.path(), &arguments);
    }

    /// Asks it politely to stop, and says how it ended.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    pub fn post(&self, path: &str, json: &str) -> Answer {
        self.ask("POST", path, &[("content-type", "application/json")], json.as_bytes())
    }

    pub fn post_as(&self, key: &str, path: &str, json: &str) -> Answer {
        let bearer = format!("Bearer {key}");
        self.ask(
            "POST",
            path,
            &[("content-type", "application/json"), ("authorization", &bearer)],
            json.as_bytes(),
        )
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        // A body that is refused before it was read ends the connection.
        let _ = stream.write_all(body);
        read(&mut stream)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer of HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

/// Everything that comes until the connection ends, which is one answer.
pub fn read(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| {
        panic!("no answer: {}", String::from_utf8_lossy(&bytes));
    });
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The last part of a problem's `type`.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], self.status, "{json}");
        assert!(json["title"].is_string() && json["detail"].is_string(), "{json}");
        json["type"].as_str().unwrap().split('#').nth(1).unwrap().to_owned()
    }
}

/// A key file with a key for each of these namespaces, and the keys.
pub fn key_file<const N: usize>(folder: &Path, namespaces: [&str; N]) -> (String, [String; N]) {
    let mut file = String::new();
    let keys = namespaces.map(|namespace| {
        let made = Command::new(PROGRAM).args(["key", "--json", namespace]).output().unwrap();
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        file.push_str(&format!("{}\n", made["line"].as_str().unwrap()));
        made["key"].as_str().unwrap().to_owned()
    });
    let path = folder.join("keys");
    std::fs::write(&path, file).unwrap();
    (path.to_str().unwrap().to_owned(), keys)
}
