//! Histories written by hand: what may happen, and what may not.

use super::{Allowance, check};
use crate::conformance::history::event::{End, Event, Given, Kept, Moment, Op, Said, What};

/// Milliseconds.
type Ms = u64;

const LEASE: Ms = 200;
const DAY: Ms = 24 * 3_600 * 1_000;

#[derive(Default)]
struct History {
    events: Vec<Event>,
    next: u64,
    ttl: Ms,
    reject: bool,
    most: Option<u32>,
    digest: &'static str,
}

fn history() -> History {
    History { ttl: DAY, digest: "-", ..History::default() }
}

fn moment(ms: Ms) -> Moment {
    Moment { boot: ms * 1_000, wall: 1_000_000_000 + ms * 1_000 }
}

impl History {
    fn at(mut self, ms: Ms, process: u32, what: What) -> Self {
        let token = match what {
            What::Started | What::Killed | What::Stopped | What::Continued | What::Finished => "",
            _ => "token",
        };
        self.events.push(Event { at: moment(ms), process, token: token.to_owned(), what });
        self
    }

    /// From here on calls say `reject`, or not.
    fn reject(mut self, reject: bool) -> Self {
        self.reject = reject;
        self
    }

    fn ttl(mut self, ttl: Ms) -> Self {
        self.ttl = ttl;
        self
    }

    fn most(mut self, most: u32) -> Self {
        self.most = Some(most);
        self
    }

    fn digest(mut self, digest: &'static str) -> Self {
        self.digest = digest;
        self
    }

    /// The store is asked, and answers within two milliseconds.
    fn ask(self, ms: Ms, op: Op, reply: Said) -> Self {
        self.asked(ms, 1, op, Some((ms + 2, reply)))
    }

    fn asked(mut self, ms: Ms, process: u32, op: Op, reply: Option<(Ms, Said)>) -> Self {
        self.next += 1;
        let ask = self.next;
        self = self.at(ms, process, What::Asked { ask, op });
        match reply {
            Some((ms, reply)) => self.at(ms, process, What::Replied { ask, reply }),
            None => self,
        }
    }

    fn claim_op(&self, attempt: &str) -> Op {
        Op::Claim {
            attempt: attempt.to_owned(),
            digest: self.digest.to_owned(),
            accept: None,
            lease: LEASE * 1_000,
            ttl: self.ttl * 1_000,
            reject: self.reject,
            most: self.most,
        }
    }

    fn claim(self, ms: Ms, attempt: &str, reply: Said) -> Self {
        let op = self.claim_op(attempt);
        self.ask(ms, op, reply)
    }

    /// A claim that is granted, of a record that it is the first one of.
    fn granted(self, ms: Ms, attempt: &str, fence: u64) -> Self {
        self.claim(ms, attempt, Said::Claimed { fence, generation: fence, number: 1 })
    }

    /// A claim that is granted, of a record that began with fence 1.
    fn next(self, ms: Ms, attempt: &str, fence: u64) -> Self {
        self.claim(ms, attempt, Said::Claimed { fence, generation: 1, number: 2 })
    }

    fn complete_op(&self, attempt: &str) -> Op {
        Op::Complete {
            attempt: attempt.to_owned(),
            fence: 1,
            digest: self.digest.to_owned(),
            result: of(attempt),
            ttl: self.ttl * 1_000,
        }
    }

    fn complete(self, ms: Ms, attempt: &str, reply: Said) -> Self {
        let op = self.complete_op(attempt);
        self.ask(ms, op, reply)
    }

    fn release(self, ms: Ms, attempt: &str) -> Self {
        let op = Op::Release { attempt: attempt.to_owned(), lease: LEASE * 1_000 };
        self.ask(ms, op, Said::Released)
    }

    fn renew(self, ms: Ms, attempt: &str, reply: Said) -> Self {
        let op = Op::Renew { attempt: attempt.to_owned(), lease: LEASE * 1_000 };
        self.ask(ms, op, reply)
    }

    fn interrupt(self, ms: Ms, attempt: &str, reply: Said) -> Self {
        self.ask(ms, Op::Interrupt { attempt: attempt.to_owned() }, reply)
    }

