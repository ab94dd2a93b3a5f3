//! A proxy between a client and its server, for what can happen to a connection.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Passes bytes on between clients and one server, but where it was told not to.
///
/// ```no_run
/// use idem_servers::{Fault, Proxy, Redis};
/// let Some(server) = Redis::start() else { return };
/// let proxy = Proxy::to(&server.url());
/// // … connect to `proxy.url()` …
/// proxy.put(Fault::in_answers().at(3).cut()); // of the next answer three bytes arrive
/// // … ask …
/// assert_eq!(proxy.hits(), 1);
/// proxy.heal();
/// ```
#[derive(Debug)]
pub struct Proxy {
    state: Arc<State>,
    url: String,
}

/// Something that goes wrong on a connection. It begins with [`Fault::in_requests`] or [`Fault::in_answers`].
#[derive(Debug, Clone)]
#[must_use = "it is put into a proxy"]
pub struct Fault {
    direction: Direction,
    pattern: Vec<u8>,
    skip: u64,
    at: u64,
    what: What,
    always: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// From the client to the server.
    Requests,
    /// From the server to the client.
    Answers,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Cut,
    Swallow,
    Hold,
    Delay(Duration),
}

impl Fault {
    const fn new(direction: Direction) -> Fault {
        Fault { direction, pattern: Vec::new(), skip: 0, at: 0, what: What::Cut, always: false }
    }

    /// In what a client sends from now on.
    pub const fn in_requests() -> Fault {
        Fault::new(Direction::Requests)
    }

    /// In what the server sends from now on: what it was asked for it has done.
    pub const fn in_answers() -> Fault {
        Fault::new(Direction::Answers)
    }

    /// Not before these bytes come; they have to arrive in one piece.
    pub fn on(mut self, pattern: impl AsRef<[u8]>) -> Fault {
        self.pattern = pattern.as_ref().to_vec();
        self
    }

    /// Passes over the first times that they come.
    pub fn after(mut self, times: u64) -> Fault {
        self.skip = times;
        self
    }

    /// Lets so many bytes of that connection pass first, counted from the pattern if there is one.
    pub fn at(mut self, byte: u64) -> Fault {
        self.at = byte;
        self
    }

    /// The connection is closed there, in both directions.
    pub fn cut(mut self) -> Fault {
        self.what = What::Cut;
        self
    }

    /// From there on nothing arrives, and the connection stays open. Healed, it is cut: what is lost is lost.
    pub fn swallow(mut self) -> Fault {
        self.what = What::Swallow;
        self
    }

    /// From there on nothing arrives before the proxy is healed; then everything does.
    pub fn hold(mut self) -> Fault {
        self.what = What::Hold;
        self
    }

    /// What comes there arrives so much later.
    pub fn delay(mut self, by: Duration) -> Fault {
        self.what = What::Delay(by);
        self
    }

    /// Each time, on every connection, until the proxy is healed; otherwise once.
    pub fn always(mut self) -> Fault {
        self.always = true;
        self
    }
}

#[derive(Debug, Default)]
struct State {
    inner: Mutex<Inner>,
    healed: Condvar,
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    faults: Vec<Put>,
    connections: HashMap<u64, [TcpStream; 2]>,
    next: u64,
    /// Connections on which something was swallowed.
    spoilt: Vec<u64>,
    /// Grows when the proxy is healed.
    healings: u64,
    hits: u64,
    refuses: bool,
    requests: u64,
    answers: u64,
}

/// A fault, and how far each connection is from it.
#[derive(Debug)]
struct Put {
    fault: Fault,
    /// Matches that were passed over.
    passed_over: u64,
    /// Bytes until it comes, once they are counted.
    left: HashMap<u64, u64>,
}

/// What becomes of bytes that have come.
#[derive(Debug, Clone, Copy)]
enum Verdict {
    Pass,
    /// So many pass, then this happens.
    Hit(usize, What),
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn judge(&mut self, connection: u64, direction: Direction, bytes: &[u8]) -> Verdict {
        match direction {
            Direction::Requests => self.requests += bytes.len() as u64,
            Direction::Answers => self.answers += bytes.len() as u64,
        }
        for index in 0..self.faults.len() {
            let put = &mut self.faults[index];
            if put.fault.direction != direction {
                continue;
            }
            let Some(pass) = put.reached(connection, bytes) else { continue };
            let what = put.fault.what;
            if put.fault.always {
                put.left.remove(&connection);
            } else {
                self.faults.remove(index);
            }
            self.hits += 1;
            if let What::Swallow = what {
                self.spoilt.push(connection);
            }
            return Verdict::Hit(pass, what);
        }
        Verdict::Pass
    }

