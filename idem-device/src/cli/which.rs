//! Which record a command is about.

use std::io::Read as _;

use clap::Args;
use idem::Token;
use idem::store::Handle;

use super::Failure;
use super::exit::Exit;
use super::token::encoded;
use crate::look::{self, Found, Seen, words};

#[derive(Debug, Args)]
pub(super) struct Which {
    /// The record's token or its first digits; with --function the call's arguments, a JSON array (`-` reads it from
    /// standard input).
    #[arg(value_name = "TOKEN-OR-ARGUMENTS")]
    what: String,
    /// The function's name or signature text.
    #[arg(long)]
    function: Option<String>,
    /// The scope that is part of the token: tenant, principal.
    #[arg(long, requires = "function", value_name = "SCOPE")]
    scope: Option<String>,
}

impl Which {
    /// The record as it is now.
    pub(super) async fn find(&self, store: &Handle) -> Result<Seen, Failure> {
        let Some(function) = &self.function else { return self.by_digits(store).await };
        let token = Token::of(self.scope.as_deref().unwrap_or_default(), function, &encoded(&self.text()?)?);
        let found = look::seen(store, token).await?;
        Ok(found.ok_or_else(|| {
            let function = words::clean(function);
            Exit::no_record(format!(
                "there is no record of this call of {function}, which has the token {token}: nobody has made it, its \
                 record has expired, or it is in another namespace"
            ))
        })?)
    }

    fn text(&self) -> Result<String, Failure> {
        if self.what != "-" {
            return Ok(self.what.clone());
        }
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        Ok(text)
    }

    async fn by_digits(&self, store: &Handle) -> Result<Seen, Failure> {
        match look::by_digits(store, &self.what).await? {
            Found::One(seen) => Ok(*seen),
            Found::None => {
                let what = format!("there is no record whose token begins with {}", words::clean(&self.what));
                Err(Exit::no_record(what).into())
            }
            Found::Several(one, other) => {
                let what = format!("several tokens begin with {}, such as {one} and {other}: give more digits", self.what);
                Err(Exit::usage(what).into())
            }
            Found::NoDigits => Err(Exit::usage(
                "a record is named by its token (64 hexadecimal digits, or at least the first 4 of them), or by \
                 --function NAME and the arguments as a JSON array",
            )
            .into()),
        }
    }
}
