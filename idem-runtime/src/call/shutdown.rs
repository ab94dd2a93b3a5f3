//! The end of a process: what is still being recorded is waited for.

use std::time::Duration;

use crate::io::io;

/// Waits for what is still being recorded in the background, at most for `limit`; says whether all of it was.
///
/// For the end of `main`: what a caller that went away has left to record ends with the process. Dropped, it
/// stops nothing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// // … the service, until it is told to stop …
/// let recorded = idem::shutdown(std::time::Duration::from_secs(10)).await;
/// assert!(recorded);
/// # }
/// ```
pub async fn shutdown(limit: Duration) -> bool {
    io().block(move || io().idle(limit)).await
}

/// As [`shutdown`], for programs without a runtime: blocks this thread.
pub fn shutdown_blocking(limit: Duration) -> bool {
    io().idle(limit)
}
