//! What stands in the brackets of the attribute, read without a look at the function.

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use std::time::Duration;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Lit, Path, Result, Token};

use crate::{expression, literal, words};

/// Every option, in the order of the documentation.
const OPTIONS: [&str; 20] = [
    "key",
    "skip",
    "name",
    "scope",
    "store",
    "ttl",
    "lease",
    "on_duplicate",
    "on_running",
    "wait",
    "on_error",
    "on_interrupt",
    "on_cancel",
    "on_store_error",
    "max_run",
    "max_attempts",
    "record_arguments",
    "max_result",
    "error",
    "crate",
];

#[derive(Default)]
pub(crate) struct Args {
    pub(crate) key: Option<Vec<Expr>>,
    pub(crate) skip: Vec<Ident>,
    pub(crate) name: Option<Expr>,
    pub(crate) scope: Option<Expr>,
    pub(crate) store: Option<Expr>,
    pub(crate) error: Option<Expr>,
    pub(crate) krate: Option<Path>,
    pub(crate) on_duplicate: Option<Chosen>,
    pub(crate) on_running: Option<Chosen>,
    pub(crate) on_cancel: Option<Chosen>,
    pub(crate) on_error: Option<OnError>,
    /// Everything that changes neither the builder's type nor what else may be said.
    pub(crate) settings: Vec<Setting>,
}

/// One of an option's words, such as `reject`.
pub(crate) struct Chosen {
    pub(crate) word: Ident,
    /// The name of the variant behind it, such as `Reject`.
    pub(crate) variant: &'static str,
}

/// What an `Err` of the body means.
pub(crate) struct OnError {
    pub(crate) word: Ident,
    pub(crate) kind: ErrorKind,
}

pub(crate) enum ErrorKind {
    Release,
    Interrupt,
    Store,
    With(Expr),
    StoreOr(Expr),
}

impl OnError {
    /// Can an `Err` be kept, so that `E` has to be stored?
    pub(crate) fn stores(&self) -> bool {
        matches!(self.kind, ErrorKind::Store | ErrorKind::StoreOr(_))
    }
}

/// An option that the builder has a method of the same name for.
pub(crate) struct Setting {
    pub(crate) word: Ident,
    pub(crate) value: Value,
}

pub(crate) enum Value {
    Flag,
    Duration(Duration),
    Number(u64),
    Choice { kind: &'static str, variant: &'static str },
    Computed(Expr),
}