    fn done(self, ms: Ms, attempt: &str, by: &str) -> Self {
        self.claim(ms, attempt, Said::Done { attempt: by.to_owned(), result: of(by) })
    }

    fn called(self, ms: Ms, call: u64, wait: Ms, verified: u64) -> Self {
        let function = "history.test".to_owned();
        let called =
            What::Called { call, function, verified, wait: wait * 1_000, limit: (wait + 5_000) * 1_000 };
        self.at(ms, 1, called)
    }

    fn began(self, ms: Ms, call: u64, attempt: &str, fence: u64) -> Self {
        let attempt = attempt.to_owned();
        self.at(ms, 1, What::Began { call, attempt, fence, generation: 1, number: 1 })
    }

    fn ended(self, ms: Ms, call: u64, attempt: &str, end: End) -> Self {
        self.at(ms, 1, What::Ended { call, attempt: attempt.to_owned(), end })
    }

    fn answered(self, ms: Ms, call: u64, answer: Given) -> Self {
        self.at(ms, 1, What::Answered { call, answer, recorded: false })
    }

    fn found(&self) -> Vec<&'static str> {
        let mut found: Vec<_> =
            check(&self.events, Allowance::default()).into_iter().map(|broken| broken.promise).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    #[track_caller]
    fn is_fine(&self) {
        assert_eq!(check(&self.events, Allowance::default()), []);
    }

    #[track_caller]
    fn breaks(&self, promise: &str) {
        assert_eq!(self.found(), [promise]);
    }
}

/// What an attempt's body returns.
fn of(attempt: &str) -> Kept {
    Kept::Ok(format!("of {attempt}"))
}

fn ok(attempt: &str) -> End {
    End::Ok(format!("of {attempt}"))
}

fn gets(attempt: &str) -> Given {
    Given::Ok(format!("of {attempt}"))
}

const LOST: Said = Said::LeaseLost { winner: None };

#[test]
fn a_call_and_its_duplicate() {
    history()
        .called(0, 1, 0, 0)
        .granted(1, "a", 1)
        .began(4, 1, "a", 1)
        .claim(5, "b", Said::Running)
        .ended(10, 1, "a", ok("a"))
        .complete(11, "a", Said::Completed)
        .answered(14, 1, gets("a"))
        .called(20, 2, 0, 0)
        .done(21, "c", "a")
        .answered(24, 2, gets("a"))
        .is_fine();
}

#[test]
fn a_stopped_attempt_ends_late_and_its_caller_gets_its_own_or_the_winners() {
    let taken_over = || {
        history().called(0, 1, 0, 0).granted(1, "a", 1).began(4, 1, "a", 1).next(210, "b", 2).ended(
            300,
            1,
            "a",
            ok("a"),
        )
    };
    taken_over().complete(301, "a", LOST).answered(304, 1, gets("a")).is_fine();
    let won = || {
        taken_over().complete(250, "b", Said::Completed).complete(
            301,
            "a",
            Said::LeaseLost { winner: Some(of("b")) },
        )
    };
    won().answered(304, 1, gets("b")).is_fine();
    won().answered(304, 1, gets("a")).is_fine();
    won().answered(304, 1, gets("c")).breaks("I11");
    // Nobody knows what its `Err` means, and the winner's result is known.
    let failed = || {
        let taken_over =
            history().called(0, 1, 0, 0).granted(1, "a", 1).began(4, 1, "a", 1).next(210, "b", 2);
        let won = taken_over.complete(250, "b", Said::Completed).ended(300, 1, "a", End::Err("x".into()));
        won.interrupt(301, "a", Said::LeaseLost { winner: Some(of("b")) })
    };
    failed().answered(304, 1, gets("b")).is_fine();
    failed().answered(304, 1, Given::Err("x".into())).is_fine();
    taken_over().complete(301, "a", LOST).answered(304, 1, gets("b")).breaks("I11");
}

