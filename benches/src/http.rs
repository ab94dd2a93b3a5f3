//! Requests to servers in processes of their own, by as many callers as are wanted, each on a connection of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// A connection that is kept.
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Connection {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a TCP connection");
        Connection { stream, read: Vec::with_capacity(4096) }
    }

    /// Sends a request, and waits for all of its answer.
    pub async fn ask(&mut self, request: &[u8]) -> Answer {
        self.stream.write_all(request).await.expect("the server listens");
        self.read.clear();
        loop {
            let read = self.stream.read_buf(&mut self.read).await.expect("the server answers");
            assert!(read > 0, "the server closed the connection: {}", String::from_utf8_lossy(&self.read));
            if let Some(answer) = self.whole() {
                return answer;
            }
        }
    }

    fn whole(&self) -> Option<Answer> {
        let end = self.read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&self.read[..end]).expect("an HTTP head");
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().expect("a length"))
        })?;
        let body = self.read.get(end..end + length)?.to_vec();
        let status = head.split(' ').nth(1)?.parse().expect("a status");
        Some(Answer { status, body })
    }
}

/// A request that posts JSON.
pub fn post(path: &str, headers: &str, json: &str) -> Vec<u8> {
    let length = json.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{json}"
    )
    .into_bytes()
}

/// Nanoseconds per call when so many callers, each on a connection of its own, make so many calls each. A call is given
/// its connection, and gives it back.
pub fn per_call<F: Future<Output = Connection> + Send>(
    runtime: &Runtime,
    address: SocketAddr,
    callers: usize,
    calls: usize,
    call: impl Fn(Connection) -> F + Send + Sync + 'static,
) -> f64 {
    let call = Arc::new(call);
    runtime.block_on(async {
        let mut open = Vec::new();
        for _ in 0..callers {
            open.push(Connection::open(address).await);
        }
        let began = Instant::now();
        let tasks: Vec<_> = open
            .into_iter()
            .map(|mut connection| {
                let call = Arc::clone(&call);
                tokio::spawn(async move {
                    for _ in 0..calls {
                        connection = call(connection).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        began.elapsed().as_nanos() as f64 / (callers * calls) as f64
    })
}