impl Args {
    /// Was an option given that is kept among the settings?
    pub(crate) fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.word == name)
    }

    /// Does a finished duplicate get an error, so that no result is kept?
    pub(crate) fn rejects_duplicates(&self) -> bool {
        let on_duplicate = self.on_duplicate.as_ref();
        on_duplicate.is_some_and(|on| on.variant == "Reject")
    }

    /// The word `finish`, if the body outlives its caller.
    pub(crate) fn finishes(&self) -> Option<&Ident> {
        let on_cancel = self.on_cancel.as_ref();
        on_cancel.filter(|on| on.variant == "Finish").map(|on| &on.word)
    }

    fn option(&mut self, word: Ident, input: ParseStream) -> Result<()> {
        match word.to_string().as_str() {
            "key" => self.key = Some(key(&word, input)?),
            "skip" => self.skip = skip(&word, input)?,
            "name" => self.name = Some(name(&word, input)?),
            "scope" => self.scope = Some(computed(&word, input, "scope = tenant")?),
            "store" => self.store = Some(computed(&word, input, "store = &self.store")?),
            "error" => self.error = Some(value(&word, input, "error = path::to::function")?),
            "crate" => {
                equals(&word, input, "crate = ::path::to::idem")?;
                self.krate = Some(Path::parse_mod_style(input)?);
            }
            "ttl" | "lease" => {
                let value = duration(&word, input)?;
                if let (Value::Duration(Duration::ZERO), span) = &value {
                    let what = if word == "ttl" {
                        "with a `ttl` of 0 no duplicate would ever be recognised: write for how long it has to be, like `ttl = \"24h\"`"
                    } else {
                        "with a `lease` of 0 every attempt would be believed dead at once: write a time like `lease = \"10s\"`"
                    };
                    return Err(Error::new(*span, what));
                }
                self.set(word, value.0);
            }
            "wait" | "max_run" => {
                let value = duration(&word, input)?.0;
                self.set(word, value);
            }
            "max_attempts" => {
                let value = attempts(&word, input)?;
                self.set(word, value);
            }
            "max_result" => {
                let value = bytes(&word, input)?;
                self.set(word, value);
            }
            "record_arguments" => {
                if !input.is_empty() && !input.peek(Token![,]) {
                    return Err(input.error("write `record_arguments` alone: it has no value"));
                }
                self.set(word, Value::Flag);
            }
            "on_duplicate" => {
                let choice = choice(&word, input, &[("replay", "Replay"), ("reject", "Reject")])?;
                self.on_duplicate = Some(choice);
            }
            "on_running" => {
                self.on_running = Some(choice(&word, input, &[("wait", "Wait"), ("reject", "Reject")])?);
            }
            "on_cancel" => {
                self.on_cancel =
                    Some(choice(&word, input, &[("interrupt", "Interrupt"), ("finish", "Finish")])?);
            }
            "on_interrupt" => {
                let words = &[("retry", "Retry"), ("reject", "Reject")];
                let variant = choice(&word, input, words)?.variant;
                let kind = "OnInterrupt";
                self.set(word, Value::Choice { kind, variant });
            }
            "on_store_error" => {
                let words = &[("fail", "Fail"), ("run", "Run")];
                let variant = choice(&word, input, words)?.variant;
                let kind = "OnStoreError";
                self.set(word, Value::Choice { kind, variant });
            }
            "on_error" => self.on_error = Some(on_error(&word, input)?),
            unknown => {
                let advice = match words::nearest(unknown, OPTIONS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the options are {}", words::list(&OPTIONS)),
                };
                let message = format!("`#[idempotent]` has no option `{unknown}`: {advice}");
                return Err(Error::new(word.span(), message));
            }
        }
        Ok(())
    }

    fn set(&mut self, word: Ident, value: Value) {
        self.settings.push(Setting { word, value });
    }
}