#[test]
fn a_lease_is_held_from_when_it_was_last_confirmed() {
    history().granted(0, "a", 1).next(150, "b", 2).breaks("I1");
    history().granted(0, "a", 1).next(250, "b", 2).is_fine();
    let renewed = || history().granted(0, "a", 1).renew(150, "a", Said::Renewed);
    renewed().next(250, "b", 2).breaks("I1");
    renewed().release(200, "a").next(250, "b", 2).is_fine();
    // It may have been carried out, whatever the answer.
    let release = Op::Release { attempt: "a".into(), lease: LEASE * 1_000 };
    renewed().ask(200, release, Said::Lost).next(250, "b", 2).is_fine();
    // The renewal may have come after.
    let renew = Op::Renew { attempt: "a".into(), lease: LEASE * 1_000 };
    history().granted(0, "a", 1).ask(150, renew, Said::Lost).next(250, "b", 2).is_fine();
}

#[test]
fn what_runs_is_not_forgotten() {
    history().granted(0, "a", 1).ask(50, Op::Forget, Said::Forgotten).breaks("I1");
    history().granted(0, "a", 1).ask(250, Op::Forget, Said::Forgotten).is_fine();
    history().granted(0, "a", 1).ask(50, Op::Forget, Said::Running).is_fine();
    history()
        .granted(0, "a", 1)
        .interrupt(40, "a", Said::Stopped)
        .ask(50, Op::Forget, Said::Forgotten)
        .is_fine();
    history().granted(0, "a", 1).ask(50, Op::Reopen { fence: 1 }, Said::Reopened).breaks("I1");
}

#[test]
fn fences_grow() {
    history().granted(0, "a", 5).release(10, "a").next(20, "b", 4).breaks("I4");
    history().granted(0, "a", 5).release(10, "a").next(20, "b", 5).breaks("I4");
    history().claim(0, "a", Said::Claimed { fence: 5, generation: 4, number: 1 }).breaks("I4");
    // At the same time, either may have come first.
    let history = history();
    let (a, b) = (history.claim_op("a"), history.claim_op("b"));
    let grant = |fence| Said::Claimed { fence, generation: fence, number: 1 };
    let released = |history: History| {
        let op = Op::Release { attempt: "b".into(), lease: LEASE * 1_000 };
        history.asked(3, 2, op, Some((8, Said::Released)))
    };
    released(history.asked(0, 1, a, Some((10, grant(5)))).asked(1, 2, b, Some((9, grant(4))))).is_fine();
}

#[test]
fn who_was_replaced_changes_nothing() {
    let taken_over = || history().granted(0, "a", 1).next(210, "b", 2);
    taken_over().complete(250, "a", Said::Completed).breaks("I3");
    taken_over().renew(250, "a", Said::Renewed).breaks("I3");
    taken_over().interrupt(250, "a", Said::Stopped).breaks("I3");
    taken_over().complete(250, "a", LOST).renew(260, "a", LOST).is_fine();
    // The next one was interrupted: what ended well must not run again.
    taken_over()
        .interrupt(230, "b", Said::Stopped)
        .complete(250, "a", Said::Completed)
        .done(260, "c", "a")
        .is_fine();
    // The answer to a request that was sent before the takeover comes after it.
    let history = history().granted(0, "a", 1);
    let op = history.complete_op("a");
    history.asked(205, 1, op, Some((260, LOST))).next(210, "b", 2).is_fine();
}

#[test]
fn a_result_stays() {
    let completed = || history().granted(0, "a", 1).complete(10, "a", Said::Completed);
    completed().done(20, "b", "a").is_fine();
    completed().done(20, "b", "c").breaks("I2");
    assert!(completed().claim(20, "b", Said::Running).found().contains(&"I2"));
    completed().next(20, "b", 2).breaks("I5");
    completed().ask(15, Op::Forget, Said::Forgotten).granted(20, "b", 2).is_fine();
    let look = |by: &str| {
        let done = Said::Done { attempt: by.to_owned(), result: of(by) };
        completed().ask(20, Op::Look { digest: "-".into() }, done)
    };
    look("a").is_fine();
    look("c").breaks("I2");
    // Whoever asked at the same time may have been first.
    let history = completed();
    let op = history.claim_op("b");
    history.asked(9, 2, op, Some((30, Said::Running))).is_fine();
}

