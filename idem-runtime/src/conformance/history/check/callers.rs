//! What callers get: I9, I11; and that bodies begin only with a grant that is not too old: I1.

use std::collections::BTreeSet;

use super::story::{Call, Story};
use super::{Kept, violated};
use crate::conformance::history::event::{End, Given, Kept as Stored, Op, Said, What};

/// I9: every call is answered, and none is told *running* before it has waited as long as it wanted to.
pub(super) fn answered_in_time(story: &Story<'_>) -> Kept {
    for ((process, number), call) in &story.calls {
        let Some((at, What::Called { wait, limit, .. })) = call.called else { continue };
        match call.answered {
            Some((answered, Given::Running, _)) => {
                let waited = answered.boot.saturating_sub(at.boot);
                if waited.saturating_add(story.allowance.tolerance) < *wait {
                    return violated(
                        "I9",
                        format!(
                            "call {number} of process {process} may wait for {wait} µs, and was told `running` after {waited} µs"
                        ),
                    );
                }
            }
            Some(_) => {}
            None if call.left => {}
            None => {
                let Some(life) = story.lives.get(process) else { continue };
                let stopped = life.stopped_for(at.boot, life.last);
                let lived = life.last.saturating_sub(at.boot).saturating_sub(stopped);
                if lived > *limit {
                    return violated(
                        "I9",
                        format!(
                            "call {number} of process {process} was not answered within {lived} µs; its limits are {limit} µs"
                        ),
                    );
                }
            }
        }
    }
    Ok(())
}

/// I1: a body begins only with a grant, once, and while less than a lease has passed since its claim was sent.
pub(super) fn bodies_are_granted(story: &Story<'_>) -> Kept {
    let mut begun: BTreeSet<&str> = BTreeSet::new();
    for (process, at, what) in &story.bodies {
        let What::Began { call, attempt, fence, .. } = what else { continue };
        if !begun.insert(attempt) {
            return violated("I1", format!("the body of attempt {attempt} began twice"));
        }
        let grant = story.grants.iter().find(|grant| grant.fence == *fence && grant.attempt == attempt);
        let claims = grant.map(|grant| grant.claims.as_slice()).unwrap_or_default();
        let before = claims.iter().filter(|(_, answered, _)| answered.boot <= at.boot);
        let Some((sent, _, lease)) = before.max_by_key(|(sent, _, _)| sent.boot) else {
            return violated(
                "I1",
                format!(
                    "the body of call {call} of process {process} began as attempt {attempt}, which was not granted"
                ),
            );
        };
        let passed = at.boot.saturating_sub(sent.boot);
        let stood_still = story.lives.get(process).is_some_and(|life| life.stood_still(sent.boot, at.boot));
        if passed > lease.saturating_add(story.allowance.pause) && !stood_still {
            return violated(
                "I1",
                format!(
                    "the body of attempt {attempt} began {passed} µs after its claim was sent; its lease is {lease} µs"
                ),
            );
        }
    }
    Ok(())
}

/// I11 and I2: who ran the body gets what it returned, or what the attempt that replaced it completed with; the others
/// get what somebody has completed with, for the same verified arguments.
pub(super) fn answered_with_the_result(story: &Story<'_>) -> Kept {
    for ((process, number), call) in &story.calls {
        let Some((at, given, recorded)) = call.answered else { continue };
        let who = || format!("call {number} of process {process}");
        match call.ended {
            Some((_, End::Panicked)) => {
                if *given != Given::Panic {
                    return violated("I8", format!("the body of {} panicked, and it got {given:?}", who()));
                }
            }
            Some((_, own @ (End::Ok(_) | End::Err(_)))) => {
                let same = match (own, given) {
                    (End::Ok(own), Given::Ok(given)) | (End::Err(own), Given::Err(given)) => own == given,
                    _ => false,
                };
                if !same && !is_winner(story, call, given, at.boot) {
                    return violated(
                        "I11",
                        format!("the body of {} ended with {own:?}, and it got {given:?}", who()),
                    );
                }
                if same && recorded && matches!(own, End::Ok(_)) && !completed(story, call) {
                    return violated(
                        "I5",
                        format!(
                            "{} was told that its result is recorded, and the store has not said so",
                            who()
                        ),
                    );
                }
            }
            Some((_, End::Dropped)) | None if call.began.is_some() => {
                return violated(
                    "I11",
                    format!("the body of {} began and did not end, and it got {given:?}", who()),
                );
            }
            _ => {
                let stored = match given {
                    Given::Ok(value) => Stored::Ok(value.clone()),
                    Given::Err(text) => Stored::Err(text.clone()),
                    Given::Panic | Given::Wrong(_) => {
                        return violated("I11", format!("{} ran no body, and it got {given:?}", who()));
                    }
                    _ => continue,
                };
                let known = story.operations.iter().any(|one| {
                    matches!(one.op, Op::Complete { result, .. } if *result == stored)
                        && one.may_be(0, at.boot)
                });
                if !known {
                    return violated("I2", format!("{} got {given:?}, which nobody completed with", who()));
                }
                if let Some((theirs, mine)) = other_arguments(story, call, given) {
                    return violated(
                        "I2",
                        format!(
                            "{} got {given:?}, the result of a call with the verified argument {theirs}; its own is {mine}",
                            who()
                        ),
                    );
                }
            }
        }
    }
    Ok(())
}

/// Whether this is what another attempt completed with, and the store has said so to this one.
fn is_winner(story: &Story<'_>, call: &Call<'_>, given: &Given, at: u64) -> bool {
    let Some(attempt) = call.attempt else { return false };
    let given = match given {
        Given::Ok(value) => Stored::Ok(value.clone()),
        Given::Err(text) => Stored::Err(text.clone()),
        _ => return false,
    };
    let told = story.of(attempt).any(|one| {
        // An `interrupt`, too: what the winner did is known.
        let ends = matches!(one.op, Op::Complete { .. } | Op::Interrupt { .. });
        let won = |said: &Said| matches!(said, Said::LeaseLost { winner: Some(winner) } if *winner == given);
        ends && one.said_so(won).is_some_and(|told| told.boot <= at)
    });
    told && story.operations.iter().any(|one| {
        matches!(one.op, Op::Complete { attempt: by, result, .. } if by != attempt && *result == given)
            && one.may_be(0, at)
    })
}

fn completed(story: &Story<'_>, call: &Call<'_>) -> bool {
    call.attempt.is_some_and(|attempt| {
        story.of(attempt).any(|one| one.said_so(|said| *said == Said::Completed).is_some())
    })
}

/// The verified arguments of the call whose body made this value, and of this one, if they differ.
fn other_arguments(story: &Story<'_>, call: &Call<'_>, given: &Given) -> Option<(u64, u64)> {
    let verified = |call: &Call<'_>| match call.called {
        Some((_, What::Called { verified, .. })) => Some(*verified),
        _ => None,
    };
    let maker = story.calls.values().find(|other| match (other.ended, given) {
        (Some((_, End::Ok(own))), Given::Ok(given)) | (Some((_, End::Err(own))), Given::Err(given)) => {
            own == given
        }
        _ => false,
    })?;
    let (theirs, mine) = (verified(maker)?, verified(call)?);
    (theirs != mine).then_some((theirs, mine))
}
