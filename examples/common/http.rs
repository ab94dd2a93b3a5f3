//! The little HTTP that the examples' clients speak.

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A request that is on its way.
pub struct Sent(TcpStream);

/// Connects and sends one request with a JSON body.
pub async fn post(address: &str, path: &str, body: &impl Serialize) -> Result<Sent, Error> {
    let body = serde_json::to_string(body)?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut connection = TcpStream::connect(address).await?;
    connection.write_all(request.as_bytes()).await?;
    Ok(Sent(connection))
}

impl Sent {
    /// The answer's status line and body.
    pub async fn answer(mut self) -> Result<(String, String), Error> {
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("that is no HTTP")?;
        Ok((head.lines().next().unwrap_or_default().to_owned(), body.to_owned()))
    }
}
