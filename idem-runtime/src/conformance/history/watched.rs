//! A store that writes down what it is asked and what it answers.

use std::sync::Arc;

use super::event::{Moment, Op, Said, What};
use super::ledger::Ledger;
use crate::Token;
use crate::io::io;
use crate::store::{Asked, Finished, Handle, Profile, Request, Store, StoreError};

pub(super) struct Watched {
    store: Handle,
    ledger: Arc<Ledger>,
}

impl Watched {
    pub(super) fn new(store: Handle, ledger: Arc<Ledger>) -> Watched {
        Watched { store, ledger }
    }
}

impl Store for Watched {
    fn ask(&self, request: Request) -> Asked {
        let Some(op) = Op::of(&request) else { return self.store.ask(request) };
        let (token, ask) = (request.token(), self.ledger.number());
        if !self.ledger.write(token, What::Asked { ask, op }) {
            let name = self.profile().name.clone();
            return Asked::Now(Err(StoreError::refused(name, "is not there for a process that is dead")));
        }
        let ledger = Arc::clone(&self.ledger);
        let replied = move |answer| {
            ledger.write(token, What::Replied { ask, reply: Said::of(&answer) });
            answer
        };
        match self.store.ask(request) {
            Asked::Now(answer) => Asked::Now(replied(answer)),
            // Whether anybody waits for it or not.
            Asked::Later(pending) => {
                let name = self.profile().name.clone();
                Asked::Later(io().spawn(name, async move { replied(pending.await) }))
            }
        }
    }

    fn finished(&self, token: &Token, digest: &[u8]) -> Option<Finished> {
        let sent = Moment::now();
        let finished = self.store.finished(token, digest)?;
        let ask = self.ledger.number();
        self.ledger.write_at(sent, *token, What::Asked { ask, op: Op::look(digest) });
        self.ledger.write(Some(*token), What::Replied { ask, reply: Said::done(&finished) });
        Some(finished)
    }

    fn profile(&self) -> &Profile {
        self.store.profile()
    }
}