    fn close(&mut self, connection: u64) {
        for stream in self.connections.remove(&connection).into_iter().flatten() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Put {
    /// How many of these bytes pass before the fault, if it comes in them.
    fn reached(&mut self, connection: u64, bytes: &[u8]) -> Option<usize> {
        let mut from = 0;
        if !self.left.contains_key(&connection) {
            if !self.fault.pattern.is_empty() {
                let length = self.fault.pattern.len();
                loop {
                    let rest = bytes.get(from..).unwrap_or_default();
                    let found = rest.windows(length).position(|window| window == self.fault.pattern)?;
                    from += found;
                    if self.passed_over == self.fault.skip {
                        break;
                    }
                    self.passed_over += 1;
                    from += length;
                }
            }
            self.left.insert(connection, self.fault.at);
        }
        let left = self.left.get_mut(&connection)?;
        let here = (bytes.len() - from) as u64;
        if *left < here {
            return Some(from + *left as usize);
        }
        *left -= here;
        None
    }
}

impl Proxy {
    /// In front of the server that a URL leads to: `redis://127.0.0.1:6379`.
    ///
    /// # Panics
    /// If the URL names no port, or the operating system gives none.
    #[must_use]
    pub fn to(url: &str) -> Proxy {
        let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = authority.split(['/', '?']).next().unwrap_or_default();
        let server = authority.rsplit('@').next().unwrap_or_default().to_owned();
        assert!(server.contains(':'), "`{url}` names no port");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port for a proxy");
        let port = listener.local_addr().expect("a listener has an address").port();
        let state = Arc::new(State::default());
        let url = url.replacen(&server, &format!("127.0.0.1:{port}"), 1);
        let accepting = Arc::clone(&state);
        thread::spawn(move || accept(&listener, &server, &accepting));
        Proxy { state, url }
    }

    /// The server's URL, by way of this proxy.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on this goes wrong, too.
    pub fn put(&self, fault: Fault) {
        let put = Put { fault, passed_over: 0, left: HashMap::new() };
        self.state.lock().faults.push(put);
    }

    /// How often something went wrong because of a [`Fault`].
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.state.lock().hits
    }

    /// How many bytes have come from clients, and how many from the server.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let inner = self.state.lock();
        (inner.requests, inner.answers)
    }

    /// Closes every connection, in the middle of whatever goes on.
    pub fn cut(&self) {
        let mut inner = self.state.lock();
        let all: Vec<u64> = inner.connections.keys().copied().collect();
        all.into_iter().for_each(|connection| inner.close(connection));
    }

    /// Closes every connection, and every new one at once.
    pub fn refuse(&self) {
        self.state.lock().refuses = true;
        self.cut();
    }

    /// Everything goes well from now on.
    pub fn heal(&self) {
        let mut inner = self.state.lock();
        inner.faults.clear();
        inner.refuses = false;
        inner.healings += 1;
        for connection in std::mem::take(&mut inner.spoilt) {
            inner.close(connection);
        }
        drop(inner);
        self.state.healed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Release);
        self.heal();
        self.cut();
        // It waits for one more.
        let address = self.url.split_once("127.0.0.1:").map_or("", |(_, rest)| rest);
        let port = address.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        if let Ok(port) = port.parse::<u16>() {
            let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        }
    }
}

fn accept(listener: &TcpListener, server: &str, state: &Arc<State>) {
    for client in listener.incoming() {
        if state.over.load(Ordering::Acquire) {
            return;
        }
        let Ok(client) = client else { continue };
        let mut inner = state.lock();
        if inner.refuses {
            continue;
        }
        let Ok(server) = TcpStream::connect(server) else { continue };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let clones = (client.try_clone(), client.try_clone(), server.try_clone(), server.try_clone());
        let (Ok(reading), Ok(answered), Ok(asked), Ok(answering)) = clones else { continue };
        let connection = inner.next;
        inner.next += 1;
        inner.connections.insert(connection, [client, server]);
        drop(inner);
        let (one, other) = (Arc::clone(state), Arc::clone(state));
        thread::spawn(move || pump(reading, asked, connection, Direction::Requests, &one));
        thread::spawn(move || pump(answering, answered, connection, Direction::Answers, &other));
    }
}

/// Passes on one direction of one connection.
fn pump(mut from: TcpStream, mut to: TcpStream, connection: u64, direction: Direction, state: &State) {
    let mut buffer = [0; 16 * 1024];
    let mut swallows = false;
    'read: while let Ok(count @ 1..) = from.read(&mut buffer) {
        let mut bytes = &buffer[..count];
        while !bytes.is_empty() {
            if swallows {
                continue 'read;
            }
            let mut inner = state.lock();
            let verdict = inner.judge(connection, direction, bytes);
            let healings = inner.healings;
            drop(inner);
            let pass = match verdict {
                Verdict::Pass => bytes.len(),
                Verdict::Hit(pass, _) => pass,
            };
            if to.write_all(&bytes[..pass]).is_err() {
                break 'read;
            }
            bytes = &bytes[pass..];
            match verdict {
                Verdict::Pass => {}
                Verdict::Hit(_, What::Cut) => break 'read,
                Verdict::Hit(_, What::Swallow) => swallows = true,
                Verdict::Hit(_, What::Delay(by)) => {
                    thread::sleep(by);
                    // What the fault was about is over.
                    if to.write_all(bytes).is_err() {
                        break 'read;
                    }
                    bytes = &[];
                }
                Verdict::Hit(_, What::Hold) => {
                    let inner = state.lock();
                    drop(state.healed.wait_while(inner, |inner| inner.healings == healings));
                }
            }
        }
    }
    state.lock().close(connection);
}