#[test]
fn a_result_lives_for_its_ttl_from_the_first_time() {
    let brief = || history().ttl(100).granted(0, "a", 1).complete(10, "a", Said::Completed);
    brief().granted(150, "b", 2).is_fine();
    brief().granted(80, "b", 2).breaks("I5");
    brief().complete(90, "a", Said::Completed).granted(150, "b", 2).is_fine();
}

#[test]
fn what_nobody_completed_with_is_given_to_nobody() {
    history().done(20, "b", "a").breaks("I2");
    history().called(0, 1, 0, 0).answered(5, 1, gets("a")).breaks("I2");
    history().granted(0, "a", 1).complete(5, "a", Said::LeaseLost { winner: Some(of("b")) }).breaks("I2");
    // An answer that was lost.
    let history = history().granted(0, "a", 1);
    let complete = history.complete_op("a");
    history.ask(10, complete, Said::Lost).done(20, "b", "a").is_fine();
}

#[test]
fn verified_arguments() {
    let completed =
        || history().digest("one").granted(0, "a", 1).complete(10, "a", Said::Completed).digest("two");
    completed().claim(20, "b", Said::Mismatch { digest: "one".into() }).is_fine();
    completed().done(20, "b", "a").breaks("I2");
    completed().digest("one").done(20, "b", "a").is_fine();
    completed().claim(20, "b", Said::Mismatch { digest: "-".into() }).breaks("I2");
    let answered = |verified| {
        history()
            .called(0, 1, 0, 1)
            .granted(1, "a", 1)
            .began(4, 1, "a", 1)
            .ended(5, 1, "a", ok("a"))
            .complete(6, "a", Said::Completed)
            .answered(9, 1, gets("a"))
            .called(10, 2, 0, verified)
            .answered(15, 2, gets("a"))
    };
    answered(1).is_fine();
    answered(2).breaks("I2");
}

#[test]
fn what_is_not_known_is_not_repeated_under_reject() {
    let died = || history().reject(true).granted(0, "a", 1).began(4, 1, "a", 1);
    died().next(500, "b", 2).breaks("I10");
    // The record keeps the stricter policy.
    died().reject(false).next(500, "b", 2).breaks("I10");
    died().claim(500, "b", Said::Interrupted).is_fine();
    died().release(100, "a").next(500, "b", 2).is_fine();
    died().ask(400, Op::Reopen { fence: 1 }, Said::Reopened).next(500, "b", 2).is_fine();
    let complete = died().complete_op("a");
    died().ask(100, complete, Said::Lost).next(500, "b", 2).is_fine();
}

#[test]
fn attempts_are_used_up() {
    let two = || history().most(2).granted(0, "a", 1).next(250, "b", 2);
    two().next(500, "c", 3).breaks("I10");
    two().claim(500, "c", Said::Interrupted).is_fine();
    two().release(300, "b").next(500, "c", 3).is_fine();
}

#[test]
fn nobody_waits_for_nobody() {
    history().claim(0, "b", Said::Running).breaks("I9");
    history().granted(0, "a", 1).release(10, "a").claim(20, "b", Said::Running).breaks("I9");
    history().granted(0, "a", 1).claim(500, "b", Said::Running).breaks("I9");
    history().granted(0, "a", 1).claim(100, "b", Said::Running).is_fine();
    // A claim of which nobody knows.
    let history = history();
    let op = history.claim_op("a");
    history.asked(0, 2, op, None).at(1, 2, What::Killed).claim(150, "b", Said::Running).is_fine();
}

#[test]
fn nobody_is_refused_without_a_reason() {
    history().reject(true).claim(0, "b", Said::Interrupted).breaks("I10");
    history()
        .reject(true)
        .granted(0, "a", 1)
        .release(10, "a")
        .claim(20, "b", Said::Interrupted)
        .breaks("I10");
    history()
        .reject(true)
        .granted(0, "a", 1)
        .interrupt(10, "a", Said::Stopped)
        .claim(20, "b", Said::Interrupted)
        .is_fine();
    history()
        .granted(0, "a", 1)
        .interrupt(10, "a", Said::Stopped)
        .claim(20, "b", Said::Interrupted)
        .breaks("I10");
}

