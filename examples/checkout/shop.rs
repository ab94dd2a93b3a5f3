//! The service: one annotated method, and the payment provider behind it.

use std::time::Duration;

use idem::{OnError, idempotent};
use serde::{Deserialize, Serialize};

use crate::ledger::{Charge, Ledger};

/// A sender repeats a delivery for days.
pub const TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub const NAME: &str = "checkout.charge";

/// What a caller gets, and each of its duplicates, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub payment: String,
    pub amount_cents: u64,
}

#[derive(Debug)]
pub enum ChargeError {
    /// The payment provider took nothing.
    Busy,
    /// The payment provider did not say what it did.
    Unknown(std::io::Error),
    /// The call was refused.
    Refused(idem::Error),
}

impl From<idem::Error> for ChargeError {
    fn from(error: idem::Error) -> Self {
        ChargeError::Refused(error)
    }
}

impl ChargeError {
    /// After a refusal of the provider's the next delivery may try; what nobody knows, nobody repeats.
    fn means(&self) -> OnError {
        match self {
            ChargeError::Busy => OnError::Release,
            ChargeError::Unknown(_) | ChargeError::Refused(_) => OnError::Interrupt,
        }
    }
}

/// A shop, with the books of its payment provider.
pub struct Shop {
    ledger: Ledger,
}

impl Shop {
    pub fn new(ledger: Ledger) -> Self {
        Shop { ledger }
    }

    /// Charges one event, once.
    ///
    /// The event's id is the key. Order and amount are verified: the same id with others is refused. Each ledger
    /// is a shop of its own, and so a scope. What would charge twice if it were run again is refused until a
    /// person has looked (`on_interrupt = reject`). `busy` belongs to the simulated provider, not to the call.
    #[idempotent(
        name = "checkout.charge",
        key(event),
        skip(self, busy),
        scope = self.ledger.shop(),
        ttl = TTL,
        lease = "5s",
        on_interrupt = reject,
        on_error = with(ChargeError::means),
        record_arguments,
    )]
    pub async fn charge(
        &self,
        event: &str,
        order: &str,
        amount_cents: u64,
        busy: u32,
    ) -> Result<Receipt, ChargeError> {
        let attempt = idem::current().map_or(1, |attempt| attempt.number());
        self.provider(event, order, amount_cents, attempt, attempt <= busy).await
    }

    /// Stands for the payment provider: it takes its time, it is busy at times, and it keeps the books.
    async fn provider(
        &self,
        event: &str,
        order: &str,
        amount_cents: u64,
        attempt: u32,
        busy: bool,
    ) -> Result<Receipt, ChargeError> {
        let answers_in = Duration::from_millis(2 + amount_cents % 17);
        tokio::time::sleep(answers_in / 2).await;
        if busy {
            return Err(ChargeError::Busy);
        }
        let receipt = Receipt { payment: format!("pay_{order}_{attempt}"), amount_cents };
        let charge = Charge { event: event.to_owned(), order: order.to_owned(), receipt: receipt.clone() };
        self.ledger.append(&charge).map_err(ChargeError::Unknown)?;
        tokio::time::sleep(answers_in / 2).await;
        Ok(receipt)
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}
