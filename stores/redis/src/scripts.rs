//! The scripts that the server runs, and how they are called.

use redis::Cmd;

/// One script, under the name that the server knows it by.
#[derive(Debug)]
pub(crate) struct Script {
    source: String,
    /// The SHA-1 of its source.
    hash: String,
}

impl Script {
    fn new(source: &str, sharded: bool) -> Self {
        // In a cluster a message is told to the nodes of its slot alone.
        let source = if sharded { source.replace("'PUBLISH'", "'SPUBLISH'") } else { source.to_owned() };
        let hash = redis::Script::new(&source).get_hash().to_owned();
        Script { source, hash }
    }

    /// The command that runs it, still without arguments; so many will follow, of so many bytes.
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
        let mut parts = command.args_iter().map(|part| match part {
            redis::Arg::Simple(bytes) => bytes,
            _ => &[],
        });
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
