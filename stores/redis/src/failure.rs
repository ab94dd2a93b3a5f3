//! What can go wrong, and how it is said.

use std::time::Duration;

use idem_runtime::Text;
use idem_runtime::store::{CodecError, StoreError};
use redis::{ErrorKind, RedisError, ServerError};

/// Why something was not done.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// The server refused a command.
    Server(ServerError),
    /// The connection could not be made, or broke.
    Connection(RedisError),
    /// Nothing was answered in time.
    Silent(Duration),
    /// What is kept under this key is not a record that can be read.
    Unreadable(Box<[u8]>, CodecError),
    /// The server answered what it never should.
    Unexpected(&'static str),
    /// It was written, and too few replicas said so in time.
    NotReplicated { wanted: u32, have: u32 },
    /// The server takes nothing so large in one piece.
    TooLarge { most: usize },
    /// The task that talks with the server has ended.
    Gone,
}

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Tell the caller.
    Tell,
    /// Send the script along.
    SendSource,
    /// Wait a moment and ask again: the server says that it will do it later.
    Wait,
    /// Connect anew and ask again.
    Reconnect,
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        match ServerError::try_from(error) {
            Ok(error) => Failure::Server(error),
            Err(error) => Failure::Connection(error),
        }
    }
}

impl Failure {
    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            Failure::Server(error) => match error.code() {
                "NOSCRIPT" => Remedy::SendSource,
                // It is starting, between two masters, or busy with somebody's script.
                "LOADING" | "BUSY" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "NOREPLICAS" | "MOVED"
                | "ASK" => Remedy::Wait,
                // The master has become a replica: its name may lead elsewhere by now.
                "READONLY" => Remedy::Reconnect,
                _ => Remedy::Tell,
            },
            Failure::Connection(error) => match error.kind() {
                ErrorKind::InvalidClientConfig => Remedy::Tell,
                _ => Remedy::Reconnect,
            },
            Failure::Silent(_) => Remedy::Reconnect,
            _ => Remedy::Tell,
        }
    }

    /// What the caller is told. `lost` says that the request may have been carried out all the same.
    pub(crate) fn explain(self, store: &Text, lost: bool) -> StoreError {
        let store = store.clone();
        match self {
            Failure::Server(error) => server(store, error, lost),
            Failure::Connection(error) => connection(store, error, lost),
            Failure::Silent(limit) if lost => StoreError::lost(
                store,
                format!("has not answered within {}; ask again", humantime::format_duration(limit)),
            ),
            Failure::Silent(limit) => StoreError::unavailable(
                store,
                format!("could not be reached within {}", humantime::format_duration(limit)),
            ),
            Failure::Unreadable(key, cause) => {
                let key = String::from_utf8_lossy(&key).into_owned();
                let message = match cause {
                    // Versions are small numbers, and texts begin with something else.
                    CodecError::Newer { version, .. } if version < 0x20 => {
                        format!("cannot read the record under the key `{key}`")
                    }
                    _ => format!(
                        "holds something that is not one of idem's records under the key `{key}`, and leaves it as it \
                         is: use another `?namespace=`, or, if the operation may be done again, delete the key"
                    ),
                };
                StoreError::refused(store, message).with_source(cause)
            }
            Failure::Unexpected(what) => StoreError::refused(
                store,
                format!("answered {what}: is this a Redis or Valkey server, and nothing between?"),
            ),
            Failure::NotReplicated { wanted, have } => StoreError::lost(
                store,
                format!(
                    "has written it, and {have} replicas of the {wanted} that `wait_replicas` asks for said so in time: \
                     look at the replicas; ask again"
                ),
            ),
            Failure::TooLarge { most } => StoreError::too_large(
                store,
                format!(
                    "takes no more than {most} bytes in one piece (`proto-max-bulk-len`): lower `max_result`, or give \
                     smaller arguments"
                ),
            ),
            Failure::Gone => {
                let make = if lost { StoreError::lost } else { StoreError::refused };
                make(store, "cannot be used any more: the task that talks with it has ended; connect again")
            }
        }
    }
}

