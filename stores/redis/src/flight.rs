//! One command under way on a runtime of the application's.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, Value};
use tokio::task::unconstrained;

use crate::batch;
use crate::drive::Driver;
use crate::queue::Job;

/// Sends a command, and waits for its answer.
pub(crate) type Sends = Arc<dyn Fn(Cmd) -> Answer + Send + Sync>;
pub(crate) type Answer = Pin<Box<dyn Future<Output = RedisResult<Value>> + Send>>;

/// Sends over this connection.
pub(crate) fn sends(connection: MultiplexedConnection) -> Sends {
    Arc::new(move |command| {
        let mut connection = connection.clone();
        Box::pin(async move { connection.send_packed_command(&command).await })
    })
}

/// Where commands go out, and their answers come back.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) sends: Sends,
    pub(crate) driver: Arc<Driver>,
}

/// One command, and those that it asks for.
pub(crate) struct Flight {
    pub(crate) jobs: Vec<Job>,
    /// Which commands went out together.
    pub(crate) batch: u64,
    /// Since when it is under way.
    pub(crate) since: Instant,
    answer: Answer,
    /// What was answered at once.
    landed: Option<RedisResult<Value>>,
}

impl std::fmt::Debug for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Flight").field(&self.batch).field(&self.jobs).field(&self.since).finish()
    }
}

impl Flight {
    /// Sends one command, however long its caller has been running: what is sent later must not overtake it. Its answer
    /// wakes the runtime's task, unless it is there already.
    pub(crate) fn begin(jobs: Vec<Job>, batch: u64, way: &Way) -> Self {
        let mut answer = (way.sends)(batch::command(&jobs));
        let sending = pin!(unconstrained(answer.as_mut()));
        let landed = match sending.poll(&mut Context::from_waker(way.driver.for_answers())) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        };
        Flight { jobs, batch, since: Instant::now(), answer, landed }
    }

    pub(crate) fn has_landed(&self) -> bool {
        self.landed.is_some()
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<RedisResult<Value>> {
        match self.landed.take() {
            Some(answer) => Poll::Ready(answer),
            None => self.answer.as_mut().poll(context),
        }
    }
}
