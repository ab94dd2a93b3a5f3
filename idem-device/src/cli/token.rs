//! `idem token`: the token of a call, as the device and every service make it.

use std::io::Read as _;

use clap::Args;
use idem::Token;

use super::Failure;
use crate::value::{MAX_NESTING, json, nesting};

#[derive(Debug, Args)]
pub(super) struct Tokens {
    /// The function's name or signature text.
    #[arg(long)]
    function: String,
    /// The scope that is part of the token: tenant, principal.
    #[arg(long, default_value = "")]
    scope: String,
    /// Print what the token is the SHA-256 of, in hexadecimal, instead of the token.
    #[arg(long)]
    cbor: bool,
    /// Print JSON: the token and what it is made of.
    #[arg(long)]
    json: bool,
    /// The arguments: a JSON array; `-` reads it from standard input.
    #[arg(value_name = "ARGUMENTS-AS-JSON")]
    arguments: String,
}

impl Tokens {
    pub(super) fn run(self) -> Result<(), Failure> {
        let arguments = if self.arguments == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text
        } else {
            self.arguments
        };
        let arguments = encoded(&arguments)?;
        let token = Token::of(&self.scope, &self.function, &arguments);
        let hex: String = if self.cbor || self.json {
            let encoding = Token::encoding(&self.scope, &self.function, &arguments);
            encoding.iter().map(|byte| format!("{byte:02x}")).collect()
        } else {
            String::new()
        };
        if self.json {
            println!(r#"{{"token":"{token}","cbor":"{hex}"}}"#);
        } else if self.cbor {
            println!("{hex}");
        } else {
            println!("{token}");
        }
        Ok(())
    }
}

/// The arguments' encoding: one array.
pub(super) fn encoded(json: &str) -> Result<Vec<u8>, Failure> {
    let encoding =
        json::to_cbor(json.as_bytes(), MAX_NESTING + 1).map_err(|error| format!("the arguments: {error}"))?;
    if encoding[0] >> 5 != 4 {
        return Err("the arguments are given as one JSON array, such as '[7, \"ann\"]'".into());
    }
    debug_assert!(nesting(&encoding) <= MAX_NESTING + 1);
    Ok(encoding)
}