fn server(store: Text, error: ServerError, lost: bool) -> StoreError {
    type Make = fn(Text, &'static str) -> StoreError;
    let (refused, unavailable): (Make, Make) = (StoreError::refused, StoreError::unavailable);
    let (make, message) = match error.code() {
        "OOM" => (refused, "is full: raise its `maxmemory`, or keep records for a shorter time (`ttl`)"),
        "READONLY" => (refused, "is a read-only replica: give the address of the master"),
        "MISCONF" => (
            refused,
            "refuses to write because it cannot save to its disk: look at the server's log and its disk",
        ),
        "NOREPLICAS" => {
            (unavailable, "refuses to write because too few replicas are connected (`min-replicas-to-write`)")
        }
        "LOADING" => (unavailable, "is still reading its data from the disk"),
        "BUSY" => (unavailable, "is busy with a script: look for who runs it"),
        "CLUSTERDOWN" | "MASTERDOWN" | "TRYAGAIN" => {
            (unavailable, "has no master for this key at the moment")
        }
        "MOVED" | "ASK" => (
            unavailable,
            "keeps this key on another node: write `redis-cluster://` for a Redis Cluster, or wait while it moves keys",
        ),
        "WRONGTYPE" => (
            refused,
            "holds something that is not one of idem's records (a list, a hash or the like) under the key of this call: \
             use another `?namespace=`",
        ),
        _ if error.details().is_some_and(|said| said.contains("cluster support disabled")) => {
            (refused, "is a single server: write `redis://` instead of `redis-cluster://`")
        }
        "NOAUTH" | "WRONGPASS" => (refused, WRONG_PASSWORD),
        "NOPERM" => (refused, NO_PERMISSION),
        _ => (refused, "refused a command"),
    };
    let make = if lost { StoreError::lost } else { make };
    make(store, message).with_source(RedisError::from(error))
}

pub(crate) const WRONG_PASSWORD: &str = "does not accept the user or the password: check both in the URL";

/// What is said where the user may not do what is needed.
pub(crate) const NO_PERMISSION: &str = "does not allow this user what idem needs: `ACL SETUSER NAME ~idem:* &idem:* +get \
     +mget +set +del +time +eval +evalsha +publish +spublish +pubsub|numsub +subscribe +ssubscribe +unsubscribe \
     +sunsubscribe +scan +wait +info +ping +cluster|slots`";

fn connection(store: Text, error: RedisError, lost: bool) -> StoreError {
    let refused = |message: &'static str| StoreError::refused(store.clone(), message);
    let made = match error.kind() {
        ErrorKind::AuthenticationFailed => refused(WRONG_PASSWORD),
        ErrorKind::InvalidClientConfig => refused("cannot be connected to with these options"),
        _ if lost => StoreError::lost(store.clone(), "was lost before it had answered; ask again"),
        _ if error.is_timeout() => {
            StoreError::unavailable(store.clone(), "could not be reached in time: check host and port")
        }
        ErrorKind::Io => StoreError::unavailable(
            store.clone(),
            "cannot be reached: check that the server runs, host and port",
        ),
        _ => StoreError::unavailable(store.clone(), "failed"),
    };
    made.with_source(error)
}

#[cfg(test)]
mod tests {
    use idem_runtime::store::Fault;

    use super::*;

    #[test]
    fn what_may_have_been_carried_out_is_told_as_lost() {
        for (lost, fault) in [(true, Fault::Lost), (false, Fault::Unavailable)] {
            for failure in [
                Failure::Connection(RedisError::from((ErrorKind::Io, "cut"))),
                Failure::Silent(Duration::from_secs(1)),
            ] {
                let said = format!("{failure:?}");
                assert_eq!(failure.explain(&"redis://a".into(), lost).fault(), fault, "{said}");
            }
        }
    }
}
