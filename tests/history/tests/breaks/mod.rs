//! Every operation of the protocol, and every step of a call, on connections that break at every byte that matters.

mod calls;
mod faults;
mod operations;
mod table;

/// Runs all of it on the store that a URL leads to, by way of proxies; prints what was seen as two tables.
///
/// # Panics
/// If something was answered that is not so, took too long, or was done that had to be refused: with all of that.
pub fn run(url: &str) {
    let operations = operations::run(url);
    println!("{operations}");
    let calls = calls::run(url);
    println!("{calls}");
    operations.assert();
    calls.assert();
}

/// A URL with a time limit.
fn limited(url: &str, limit: std::time::Duration) -> String {
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}time_limit={}ms", limit.as_millis())
}
