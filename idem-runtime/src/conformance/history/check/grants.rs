//! Who may run: I1, I3, I4, and of I7 that a claim which comes late costs no more than a lease.

use std::collections::HashMap;

use super::story::{Grant, Operation, Story};
use super::{Kept, violated};
use crate::conformance::history::event::{Micros, Moment, Op, Said, What};

/// A moment from which on a grant holds a lease: sent, answered, how long.
type Start = (Moment, Moment, Micros);

/// The grants' leases as the store has confirmed them.
fn starts(story: &Story<'_>, grant: &Grant<'_>) -> Vec<Start> {
    let mut starts = grant.claims.clone();
    // Which grant of an attempt was renewed is not known if it had several.
    if story.times_granted(grant.attempt) == 1 {
        for one in story.of(grant.attempt) {
            if let (Op::Renew { lease, .. }, Some(at)) = (one.op, one.said_so(|said| *said == Said::Renewed))
            {
                starts.push((one.sent, at, *lease));
            }
        }
    }
    starts
}

/// I1: while an attempt holds its lease, no other one is granted, and nobody forgets it.
pub(super) fn held(story: &Story<'_>) -> Kept {
    let tolerance = story.allowance.tolerance;
    for (index, grant) in story.grants.iter().enumerate() {
        let starts = starts(story, grant);
        let holds_until = |sent: Moment, lease: Micros| sent.boot.saturating_add(lease);
        for next in &story.grants[index + 1..] {
            // What was confirmed to it after that, or granted before, breaks I3 or I4.
            let before = starts.iter().filter(|(sent, _, _)| sent.boot <= next.to.boot);
            let end = before.map(|(sent, _, lease)| holds_until(*sent, *lease)).max().unwrap_or_default();
            if next.attempt == grant.attempt
                || next.to.boot < grant.from.boot
                || next.to.boot.saturating_add(tolerance) >= end
            {
                continue;
            }
            if story.may_have_ended(grant.attempt, next.to.boot) {
                continue;
            }
            return violated(
                "I1",
                format!(
                    "attempt {} (fence {}) held its lease until {end} at least, and attempt {} (fence {}) was granted by {}",
                    grant.attempt, grant.fence, next.attempt, next.fence, next.to.boot
                ),
            );
        }
        for one in story.operations.iter().filter(|one| one.op.is_a_persons()) {
            let fits = match one.op {
                Op::Reopen { fence } | Op::Resolve { fence } => *fence == grant.fence,
                _ => true,
            };
            let Some(at) =
                one.said_so(|said| matches!(said, Said::Forgotten | Said::Reopened | Said::Resolved))
            else {
                continue;
            };
            let in_a_lease = starts.iter().any(|(sent, answered, lease)| {
                one.sent.boot > answered.boot
                    && at.boot.saturating_add(tolerance) < holds_until(*sent, *lease)
            });
            if fits && in_a_lease && !story.may_have_ended(grant.attempt, at.boot) {
                let other = story.grants.iter().any(|other| {
                    other.attempt != grant.attempt && other.fence > grant.fence && other.from.boot <= at.boot
                });
                if !other {
                    return violated(
                        "I1",
                        format!(
                            "attempt {} (fence {}) held its lease, and a person's {:?} was carried out",
                            grant.attempt, grant.fence, one.op
                        ),
                    );
                }
            }
        }
    }
    Ok(())
}

/// I4: fences grow with every attempt.
pub(super) fn fences_grow(story: &Story<'_>) -> Kept {
    let mut owners: HashMap<u64, &str> = HashMap::new();
    for grant in &story.grants {
        if let Some(other) = owners.insert(grant.fence, grant.attempt) {
            return violated(
                "I4",
                format!("attempts {other} and {} were both given fence {}", grant.attempt, grant.fence),
            );
        }
        if grant.number == 1 && grant.generation != grant.fence {
            return violated(
                "I4",
                format!(
                    "attempt {} is the first of its record, and its generation {} is not its fence {}",
                    grant.attempt, grant.generation, grant.fence
                ),
            );
        }
    }
    let mut by_end: Vec<&Grant<'_>> = story.grants.iter().collect();
    by_end.sort_by_key(|grant| grant.to.boot);
    let mut by_begin: Vec<&Grant<'_>> = story.grants.iter().collect();
    by_begin.sort_by_key(|grant| grant.from.boot);
    let mut before = by_end.into_iter().peekable();
    let mut highest: Option<&Grant<'_>> = None;
    for grant in by_begin {
        while let Some(earlier) = before.next_if(|earlier| earlier.to.boot < grant.from.boot) {
            if highest.is_none_or(|highest| earlier.fence > highest.fence) {
                highest = Some(earlier);
            }
        }
        if let Some(highest) = highest.filter(|highest| highest.fence >= grant.fence) {
            return violated(
                "I4",
                format!(
                    "attempt {} was given fence {} after attempt {} had been given fence {}",
                    grant.attempt, grant.fence, highest.attempt, highest.fence
                ),
            );
        }
    }
    Ok(())
}