impl Parse for Args {
    /// Reads on behind a mistake, so that all of them are reported at once.
    fn parse(input: ParseStream) -> Result<Self> {
        let mut args = Args::default();
        let mut seen: Vec<Ident> = Vec::new();
        let mut mistakes: Option<Error> = None;
        while !input.is_empty() {
            let read = one(input, &mut seen, &mut args);
            if let Err(mistake) = read {
                match &mut mistakes {
                    Some(mistakes) => mistakes.combine(mistake),
                    none => *none = Some(mistake),
                }
                while !input.is_empty() && !input.peek(Token![,]) {
                    input.parse::<proc_macro2::TokenTree>()?;
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        match mistakes {
            Some(mistakes) => Err(mistakes),
            None => Ok(args),
        }
    }
}

fn one(input: ParseStream, seen: &mut Vec<Ident>, args: &mut Args) -> Result<()> {
    if !input.peek(Ident::peek_any) {
        let message = format!("expected an option of `#[idempotent]`: {}", words::list(&OPTIONS));
        return Err(input.error(message));
    }
    let word = input.call(Ident::parse_any)?;
    if seen.contains(&word) {
        let advice = if word == "key" || word == "skip" {
            "name everything between one pair of brackets"
        } else {
            "leave one of the two out"
        };
        let message = format!("`{word}` is given twice: {advice}");
        return Err(Error::new(word.span(), message));
    }
    seen.push(word.clone());
    args.option(word, input)?;
    if input.is_empty() || input.peek(Token![,]) {
        Ok(())
    } else {
        Err(input.error("expected a comma and the next option, or the end"))
    }
}

fn equals(word: &Ident, input: ParseStream, example: &str) -> Result<()> {
    if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        if !input.is_empty() && !input.peek(Token![,]) {
            return Ok(());
        }
    }
    let message = format!("`{word}` needs a value: write `{example}`");
    Err(Error::new(word.span(), message))
}

fn list<T>(
    word: &Ident,
    input: ParseStream,
    example: &str,
    one: fn(ParseStream) -> Result<T>,
) -> Result<Vec<T>> {
    if !input.peek(syn::token::Paren) {
        let message = format!("`{word}` takes names in brackets: write `{example}`");
        return Err(Error::new(word.span(), message));
    }
    let content;
    syn::parenthesized!(content in input);
    let named = Punctuated::<T, Token![,]>::parse_terminated_with(&content, one)?;
    if named.is_empty() {
        let message = format!("`{word}()` names nothing: write `{example}`, or leave it out");
        return Err(Error::new(word.span(), message));
    }
    Ok(named.into_iter().collect())
}

fn key(word: &Ident, input: ParseStream) -> Result<Vec<Expr>> {
    let expressions = list(word, input, "key(order_id, self.id)", Expr::parse)?;
    for expression in &expressions {
        stays(word, expression)?;
    }
    Ok(expressions)
}

fn skip(word: &Ident, input: ParseStream) -> Result<Vec<Ident>> {
    list(word, input, "skip(self, db)", |input| {
        let name = input.call(Ident::parse_any)?;
        if input.is_empty() || input.peek(Token![,]) {
            return Ok(name);
        }
        let message = format!(
            "`skip(…)` takes whole arguments by their names: write `skip({name})`, and what counts of it as `key({name}.…)`"
        );
        Err(Error::new(input.span(), message))
    })
}

/// The value of an option as it stands there.
fn value(word: &Ident, input: ParseStream, example: &str) -> Result<Expr> {
    equals(word, input, example)?;
    input.parse()
}

/// The value of an option that is computed for each call.
fn computed(word: &Ident, input: ParseStream, example: &str) -> Result<Expr> {
    let expression = value(word, input, example)?;
    stays(word, &expression)?;
    Ok(expression)
}

/// Refuses an expression that would leave the user's function.
fn stays(word: &Ident, expression: &Expr) -> Result<()> {
    match expression::leaves(expression.to_token_stream()) {
        None => Ok(()),
        Some((span, by)) => {
            let message = format!(
                "`{by}` cannot stand here: `{word}` is taken before the call begins, from what is there already; work it out in the caller and pass it as an argument"
            );
            Err(Error::new(span, message))
        }
    }
}

fn literal(expression: &Expr) -> Option<&Lit> {
    match expression::bare(expression) {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        _ => None,
    }
}

fn name(word: &Ident, input: ParseStream) -> Result<Expr> {
    let example = "name = \"orders.charge\"";
    let expression = value(word, input, example)?;
    let usable = match literal(&expression) {
        None => true,
        Some(Lit::Str(text)) => !text.value().is_empty(),
        Some(_) => false,
    };
    if usable {
        return Ok(expression);
    }
    let message = format!("a name is text that says which operation this is, for good: write `{example}`");
    Err(Error::new_spanned(expression, message))
}

fn duration(word: &Ident, input: ParseStream) -> Result<(Value, Span)> {
    let example = match word.to_string().as_str() {
        "ttl" => "ttl = \"24h\"",
        "lease" => "lease = \"10s\"",
        "wait" => "wait = \"15s\"",
        _ => "max_run = \"5m\"",
    };
    let expression = computed(word, input, example)?;
    let span = expression.span();
    let value = match literal(&expression) {
        None => Value::Computed(expression),
        Some(Lit::Str(text)) => {
            Value::Duration(literal::duration(&text.value()).map_err(|why| Error::new(span, why))?)
        }
        // It is refused for what it is, with or without a unit.
        Some(Lit::Int(number)) if (word == "ttl" || word == "lease") && number.base10_digits() == "0" => {
            Value::Duration(Duration::ZERO)
        }
        Some(other) => {
            let digits = other.to_token_stream();
            let message = format!(
                "a duration needs its unit: write `{word} = \"{digits}s\"`, or an expression of type `Duration`"
            );
            return Err(Error::new(span, message));
        }
    };
    Ok((value, span))
}

fn attempts(word: &Ident, input: ParseStream) -> Result<Value> {
    let expression = computed(word, input, "max_attempts = 3")?;
    let number = match literal(&expression) {
        None => return Ok(Value::Computed(expression)),
        Some(Lit::Int(number)) => number.base10_parse::<u32>().ok(),
        Some(_) => None,
    };
    match number {
        Some(number) if number > 0 => Ok(Value::Number(number.into())),
        _ => Err(Error::new_spanned(
            expression,
            "write how many attempts there may be, at least one: `max_attempts = 3`",
        )),
    }
}

fn bytes(word: &Ident, input: ParseStream) -> Result<Value> {
    let expression = computed(word, input, "max_result = \"1 MiB\"")?;
    let span = expression.span();
    match literal(&expression) {
        None => Ok(Value::Computed(expression)),
        Some(Lit::Str(text)) => {
            literal::size(&text.value()).map(Value::Number).map_err(|why| Error::new(span, why))
        }
        Some(Lit::Int(number)) => number.base10_parse().map(Value::Number),
        Some(_) => Err(Error::new(span, "write a size like `max_result = \"1 MiB\"`, or a number of bytes")),
    }
}

fn choice(word: &Ident, input: ParseStream, choices: &[(&str, &'static str)]) -> Result<Chosen> {
    let alternatives: Vec<String> = choices.iter().map(|(choice, _)| format!("{word} = {choice}")).collect();
    let alternatives = words::list(&alternatives).replace(" and ", " or ");
    equals(word, input, &format!("{word} = {}", choices[0].0))?;
    let wrong = |span| Error::new(span, format!("write {alternatives}"));
    if !input.peek(Ident::peek_any) {
        return Err(wrong(input.span()));
    }
    let chosen = input.call(Ident::parse_any)?;
    match choices.iter().find(|(choice, _)| chosen == choice) {
        Some((_, variant)) => Ok(Chosen { word: chosen, variant }),
        None => Err(wrong(chosen.span())),
    }
}

fn on_error(word: &Ident, input: ParseStream) -> Result<OnError> {
    equals(word, input, "on_error = release")?;
    let wrong = |span| {
        let message = "write `on_error = release`, `interrupt`, `store`, `with(path)` or `store_or(path)`, the path being that of a function that looks at the error";
        Error::new(span, message)
    };
    if !input.peek(Ident::peek_any) {
        return Err(wrong(input.span()));
    }
    let chosen = input.call(Ident::parse_any)?;
    let path = |input: ParseStream| -> Result<Expr> {
        if !input.peek(syn::token::Paren) {
            let message = format!("name the function that looks at the error: `{chosen}(path)`");
            return Err(Error::new(chosen.span(), message));
        }
        let content;
        syn::parenthesized!(content in input);
        let path = content.parse()?;
        if content.is_empty() {
            Ok(path)
        } else {
            Err(content.error(format!("`{chosen}(path)` takes one function")))
        }
    };
    let kind = match chosen.to_string().as_str() {
        "release" => ErrorKind::Release,
        "interrupt" => ErrorKind::Interrupt,
        "store" => ErrorKind::Store,
        "with" => ErrorKind::With(path(input)?),
        "store_or" => ErrorKind::StoreOr(path(input)?),
        _ => return Err(wrong(chosen.span())),
    };
    Ok(OnError { word: chosen, kind })
}

/// Reads the brackets; the mistakes in them are reported together.
pub(crate) fn read(tokens: TokenStream) -> Result<Args> {
    syn::parse2(tokens)
}

#[cfg(test)]
mod tests;
