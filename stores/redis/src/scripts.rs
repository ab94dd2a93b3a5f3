//! The scripts that the server runs, and how they are called.
//!
//! Each does one operation for every key that it is given, so that what many callers ask at the same time is one command:
//! half of what a short script costs the server is its beginning. It returns an array with an answer for each key.
//!
//! What is only read needs none: that is a `GET`, and a `MGET` of many.

use redis::Cmd;

/// One script, under the name that the server knows it by.
#[derive(Debug)]
pub(crate) struct Script {
    source: String,
    /// The SHA-1 of its source.
    hash: String,
}

impl Script {
    /// What is done for all keys, and after a line that says so what is done for each.
    fn new(own: &str, sharded: bool) -> Self {
        let (once, each) = own.split_once("-- Each:\n").unwrap_or((own, ""));
        let source = [
            include_str!("scripts/begin.lua"),
            once,
            include_str!("scripts/each.lua"),
            each,
            include_str!("scripts/end.lua"),
        ];
        let source = source.concat();
        // In a cluster a message is told to the nodes of its slot alone.
        let source = if sharded { source.replace("'PUBLISH'", "'SPUBLISH'") } else { source };
        let hash = redis::Script::new(&source).get_hash().to_owned();
        Script { source, hash }
    }

    /// The command that runs it, still without arguments; so many will follow, of so many bytes. The first [`COMMON`] of
    /// them are for all keys.
    pub(crate) fn call(&self, key: &[u8], arguments: usize, bytes: usize) -> Cmd {
        let mut command = Cmd::with_capacity(4 + arguments, 64 + key.len() + bytes);
        command.arg("EVALSHA").arg(self.hash.as_bytes()).arg(1_u8).arg(key);
        command
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) look: Script,
    pub(crate) claim: Script,
    pub(crate) complete: Script,
    pub(crate) sign: Script,
    pub(crate) swap: Script,
}

impl Scripts {
    pub(crate) fn new(sharded: bool) -> Self {
        let script = |source| Script::new(source, sharded);
        Scripts {
            look: script(include_str!("scripts/look.lua")),
            claim: script(include_str!("scripts/claim.lua")),
            complete: script(include_str!("scripts/complete.lua")),
            sign: script(include_str!("scripts/sign.lua")),
            swap: script(include_str!("scripts/swap.lua")),
        }
    }

    /// The same command with the script's source in it, for a server that does not know the script (yet, or any
    /// more: a restart, a failover and `SCRIPT FLUSH` make it forget).
    pub(crate) fn with_source(&self, command: &Cmd) -> Option<Cmd> {
        let mut parts = parts(command);
        let (name, hash) = (parts.next()?, parts.next()?);
        if name != b"EVALSHA" {
            return None;
        }
        let all = [&self.look, &self.claim, &self.complete, &self.sign, &self.swap];
        let script = all.into_iter().find(|script| script.hash.as_bytes() == hash)?;
        let mut command = Cmd::new();
        command.arg("EVAL").arg(script.source.as_bytes());
        for part in parts {
            command.arg(part);
        }
        Some(command)
    }
}

/// The command that only reads.
pub(crate) fn read(key: &[u8]) -> Cmd {
    let mut command = Cmd::with_capacity(2, 3 + key.len());
    command.arg(GET).arg(key);
    command
}

/// The parts of a command, as bytes.
fn parts(command: &Cmd) -> impl Iterator<Item = &[u8]> {
    command.args_iter().map(|part| match part {
        redis::Arg::Simple(bytes) => bytes,
        _ => &[],
    })
}

/// Reads one.
const GET: &[u8] = b"GET";
/// Where a command that calls a script has its key; its arguments follow.
const KEY: usize = 3;
/// How many of the arguments are for all keys, if there are any.
const COMMON: usize = 2;

/// The key of a command that calls a script, or reads.
pub(crate) fn key(command: &Cmd) -> Option<&[u8]> {
    let mut parts = parts(command);
    match parts.next()? {
        GET => parts.next(),
        b"EVALSHA" | b"EVAL" => parts.nth(KEY - 1),
        _ => None,
    }
}

/// Whether these commands call the same script with the same common arguments, or read, so that they can be one. No key may
/// be there twice.
pub(crate) fn same(one: &Cmd, other: &Cmd) -> bool {
    fn shared(command: &Cmd) -> impl Iterator<Item = &[u8]> {
        parts(command).take(2).chain(parts(command).skip(KEY + 1).take(COMMON))
    }
    match (parts(one).next(), parts(other).next()) {
        (Some(GET), Some(GET)) => true,
        (Some(b"EVALSHA"), _) => shared(one).eq(shared(other)),
        _ => false,
    }
}

/// How many bytes a command has, without what stands between its parts.
pub(crate) fn size(command: &Cmd) -> usize {
    parts(command).map(<[u8]>::len).sum()
}

/// Calls of the same script as one, or what reads.
pub(crate) fn joined<'a>(commands: impl ExactSizeIterator<Item = &'a Cmd> + Clone) -> Cmd {
    let size = commands.clone().map(size).sum::<usize>() + 32 * commands.len();
    let mut joined = Cmd::with_capacity(8 * commands.len(), size);
    let Some(first) = commands.clone().next() else { return joined };
    if parts(first).next() == Some(GET) {
        joined.arg("MGET");
        for key in commands.filter_map(key) {
            joined.arg(key);
        }
        return joined;
    }
    for part in parts(first).take(KEY - 1) {
        joined.arg(part);
    }
    joined.arg(commands.len());
    for key in commands.clone().filter_map(key) {
        joined.arg(key);
    }
    for part in parts(first).skip(KEY + 1).take(COMMON) {
        joined.arg(part);
    }
    for part in commands.flat_map(|command| parts(command).skip(KEY + 1 + COMMON)) {
        joined.arg(part);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_one_script_are_one_command() {
        let scripts = Scripts::new(false);
        let call = |key: &[u8], attempt: &[u8], lease: u8| {
            let mut command = scripts.sign.call(key, 3, 0);
            command.arg("renew").arg(lease).arg(attempt).take()
        };
        let (one, other) = (call(b"a", b"1", 7), call(b"b", b"2", 7));
        assert!(same(&one, &other));
        assert!(!same(&one, &call(b"b", b"2", 8)), "another lease");
        assert!(!same(&one, &scripts.look.call(b"a", 0, 0)));
        assert!(!same(&redis::cmd("INFO"), &redis::cmd("INFO")));
        assert_eq!(key(&one), Some(&b"a"[..]));
        assert_eq!(key(&scripts.with_source(&one).unwrap()), Some(&b"a"[..]));
        assert_eq!(key(redis::cmd("SET").arg("a").arg(1).arg("b")), None);
        let joined = joined([&one, &other].into_iter());
        let told: Vec<_> = parts(&joined).skip(2).map(String::from_utf8_lossy).collect();
        assert_eq!(told, ["2", "a", "b", "renew", "7", "1", "2"]);
    }

    #[test]
    fn what_was_decided_long_ago_is_not_written() {
        let Some(server) = idem_servers::Redis::start() else { return };
        let mut server = server.connection();
        let scripts = Scripts::new(false);
        let mut swap = |until: u64| {
            let mut command = scripts.swap.call(b"key", 6, 0);
            command.arg("whole").arg(0).arg("").arg("after").arg("0").arg(until);
            let answer = scripts.with_source(&command).unwrap().query::<redis::Value>(&mut server).unwrap();
            matches!(answer, redis::Value::Array(answers) if matches!(answers[..], [redis::Value::Int(_)]))
        };
        assert!(!swap(1));
        assert!(swap(1 << 53));
    }
}