/// I3: an attempt that was replaced by one that runs or is done changes nothing any more.
pub(super) fn replaced_changes_nothing(story: &Story<'_>) -> Kept {
    for one in &story.operations {
        let Some((at, said)) = one.said() else { continue };
        let Some(attempt) = one.op.attempt() else { continue };
        let needs_a_record = match (one.op, said) {
            (Op::Complete { .. }, Said::Completed) => false,
            (Op::Renew { .. }, Said::Renewed) | (Op::Interrupt { .. }, Said::Stopped) => true,
            _ => continue,
        };
        let mine = story.grants.iter().filter(|grant| grant.attempt == attempt);
        let Some(fence) = mine.map(|grant| grant.fence).max() else { continue };
        for next in story.grants.iter().filter(|next| next.fence > fence && next.attempt != attempt) {
            if next.to.boot >= one.sent.boot {
                continue;
            }
            // A claim of its own that came late may have been granted after that.
            let again = story.of(attempt).any(|own| own.may_grant() && own.may_be(next.from.boot, at.boot));
            if again || (!needs_a_record && may_be_free(story, next, attempt, at)) {
                continue;
            }
            return violated(
                "I3",
                format!(
                    "attempt {attempt} (fence {fence}) was replaced by {} (fence {}) by {}, and its {:?} was answered {said:?}",
                    next.attempt, next.fence, next.to.boot, one.op
                ),
            );
        }
    }
    Ok(())
}

/// Whether the record of this grant, or of one that came after it, may have been free, interrupted or gone by then.
fn may_be_free(story: &Story<'_>, grant: &Grant<'_>, but: &str, by: Moment) -> bool {
    let from = grant.from.boot;
    let expires = grant.from.wall.saturating_add(grant.ttl);
    if by.wall.saturating_add(story.allowance.tolerance) >= expires || story.person(from, by.boot) {
        return true;
    }
    story.operations.iter().any(|one| {
        let Some(attempt) = one.op.attempt().filter(|attempt| *attempt != but) else { return false };
        let frees = matches!(one.op, Op::Release { .. } | Op::Interrupt { .. });
        frees
            && one.may_be(from, by.boot)
            && story.of(attempt).any(|claim| claim.may_grant() && claim.may_be(from, by.boot))
    })
}

/// I7: after its own release or interrupt an attempt is told so, however late its claim comes, and holds nothing.
pub(super) fn late_claim(story: &Story<'_>) -> Kept {
    for claim in &story.operations {
        let (Op::Claim { attempt, .. }, Some((at, said))) = (claim.op, claim.said()) else { continue };
        if matches!(said, Said::LeaseLost { .. }) {
            continue;
        }
        let before = |one: &&Operation<'_>| one.said().is_some_and(|(end, _)| end.boot < claim.sent.boot);
        for end in story.of(attempt).filter(before) {
            let Some((_, Said::Released | Said::Stopped)) = end.said() else { continue };
            let first = story.of(attempt).find(|one| one.may_grant());
            let granted = story.of(attempt).any(|own| {
                own.said_so(|said| matches!(said, Said::Claimed { .. }))
                    .is_some_and(|granted| granted.boot < end.sent.boot)
            });
            let ttl = first.map_or(0, |first| match first.op {
                Op::Claim { ttl, .. } => *ttl,
                _ => 0,
            });
            // A release of nothing is remembered for a lease.
            let life = match end.op {
                Op::Release { lease, .. } if !granted => *lease,
                _ => ttl,
            };
            if at.boot.saturating_add(story.allowance.tolerance) >= end.sent.boot.saturating_add(life) {
                continue;
            }
            let from = if granted { first.map_or(0, |first| first.sent.boot) } else { 0 };
            let mut others = story.operations.iter().filter(|one| one.op.attempt() != Some(attempt.as_str()));
            let disturbed = others.any(|one| {
                let changes =
                    one.may_grant() || one.op.is_a_persons() || matches!(one.op, Op::Complete { .. });
                changes && one.may_be(from, at.boot)
            });
            if !disturbed {
                return violated(
                    "I7",
                    format!(
                        "attempt {attempt} had ended by {:?}, and a claim of it that came later, at {}, was answered {said:?}",
                        end.op, claim.sent.boot
                    ),
                );
            }
        }
    }
    Ok(())
}

/// I7: a claim whose body does not begin is given back.
pub(super) fn given_back(story: &Story<'_>) -> Kept {
    for grant in &story.grants {
        let process = story.of(grant.attempt).next().map(|one| one.process);
        let Some(life) = process.and_then(|process| story.lives.get(&process)) else { continue };
        let long = story.allowance.late + story.allowance.late;
        let end = grant.to.boot.saturating_add(long);
        if life.killed.is_some() || life.last < end.saturating_add(life.stopped_for(grant.to.boot, life.last))
        {
            continue;
        }
        let began = story
            .bodies
            .iter()
            .any(|(_, _, what)| matches!(what, What::Began { attempt, .. } if *attempt == *grant.attempt));
        let told = story.of(grant.attempt).any(|one| one.op.is_end());
        if !began && !told {
            return violated(
                "I7",
                format!(
                    "attempt {} (fence {}) was granted, its body did not begin, and it was never given back",
                    grant.attempt, grant.fence
                ),
            );
        }
    }
    Ok(())
}