#[test]
fn an_attempt_may_be_the_reason_of_its_own_refusal() {
    // Granted, stopped before its body began, taken over; and it asks again.
    history()
        .most(2)
        .granted(0, "a", 1)
        .next(250, "b", 2)
        .release(300, "b")
        .claim(310, "c", Said::Interrupted)
        .claim(500, "a", Said::Interrupted)
        .is_fine();
}

#[test]
fn a_claim_that_comes_late() {
    let released = || history().granted(0, "a", 1).release(10, "a");
    released().claim(50, "a", LOST).is_fine();
    released().next(50, "a", 2).breaks("I7");
    // Another attempt was there in between.
    released().next(20, "b", 2).release(30, "b").next(50, "a", 3).is_fine();
    history().release(0, "a").claim(50, "a", LOST).is_fine();
    history().release(0, "a").granted(50, "a", 1).breaks("I7");
    history().release(0, "a").granted(300, "a", 1).is_fine();
}

#[test]
fn what_does_not_begin_is_given_back() {
    let granted = || history().granted(0, "a", 1);
    granted().at(30_000, 1, What::Finished).breaks("I7");
    granted().release(700, "a").at(30_000, 1, What::Finished).is_fine();
    granted().at(30_000, 1, What::Killed).is_fine();
}

#[test]
fn bodies_begin_with_a_grant_once_and_in_time() {
    history().began(4, 1, "a", 1).breaks("I1");
    history().granted(0, "a", 1).began(4, 1, "a", 2).breaks("I1");
    history().granted(0, "a", 1).began(4, 1, "a", 1).began(5, 2, "a", 1).breaks("I1");
    history().granted(0, "a", 1).began(3_000, 1, "a", 1).breaks("I1");
    history()
        .granted(0, "a", 1)
        .at(3, 1, What::Stopped)
        .at(2_999, 1, What::Continued)
        .began(3_000, 1, "a", 1)
        .is_fine();
}

#[test]
fn every_call_is_answered() {
    let called = || history().called(0, 1, 1_000, 0);
    called().at(30_000, 1, What::Finished).breaks("I9");
    called().at(30_000, 1, What::Killed).is_fine();
    called().at(500, 1, What::Left { call: 1 }).at(30_000, 1, What::Finished).is_fine();
    called().answered(500, 1, Given::Running).breaks("I9");
    called().answered(1_000, 1, Given::Running).is_fine();
}

#[test]
fn who_ran_the_body_gets_what_it_returned() {
    let ran = |end| history().called(0, 1, 0, 0).granted(1, "a", 1).began(4, 1, "a", 1).ended(5, 1, "a", end);
    ran(ok("a")).answered(9, 1, gets("a")).is_fine();
    ran(ok("a")).answered(9, 1, Given::Store).breaks("I11");
    ran(End::Err("x".into())).answered(9, 1, Given::Err("x".into())).is_fine();
    ran(End::Err("x".into())).answered(9, 1, Given::Interrupted).breaks("I11");
    ran(End::Panicked).answered(9, 1, Given::Panic).is_fine();
    ran(End::Panicked).answered(9, 1, Given::Store).breaks("I8");
    ran(ok("a")).at(9, 1, What::Answered { call: 1, answer: gets("a"), recorded: true }).breaks("I5");
    history().called(0, 1, 0, 0).answered(5, 1, Given::Wrong("x".into())).breaks("I11");
}

#[test]
fn a_line_comes_back_as_it_was_written() {
    let history = history()
        .called(0, 1, 5, 0)
        .granted(1, "a", 1)
        .began(4, 1, "a", 1)
        .ended(5, 1, "a", ok("a"))
        .complete(6, "a", Said::LeaseLost { winner: Some(Kept::Nothing) })
        .answered(9, 1, gets("a"))
        .at(10, 2, What::Killed);
    for event in history.events {
        let line = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event, "{line}");
    }
}
