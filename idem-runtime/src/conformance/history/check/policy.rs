//! What is not known: I10; and that nobody is refused, or waits, for an attempt that is not there: I9.

use std::collections::{BTreeMap, BTreeSet};

use super::story::{Operation, Story};
use super::{Kept, violated};
use crate::conformance::history::event::{Op, Said, What};

/// I10: with `reject` a body whose outcome is unknown is not started again until a person says so.
pub(super) fn unknown_is_not_repeated(story: &Story<'_>) -> Kept {
    let mut rejecting: BTreeSet<u64> = BTreeSet::new();
    for (index, grant) in story.grants.iter().enumerate() {
        // The stricter policy is kept as long as the record is.
        if grant.reject {
            rejecting.insert(grant.generation);
        }
        if !rejecting.contains(&grant.generation) {
            continue;
        }
        for next in &story.grants[index + 1..] {
            if next.attempt == grant.attempt {
                continue;
            }
            let known = story.operations.iter().any(|one| {
                let tells = match one.op {
                    Op::Release { attempt, .. } => attempt == grant.attempt,
                    Op::Complete { .. } => true,
                    op => op.is_a_persons(),
                };
                tells && one.may_be(grant.from.boot, next.to.boot)
            });
            if !known {
                let began = story.bodies.iter().any(
                    |(_, _, what)| matches!(what, What::Began { attempt, .. } if *attempt == *grant.attempt),
                );
                let body = if began { "began" } else { "may have begun" };
                return violated(
                    "I10",
                    format!(
                        "attempt {} (fence {}) {body}, nobody knows what it did, its record says `reject`, and attempt {} \
                         (fence {}) was granted",
                        grant.attempt, grant.fence, next.attempt, next.fence
                    ),
                );
            }
        }
    }
    Ok(())
}

/// I10: after `max_attempts` that did not end the body is not started again until a person says so.
pub(super) fn attempts_used_up(story: &Story<'_>) -> Kept {
    for (index, grant) in story.grants.iter().enumerate() {
        let most = story.of(grant.attempt).find_map(|one| match one.op {
            Op::Claim { most, .. } => Some(*most),
            _ => None,
        });
        let Some(most) = most.flatten() else { continue };
        let unended = story.grants[..index].iter().filter(|earlier| {
            let ended = story.of(earlier.attempt).any(|one| {
                matches!(one.op, Op::Release { .. } | Op::Complete { .. }) && one.may_be(0, grant.to.boot)
            });
            earlier.generation == grant.generation && earlier.attempt != grant.attempt && !ended
        });
        let unended = unended.count();
        let first = story.grants[..index].first().map_or(0, |first| first.from.boot);
        if unended >= most as usize && !story.person(first, grant.to.boot) {
            return violated(
                "I10",
                format!(
                    "{unended} attempts did not end, and attempt {} (fence {}) was granted with max_attempts = {most}",
                    grant.attempt, grant.fence
                ),
            );
        }
    }
    Ok(())
}

/// What is known of each attempt that may have been granted.
struct Known<'s, 'a> {
    claims: Vec<&'s Operation<'a>>,
    others: Vec<&'s Operation<'a>>,
}

fn attempts<'s, 'a>(story: &'s Story<'a>) -> BTreeMap<&'s str, Known<'s, 'a>> {
    let mut attempts: BTreeMap<&str, Known<'_, '_>> = BTreeMap::new();
    for one in &story.operations {
        let Some(attempt) = one.op.attempt() else { continue };
        let known = attempts.entry(attempt).or_insert_with(|| Known { claims: vec![], others: vec![] });
        if one.may_grant() {
            known.claims.push(one);
        } else if !matches!(one.op, Op::Claim { .. }) {
            known.others.push(one);
        }
    }
    attempts.retain(|_, known| !known.claims.is_empty());
    attempts
}

impl Known<'_, '_> {
    /// Whether it certainly held nothing any more at this moment.
    fn gone(&self, at: u64, tolerance: u64) -> bool {
        let starts = self.claims.iter().chain(&self.others).filter_map(|one| match one.op {
            Op::Claim { lease, .. } | Op::Renew { lease, .. } => Some(one.until?.saturating_add(*lease)),
            _ => None,
        });
        if starts.max().is_none_or(|end| end.saturating_add(tolerance) < at) {
            return true;
        }
        self.others.iter().any(|end| {
            let over = end.said_so(|said| {
                matches!(said, Said::Released | Said::Completed | Said::Stopped | Said::LeaseLost { .. })
            });
            over.is_some_and(|over| over.boot < at)
                && !self.claims.iter().any(|claim| claim.may_be(end.sent.boot, u64::MAX))
        })
    }
}

/// I9: whoever is told *running*, and waits, waits for an attempt that may still be there.
pub(super) fn running_has_a_holder(story: &Story<'_>) -> Kept {
    let attempts = attempts(story);
    for one in &story.operations {
        let (Op::Claim { attempt, .. }, Some((at, Said::Running))) = (one.op, one.said()) else { continue };
        let holder = attempts.iter().any(|(holder, known)| {
            *holder != attempt.as_str()
                && known.claims.iter().any(|claim| claim.sent.boot <= at.boot)
                && !known.gone(one.sent.boot, story.allowance.tolerance)
        });
        if !holder {
            return violated(
                "I9",
                format!(
                    "the claim of {attempt}, sent at {}, was told that an attempt runs, and every one before had ended",
                    one.sent.boot
                ),
            );
        }
    }
    Ok(())
}

/// I10: whoever is told *interrupted* is told so because of an attempt that may not have ended.
pub(super) fn interrupted_has_a_reason(story: &Story<'_>) -> Kept {
    let attempts = attempts(story);
    for one in &story.operations {
        let (Op::Claim { attempt, .. }, Some((at, Said::Interrupted))) = (one.op, one.said()) else {
            continue;
        };
        let reason = attempts.iter().any(|(other, known)| {
            // An earlier claim of its own may have been granted, and its attempt taken over before the body began.
            let until = if *other == attempt.as_str() { one.sent.boot - 1 } else { at.boot };
            known.claims.iter().any(|claim| claim.sent.boot <= until)
                && !ended_well(story, other, known, one.sent.boot)
        });
        let policy = story.operations.iter().any(|other| {
            matches!(other.op, Op::Claim { reject, most, .. } if *reject || most.is_some())
                && other.may_be(0, at.boot)
        });
        if !reason || !policy {
            let why = if policy { "every attempt before had ended" } else { "no call had asked for that" };
            return violated(
                "I10",
                format!(
                    "the claim of {attempt}, sent at {}, was told that an attempt was interrupted, and {why}",
                    one.sent.boot
                ),
            );
        }
    }
    Ok(())
}

/// Whether an attempt certainly completed or gave its token back while it was the last one.
fn ended_well(story: &Story<'_>, attempt: &str, known: &Known<'_, '_>, before: u64) -> bool {
    let first = known.claims.iter().map(|claim| claim.sent.boot).min().unwrap_or_default();
    known.others.iter().any(|end| {
        let well = end.said_so(|said| matches!(said, Said::Released | Said::Completed));
        let Some(well) = well.filter(|well| well.boot < before) else { return false };
        let late = known.claims.iter().any(|claim| claim.may_be(end.sent.boot, u64::MAX));
        let mut others = story.operations.iter().filter(|one| one.op.attempt() != Some(attempt));
        !late && !others.any(|one| one.may_grant() && one.may_be(first, well.boot))
    })
}
