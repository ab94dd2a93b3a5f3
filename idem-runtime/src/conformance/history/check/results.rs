//! What is kept: I2, I5, and the verified arguments.

use super::story::{Operation, Story};
use super::{Kept, violated};
use crate::conformance::history::event::{Kept as Stored, Op, Said};

/// I2 and I5: what was completed is what every later claim is answered with, and nothing runs again, for `ttl`.
pub(super) fn kept(story: &Story<'_>) -> Kept {
    for complete in &story.operations {
        let Op::Complete { attempt, digest, result, ttl, .. } = complete.op else { continue };
        let Some(completed) = complete.said_so(|said| *said == Said::Completed) else { continue };
        // The same request once more changes nothing: the record lives from the first one on.
        let mine = story.of(attempt);
        let sent = mine.filter(|one| matches!(one.op, Op::Complete { .. }) && one.until.is_some());
        let first = sent.map(|one| one.sent).min_by_key(|sent| sent.boot).unwrap_or(complete.sent);
        let expires = first.wall.saturating_add(*ttl);
        for claim in &story.operations {
            let (asking, asked, accept) = match claim.op {
                Op::Claim { attempt, digest, accept, .. } => (attempt.as_str(), digest, accept.as_ref()),
                Op::Look { digest } => ("a duplicate", digest, None),
                _ => continue,
            };
            let Some((at, said)) = claim.said() else { continue };
            if claim.sent.boot <= completed.boot
                || at.wall.saturating_add(story.allowance.tolerance) >= expires
                || forgotten(story, first.boot, at.boot)
            {
                continue;
            }
            let fits = asked == digest || accept == Some(digest);
            let (promise, wrong) = match said {
                Said::Done { attempt: by, result: given } => {
                    if by != attempt || given != result {
                        ("I2", "with another result")
                    } else if !fits {
                        ("I2", "though its verified arguments are others")
                    } else {
                        continue;
                    }
                }
                Said::Mismatch { digest: kept } => {
                    if kept != digest {
                        ("I2", "of other verified arguments than those it was completed with")
                    } else if asked == digest {
                        ("I2", "though its verified arguments are the same")
                    } else {
                        continue;
                    }
                }
                Said::Claimed { .. } => ("I5", "and runs again"),
                _ => ("I2", "and not with the result"),
            };
            return violated(
                promise,
                format!(
                    "attempt {attempt} had completed with {result:?} by {}, and {asking}, who asked at {}, was \
                     answered {said:?} {wrong}",
                    completed.boot, claim.sent.boot
                ),
            );
        }
    }
    Ok(())
}

fn forgotten(story: &Story<'_>, from: u64, to: u64) -> bool {
    story.operations.iter().any(|one| *one.op == Op::Forget && one.may_be(from, to))
}

/// I2: what a claim, or an owner that was replaced, is told of was completed by somebody.
pub(super) fn known(story: &Story<'_>) -> Kept {
    for one in &story.operations {
        let Some((at, said)) = one.said() else { continue };
        let (by, result) = match said {
            Said::Done { attempt, result } => (Some(attempt), result),
            Said::LeaseLost { winner: Some(result) } => (None, result),
            _ => continue,
        };
        let completed = |other: &Operation<'_>| {
            other.may_be(0, at.boot)
                && match other.op {
                    Op::Complete { attempt, result: kept, .. } => {
                        by.is_none_or(|by| by == attempt) && kept == result
                    }
                    Op::Resolve { .. } => *result == Stored::Nothing,
                    _ => false,
                }
        };
        if !story.operations.iter().any(completed) {
            return violated(
                "I2",
                format!("{:?} was answered {said:?}, and nobody had completed with that", one.op),
            );
        }
    }
    Ok(())
}
