//! What goes through many records of the memory store: pages of them, and dropping those that have expired.

use std::collections::BinaryHeap;
use std::sync::atomic::Ordering;

use super::Inner;
use super::shard::{SHARDS, Shards, Woken, gone};
use crate::Token;
use crate::store::packed::Packed;
use crate::store::record::State;
use crate::store::request::Query;
use crate::store::{Listed, Page, protocol};
use crate::time::Now;

const PAGE: usize = 100;
const MOST: usize = 10_000;

/// How many places of a table are looked at before its lock is given back for a moment.
const STEP: usize = 256;

impl Inner {
    /// A page of records in the order of their tokens, which is the order of the shards.
    pub(super) fn list(&self, query: &Query) -> Page {
        let now = self.now();
        let limit = if query.limit == 0 { PAGE } else { query.limit.min(MOST) };
        let mut records: Vec<Listed> = Vec::new();
        let from = query.cursor.as_ref().map_or(0, Shards::index);
        for shard in self.shards.iter().skip(from) {
            let shard = shard.read();
            // One more than fits, to know whether another page follows.
            let room = limit + 1 - records.len();
            let mut first: BinaryHeap<Token> = BinaryHeap::new();
            for record in shard.iter().filter(|record| matches(query, record, &now)) {
                if first.len() < room {
                    first.push(*record.token());
                } else if first.peek().is_some_and(|last| record.token() < last) {
                    first.pop();
                    first.push(*record.token());
                }
            }
            let found = first.into_sorted_vec();
            records.extend(
                found.iter().filter_map(|token| Some(Listed::new(*token, shard.find(token)?.unpack()))),
            );
            if records.len() > limit {
                break;
            }
        }
        let more = records.len() > limit;
        records.truncate(limit);
        let next = records.last().map(|last| last.token).filter(|_| more);
        Page::new(records, next)
    }

    /// Drops at most `limit` expired records, in small steps, and says how many.
    pub(super) fn purge(&self, limit: usize) -> usize {
        let first = self.counters.purge.load(Ordering::Relaxed);
        let mut dropped = 0;
        for index in (0..SHARDS).map(|offset| (first + offset) % SHARDS) {
            if dropped == limit {
                // The next purge goes on here.
                self.counters.purge.store(index, Ordering::Relaxed);
                break;
            }
            dropped += self.purge_shard(index, limit - dropped, &self.now());
        }
        dropped
    }

    fn purge_shard(&self, index: usize, limit: usize, now: &Now) -> usize {
        let shard = self.shards.at(index);
        let mut dropped = 0;
        let mut place = 0;
        loop {
            let mut woken = Woken::default();
            let mut part = shard.write();
            for _ in 0..STEP {
                if dropped == limit || place >= part.places() {
                    break;
                }
                if part.drop_at(place, now, self.limits.as_ref(), &mut woken) {
                    dropped += 1;
                } else {
                    place += 1;
                }
            }
            let over = dropped == limit || place >= part.places();
            if over {
                part.shrink();
            }
            drop(part);
            woken.answer();
            if over {
                return dropped;
            }
        }
    }

    /// Drops everything that has expired, to make room.
    #[cold]
    pub(super) fn make_room(&self) {
        let Some(limits) = &self.limits else { return };
        let now = self.now();
        limits.looking();
        for index in 0..SHARDS {
            self.purge_shard(index, usize::MAX, &now);
            for record in self.shards.at(index).read().iter() {
                limits.expires(if record.expires() <= now.wall {
                    // Only its lease keeps it.
                    let left = record.head().lease.micros.saturating_sub(now.lease.micros);
                    now.wall.after(std::time::Duration::from_micros(left))
                } else {
                    record.expires()
                });
            }
        }
        let done = self.lease_clock();
        limits.looked(done.micros, std::time::Duration::from_micros(done.micros - now.lease.micros));
    }
}

fn matches(query: &Query, record: &Packed, now: &Now) -> bool {
    let after = query.cursor.is_none_or(|cursor| *record.token() > cursor);
    let state = query.state.is_none_or(|state| state == record.state());
    let function = query.function.as_ref().is_none_or(|function| function == record.function());
    let age = query.age.is_none_or(|age| now.wall.since(record.first_at()) >= age);
    let lease_over =
        || !query.lease_over || record.state() == State::Running && protocol::lease_over(&record.head(), now);
    after && state && function && age && lease_over() && !gone(record, now)
}
