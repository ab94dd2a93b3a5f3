//! What a call sees before it claims is what its claim would be answered with.

use idem_runtime::store::protocol::{self, Change, Verdict};
use idem_runtime::{LeaseTime, Now, Timestamp};

use crate::keep::Dice;
use crate::world::claim_with;

#[test]
fn a_record_answers_by_itself_exactly_where_a_claim_is_answered_done() {
    let mut dice = Dice(2);
    let mut answered = 0;
    for _ in 0..20_000 {
        let mut record = dice.record();
        if dice.below(2) == 0 {
            record.digest = b"digest".to_vec();
        }
        let now = Now {
            wall: Timestamp::from_micros(dice.edgy()),
            lease: LeaseTime { run: record.head.lease.run ^ dice.below(2), micros: dice.edgy() },
        };
        let digest = if dice.below(3) == 0 { Vec::new() } else { b"digest".to_vec() };
        // Whoever claims, the owner of the record included.
        let mine = dice.below(2) == 0;
        let claim = claim_with('a', |claim| {
            claim.digest = digest.clone();
            if mine {
                claim.attempt = record.head.attempt;
            }
        });
        let decision = protocol::decide(Some(record.view()), &claim, &now, || 1);
        let done = decision.verdict == Verdict::Done;
        assert!(!done || decision.change == Change::Nothing);
        assert_eq!(protocol::answers(record.view(), &digest, &now), done, "{record:?} at {now:?}");
        answered += usize::from(done);
    }
    assert!((500..10_000).contains(&answered), "{answered} of 20,000: the dice throw both sides");
}
