//! What can happen to a connection.

use std::time::Duration;

use idem_servers::{Fault, Proxy};

/// One way in which a connection breaks.
pub struct Breaks {
    pub name: &'static str,
    pub how: How,
    /// Whether it stays so until the proxy is healed.
    pub lasts: bool,
}

/// Bytes are counted from the last one if they are negative, and `0.5` is in the middle.
pub enum How {
    RequestCut(Byte),
    RequestSwallowed,
    RequestHeld,
    RequestDelayed,
    AnswerCut(Byte),
    AnswerSwallowed,
    AnswerHeld,
    AnswerDelayed,
    Refused,
}

#[derive(Clone, Copy)]
pub enum Byte {
    First,
    Second,
    Middle,
    Last,
}

impl Byte {
    /// Where that is in so many bytes.
    fn of(self, length: u64) -> u64 {
        match self {
            Byte::First => 0,
            Byte::Second => 1,
            Byte::Middle => length / 2,
            Byte::Last => length.saturating_sub(1),
        }
    }
}

/// Shorter than any time limit.
const DELAY: Duration = Duration::from_millis(80);

pub const ALL: &[Breaks] = &[
    Breaks { name: "request cut before its first byte", how: How::RequestCut(Byte::First), lasts: false },
    Breaks { name: "request cut after its first byte", how: How::RequestCut(Byte::Second), lasts: false },
    Breaks { name: "request cut in the middle", how: How::RequestCut(Byte::Middle), lasts: false },
    Breaks { name: "request cut before its last byte", how: How::RequestCut(Byte::Last), lasts: false },
    Breaks { name: "request swallowed", how: How::RequestSwallowed, lasts: true },
    Breaks { name: "request held, and late", how: How::RequestHeld, lasts: true },
    Breaks { name: "request delayed", how: How::RequestDelayed, lasts: false },
    Breaks { name: "answer cut before its first byte", how: How::AnswerCut(Byte::First), lasts: false },
    Breaks { name: "answer cut after its first byte", how: How::AnswerCut(Byte::Second), lasts: false },
    Breaks { name: "answer cut in the middle", how: How::AnswerCut(Byte::Middle), lasts: false },
    Breaks { name: "answer cut before its last byte", how: How::AnswerCut(Byte::Last), lasts: false },
    Breaks { name: "answer swallowed", how: How::AnswerSwallowed, lasts: true },
    Breaks { name: "answer held, and late", how: How::AnswerHeld, lasts: true },
    Breaks { name: "answer delayed", how: How::AnswerDelayed, lasts: false },
    Breaks { name: "every connection refused", how: How::Refused, lasts: true },
];

impl Breaks {
    /// Lets it happen to what comes next, of which it is known how many bytes there and back it takes.
    pub fn put(&self, proxy: &Proxy, bytes: (u64, u64)) {
        let fault = match self.how {
            How::RequestCut(byte) => Fault::in_requests().at(byte.of(bytes.0)).cut(),
            How::RequestSwallowed => Fault::in_requests().swallow(),
            How::RequestHeld => Fault::in_requests().hold(),
            How::RequestDelayed => Fault::in_requests().delay(DELAY),
            How::AnswerCut(byte) => Fault::in_answers().at(byte.of(bytes.1)).cut(),
            How::AnswerSwallowed => Fault::in_answers().swallow(),
            How::AnswerHeld => Fault::in_answers().hold(),
            How::AnswerDelayed => Fault::in_answers().delay(DELAY),
            How::Refused => return proxy.refuse(),
        };
        proxy.put(if self.lasts { fault.always() } else { fault });
    }
}
