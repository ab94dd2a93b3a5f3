//! The proxy does what it is told, seen by a client of Redis that knows nothing of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use idem_servers::{Fault, Proxy, Redis};

/// A client that writes bytes and reads bytes.
struct Client(TcpStream);

impl Client {
    fn new(proxy: &Proxy) -> Client {
        let stream = TcpStream::connect(proxy.url().strip_prefix("redis://").unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Client(stream)
    }

    fn send(&mut self, line: &str) {
        self.0.write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    /// What comes until the end of a line, or of the connection.
    fn hear(&mut self) -> String {
        let mut all = Vec::new();
        let mut byte = [0];
        while !all.ends_with(b"\r\n") {
            match self.0.read(&mut byte) {
                Ok(1) => all.push(byte[0]),
                _ => break,
            }
        }
        String::from_utf8(all).unwrap()
    }

    fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.hear()
    }

    /// Whether nothing comes, and the connection stays.
    fn hears_nothing(&mut self) -> bool {
        self.0.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let silent = self.0.read(&mut [0]).is_err();
        self.0.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        silent
    }
}

fn counted(server: &Redis) -> i64 {
    let count: Option<i64> = redis::cmd("GET").arg("count").query(&mut server.connection()).unwrap();
    count.unwrap_or(0)
}

#[test]
fn bytes_pass_as_they_are() {
    let Some(server) = Redis::start() else { return };
    let proxy = Proxy::to(&server.url());
    let mut client = Client::new(&proxy);
    assert_eq!(client.ask("INCR count"), ":1\r\n");
    assert_eq!(client.ask("INCR count"), ":2\r\n");
    assert_eq!(proxy.bytes(), (24, 8));
    assert_eq!(proxy.hits(), 0);
}

#[test]
fn an_answer_is_cut_at_each_of_its_bytes_and_the_request_was_carried_out() {
    let Some(server) = Redis::start() else { return };
    let proxy = Proxy::to(&server.url());
    for byte in 0..4 {
        let mut client = Client::new(&proxy);
        proxy.put(Fault::in_answers().at(byte).cut());
        let answer = client.ask("INCR count");
        assert_eq!(answer, format!(":{}\r\n", byte + 1)[..byte as usize]);
        assert_eq!(counted(&server), byte as i64 + 1);
    }
    assert_eq!(proxy.hits(), 4);
    assert_eq!(Client::new(&proxy).ask("INCR count"), ":5\r\n");
}

#[test]
fn a_request_is_cut_and_was_not_carried_out() {
    let Some(server) = Redis::start() else { return };
    let proxy = Proxy::to(&server.url());
    for byte in [0, 1, 11] {
        let mut client = Client::new(&proxy);
        proxy.put(Fault::in_requests().at(byte).cut());
        assert_eq!(client.ask("INCR count"), "");
    }
    assert_eq!(counted(&server), 0);
}

#[test]
fn what_is_swallowed_is_lost_and_what_is_held_comes_later() {
    let Some(server) = Redis::start() else { return };
    let proxy = Proxy::to(&server.url());
    let (mut one, mut two) = (Client::new(&proxy), Client::new(&proxy));
    proxy.put(Fault::in_answers().swallow());
    one.send("INCR count");
    assert!(one.hears_nothing());
    assert_eq!(counted(&server), 1);
    proxy.put(Fault::in_requests().hold());
    two.send("INCR count");
    assert!(two.hears_nothing());
    assert_eq!(counted(&server), 1);
    proxy.heal();
    assert_eq!(one.hear(), "", "its connection is gone");
    assert_eq!(two.hear(), ":2\r\n");
}

#[test]
fn a_fault_waits_for_its_pattern_and_comes_as_often_as_it_is_told_to() {
    let Some(server) = Redis::start() else { return };
    let proxy = Proxy::to(&server.url());
    proxy.put(Fault::in_requests().on("INCR").after(1).cut());
    let mut client = Client::new(&proxy);
    assert_eq!(client.ask("PING"), "+PONG\r\n");
    assert_eq!(client.ask("INCR count"), ":1\r\n");
    assert_eq!(client.ask("INCR count"), "");
    proxy.put(Fault::in_answers().always().cut());
    for _ in 0..3 {
        assert_eq!(Client::new(&proxy).ask("INCR count"), "");
    }
    assert_eq!(counted(&server), 4);
    proxy.heal();
    assert_eq!(Client::new(&proxy).ask("INCR count"), ":5\r\n");
}

#[test]
fn answers_come_later_and_connections_are_cut_and_refused() {
    let Some(server) = Redis::start() else { return };
    let proxy = Proxy::to(&server.url());
    let mut client = Client::new(&proxy);
    proxy.put(Fault::in_answers().delay(Duration::from_millis(60)));
    let began = Instant::now();
    assert_eq!(client.ask("PING"), "+PONG\r\n");
    assert!(began.elapsed() >= Duration::from_millis(60));
    proxy.cut();
    assert_eq!(client.hear(), "");
    proxy.refuse();
    assert_eq!(Client::new(&proxy).hear(), "");
    proxy.heal();
    assert_eq!(Client::new(&proxy).ask("PING"), "+PONG\r\n");
}
