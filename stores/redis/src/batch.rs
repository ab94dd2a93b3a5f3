//! What goes out together: what many callers ask at the same time is one write, and what they ask of the same script is
//! one command.

use redis::{Cmd, Value};

use crate::queue::{Asks, Job};
use crate::scripts;

/// How many commands go out at once at most.
pub(crate) const BATCH: usize = 32;
/// What has more bytes goes as a command of its own.
pub(crate) const SMALL: usize = 16 << 10;

/// Whether others may be asked with it.
fn joins(job: &Job) -> bool {
    !job.alone && scripts::size(&job.command) <= SMALL
}

/// Puts those together that can be one command. What is asked about one record stays apart, and in its order: what is read
/// for one must not be written by another.
pub(crate) fn together(jobs: Vec<Job>) -> Vec<Vec<Job>> {
    let mut commands: Vec<Vec<Job>> = Vec::with_capacity(jobs.len());
    for job in jobs {
        let key = scripts::key(&job.command);
        let before = commands
            .iter()
            .rposition(|others| others.iter().any(|other| scripts::key(&other.command) == key));
        let mut after =
            commands.iter_mut().skip(before.map_or(0, |before| before + 1)).filter(|_| joins(&job));
        match after.find(|others| joins(&others[0]) && scripts::same(&others[0].command, &job.command)) {
            Some(others) => others.push(job),
            None => commands.push(vec![job]),
        }
    }
    commands
}

/// What one command answers to each of so many jobs, of which these are still there.
pub(crate) fn answers<'a>(value: Value, count: usize, jobs: impl IntoIterator<Item = &'a Job>) -> Vec<Value> {
    let script = jobs.into_iter().any(|job| matches!(job.asks, Asks::Request(..)));
    match value {
        Value::Array(answers) if script && answers.len() == count => answers,
        value if count == 1 => vec![value],
        // None that a script returns.
        _ => vec![Value::Nil; count],
    }
}

/// The command that asks all of these.
pub(crate) fn command(jobs: &[Job]) -> Cmd {
    match jobs {
        [job] => job.command.clone(),
        jobs => scripts::joined(jobs.iter().map(|job| &job.command)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::slice;
    use std::sync::Arc;
    use std::time::Instant;

    use idem_runtime::Token;
    use idem_runtime::store::{Pending, Request};

    use super::*;
    use crate::core::Settings;
    use crate::operation::Operation;
    use crate::scripts::Scripts;

    fn job(command: Cmd, asks: Asks) -> Job {
        let now = Instant::now();
        Job { command, asks, since: now, until: now, lost: false, alone: false, failed: None }
    }

    /// Jobs that claim, complete and sign twelve records in no order, and some of the store's own commands. The last
    /// argument is the job's number.
    fn jobs(random: &mut impl FnMut(usize) -> usize) -> Vec<Job> {
        let scripts = Scripts::new(false);
        let one = |number: usize| {
            let script = [&scripts.claim, &scripts.complete, &scripts.sign][random(3)];
            let mut command = match random(10) {
                0 => redis::cmd("GET"),
                _ => script.call(&[b'a' + random(12) as u8], 3, 8),
            };
            command.arg(random(2)).arg("the same").arg(number);
            Job { alone: number % 7 == 0, ..job(command, Asks::Command(oneshot::channel().0, None)) }
        };
        (0..64).map(one).collect()
    }

    fn number(job: &Job) -> usize {
        let last = job.command.args_iter().last();
        let Some(redis::Arg::Simple(number)) = last else { panic!("{last:?}") };
        std::str::from_utf8(number).unwrap().parse().unwrap()
    }

    #[test]
    fn what_is_asked_about_one_record_stays_apart_and_in_its_order() {
        let mut seed = 7_u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        let mut joined = 0;
        for _ in 0..1_000 {
            let commands = together(jobs(&mut random));
            let mut all: Vec<_> = commands.iter().flatten().map(number).collect();
            let mut last = BTreeMap::new();
            for jobs in &commands {
                let keys: Vec<_> = jobs.iter().map(|job| scripts::key(&job.command)).collect();
                if let [first, others @ ..] = &jobs[..] {
                    assert!(others.iter().all(|job| scripts::same(&first.command, &job.command)));
                    assert!(others.is_empty() || jobs.iter().all(|job| !job.alone));
                }
                for (at, (job, key)) in jobs.iter().zip(&keys).enumerate() {
                    assert!(jobs.len() == 1 || key.is_some() && !keys[..at].contains(key), "twice in one");
                    let before = key.and_then(|key| last.insert(key.to_vec(), number(job)));
                    assert!(before < Some(number(job)), "{before:?} before {}", number(job));
                }
                joined += jobs.len() - 1;
            }
            all.sort_unstable();
            assert!(all.into_iter().eq(0..64), "each once");
        }
        assert!(joined > 10_000, "{joined}");
    }

    #[test]
    fn each_job_gets_its_part_of_an_answer() {
        let command = job(Cmd::new(), Asks::Command(oneshot::channel().0, None));
        let get = Request::Get { token: Token::from_bytes([7; 32]) };
        let operation = Operation::new(get, vec![7], Settings::of_a_test(), Arc::default());
        let (responder, _pending) = Pending::channel("redis://");
        let script = job(Cmd::new(), Asks::Request(Box::new(operation), responder, "redis://".into()));
        let one = Value::Array(vec![Value::Int(1)]);
        let two = Value::Array(vec![Value::Int(1), Value::Int(2)]);

        assert_eq!(answers(one.clone(), 1, [&script]), [Value::Int(1)]);
        assert_eq!(answers(two.clone(), 2, [&script]), [Value::Int(1), Value::Int(2)]);
        assert_eq!(answers(one.clone(), 1, [&command]), [one], "what the store asks has arrays for answers");
        assert_eq!(answers(two.clone(), 1, [&script]), slice::from_ref(&two), "no script answers so");
        assert_eq!(answers(two, 3, [&script]), [Value::Nil, Value::Nil, Value::Nil]);
        assert_eq!(answers(Value::Int(1), 2, [&script]), [Value::Nil, Value::Nil]);
    }
}
