//! What goes over many records: pages of a list, and the removal of what has expired.

use idem_runtime::store::{Listed, Page, Query, Reply, State};
use idem_runtime::{Text, Token};

use crate::carry::{EVERYWHERE, Link, unreadable};
use crate::failure::Failure;
use crate::row;
use crate::value::{Columns, micros};

/// How many records a page has at most, and if nobody says how many.
const PAGE: usize = 1_000;
const USUAL_PAGE: usize = 100;
/// How many records are looked at for one page.
const LOOKED_AT: i64 = 10_000;
/// How many expired records one request removes at most.
const PURGE: usize = 1_000;

impl Link<'_> {
    pub(crate) async fn list(&mut self, namespace: &str, query: &Query) -> Result<Reply, Failure> {
        let limit = match query.limit {
            0 => USUAL_PAGE,
            limit => limit.min(PAGE),
        };
        let state = if query.lease_over { Some(State::Running) } else { query.state };
        if query.lease_over && query.state.is_some_and(|state| state != State::Running) {
            return Ok(Reply::Page(Page::default()));
        }
        let mut values = self.values();
        values.text(namespace)?;
        values.bytes(query.cursor.as_ref().map_or(&[][..], |token| token.as_bytes()))?;
        values.number(LOOKED_AT)?;
        // One more than is answered shows whether there is another page.
        values.number(i64::try_from(limit).unwrap_or(i64::MAX) + 1)?;
        values.maybe_text(state.map(row::state))?;
        values.flag(query.lease_over)?;
        values.maybe_text(query.function.as_deref())?;
        values.maybe_number(query.age.map(micros))?;
        let rows = self.run(&self.shared.sql.list, values).await?;
        let (mut records, mut next) = (Vec::new(), None);
        for row in &rows {
            let mut columns = Columns::new(row);
            let last = columns.maybe_bytes().map_err(unreadable)?;
            if columns.number().map_err(unreadable)? == LOOKED_AT {
                next = last.and_then(|last| last.try_into().ok()).map(Token::from_bytes);
            }
            if columns.is_null() {
                break;
            }
            if records.len() == limit {
                next = records.last().map(|listed: &Listed| listed.token);
                break;
            }
            let token = Token::from_bytes(columns.array().map_err(unreadable)?);
            let found = row::whole(&mut columns).map_err(|cause| Failure::Damaged(token, cause))?;
            records.push(Listed::new(token, found.record));
        }
        Ok(Reply::Page(Page::new(records, next)))
    }

    /// Looks on as long as rows are looked at and none is removed: rows that were looked at too early are in the way.
    pub(crate) async fn purge(&mut self, namespace: &Text, limit: usize) -> Result<Reply, Failure> {
        let limit = limit.min(PURGE);
        let mut removed = 0;
        loop {
            let left = limit - removed;
            if left == 0 {
                break;
            }
            let mut values = self.values();
            values.number(i64::try_from(left).unwrap_or(i64::MAX))?;
            values.maybe_text(Some(&**namespace).filter(|_| *namespace != EVERYWHERE))?;
            let rows = self.run(&self.shared.sql.purge, values).await?;
            let mut counts = [0; 2];
            if let Some(row) = rows.first() {
                let mut columns = Columns::new(row);
                for count in &mut counts {
                    *count = usize::try_from(columns.number().map_err(unreadable)?).unwrap_or(0);
                }
            }
            let [gone, due] = counts;
            removed += gone;
            if due < left {
                break;
            }
        }
        Ok(Reply::Purged(removed))
    }
}
