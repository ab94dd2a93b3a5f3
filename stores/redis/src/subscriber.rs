//! The connection that messages come over: of one server a connection that does nothing else, of a cluster one to each
//! node, on which what is subscribed to follows its slot.

use std::time::Duration;

use futures_util::stream::StreamExt;
use redis::aio::PubSubSink;
use redis::cluster::ClusterConfig;
use redis::cluster_async::ClusterConnection;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc::WeakUnboundedSender;

use crate::failure::Failure;
use crate::link::CONNECT;
use crate::options::Servers;
use crate::watch::Message;

#[derive(Clone)]
pub(crate) enum Subscriber {
    One(PubSubSink),
    Cluster(ClusterConnection),
}

/// Connects, and passes on what comes until the end, which is told too.
pub(crate) async fn open(
    servers: Servers,
    sender: WeakUnboundedSender<Message>,
    number: u64,
    limit: Duration,
) -> Result<Subscriber, Failure> {
    let limit = CONNECT.min(limit);
    let opening = async {
        match servers {
            Servers::One(client) => {
                let (sink, mut messages) = client.get_async_pubsub().await?.split();
                tokio::spawn(async move {
                    while let Some(message) = messages.next().await {
                        let key = message.get_channel::<Vec<u8>>().unwrap_or_default();
                        if !tell(&sender, Message::Published(key)) {
                            return;
                        }
                    }
                    tell(&sender, Message::Disconnected(number));
                });
                Ok(Subscriber::One(sink))
            }
            Servers::Cluster(client) => {
                let pushed = move |push: PushInfo| {
                    if let Some(message) = message(push, number) {
                        tell(&sender, message);
                    }
                    Ok::<_, std::convert::Infallible>(())
                };
                let config = ClusterConfig::new()
                    .set_connection_timeout(limit)
                    .set_response_timeout(limit)
                    .set_push_sender(pushed);
                Ok(Subscriber::Cluster(client.get_async_connection_with_config(config).await?))
            }
        }
    };
    tokio::time::timeout(limit, opening).await.unwrap_or(Err(Failure::Silent(limit)))
}

fn tell(sender: &WeakUnboundedSender<Message>, message: Message) -> bool {
    sender.upgrade().is_some_and(|sender| sender.send(message).is_ok())
}

/// What a push of a cluster's node means.
fn message(push: PushInfo, number: u64) -> Option<Message> {
    match push.kind {
        PushKind::SMessage => match push.data.into_iter().next()? {
            Value::BulkString(key) => Some(Message::Published(key)),
            _ => None,
        },
        // A node is gone: the client subscribes again, and meanwhile it is to be looked.
        PushKind::Disconnection => Some(Message::Disconnected(number)),
        _ => None,
    }
}

impl Subscriber {
    pub(crate) async fn subscribe(&mut self, key: &[u8]) -> Result<(), Failure> {
        match self {
            Subscriber::One(sink) => sink.subscribe(key).await?,
            Subscriber::Cluster(connection) => connection.ssubscribe(key).await?,
        }
        Ok(())
    }

    pub(crate) async fn unsubscribe(&mut self, key: &[u8]) {
        // If it fails the connection is gone, and with it the subscription.
        let _ = match self {
            Subscriber::One(sink) => sink.unsubscribe(key).await,
            Subscriber::Cluster(connection) => connection.sunsubscribe(key).await,
        };
    }
}
