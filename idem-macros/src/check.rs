//! What is refused, and how it is said; and what becomes of each argument.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{Error, Expr, GenericArgument, PathArguments, Result, ReturnType, Type};

use crate::args::Args;
use crate::function::{Argument, Form, Function, peel};
use crate::{expression, signature, words};

/// What makes the token of a call, decided.
pub(crate) struct Plan<'a> {
    /// The text behind the function's path: the key's expressions, or else the names and types of
    /// the arguments that are not skipped. Without brackets.
    pub(crate) text: String,
    /// The values that make the token where there is no key.
    pub(crate) parts: Vec<&'a Argument>,
    pub(crate) verified: Vec<&'a Argument>,
    /// Does the key use names that a pattern binds?
    pub(crate) key_takes_apart: bool,
}

/// Collects mistakes, so that all of them are told at once.
struct Mistakes(Option<Error>);

impl Mistakes {
    fn add(&mut self, span: Span, message: impl std::fmt::Display) {
        self.told(Error::new(span, message));
    }

    /// Points at all of the tokens, not only at the first.
    fn add_over(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.told(Error::new_spanned(tokens, message));
    }

    fn told(&mut self, mistake: Error) {
        match &mut self.0 {
            Some(mistakes) => mistakes.combine(mistake),
            none => *none = Some(mistake),
        }
    }
}

pub(crate) fn check<'a>(args: &Args, function: &'a Function) -> Result<Plan<'a>> {
    let mut mistakes = Mistakes(None);
    signature_allows(function, &mut mistakes);
    options_agree(args, function, &mut mistakes);
    result_can_be_kept(args, function, &mut mistakes);
    let plan = arguments(args, function, &mut mistakes);
    match mistakes.0 {
        Some(mistakes) => Err(mistakes),
        None => Ok(plan),
    }
}

fn signature_allows(function: &Function, mistakes: &mut Mistakes) {
    let signature = &function.signature;
    for attribute in &function.attributes {
        let last = attribute.path().segments.last();
        if last.is_some_and(|last| last.ident == "idempotent") {
            mistakes
                .add_over(attribute, "`#[idempotent]` is given twice: write one, with the options of both");
        }
    }
    if let Some(word) = &signature.constness {
        mistakes.add(word.span(), "a `const fn` cannot look into a store: take `const` away");
    }
    if let Some(abi) = &signature.abi {
        let rust = abi.name.as_ref().is_some_and(|name| name.value() == "Rust");
        if !rust {
            mistakes.add_over(
                abi,
                "a function for other languages cannot return a `Result`: put `#[idempotent]` on a Rust function and call that one from here",
            );
        }
    }
    if let Some(variadic) = &signature.variadic {
        mistakes.add(
            variadic.dots.span(),
            "arguments without a number and types cannot make a token: take a slice or a `Vec` instead",
        );
    }
    for input in &signature.inputs {
        let attributes = match input {
            syn::FnArg::Receiver(receiver) => &receiver.attrs,
            syn::FnArg::Typed(typed) => &typed.attrs,
        };
        for attribute in attributes {
            if attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr") {
                mistakes.add_over(
                    attribute,
                    "whether this argument counts would change with the build, and tokens with it: write one function for each case, and put `#[cfg(…)]` on the functions",
                );
            }
        }
    }
    match function.output().map(peel) {
        None | Some(Type::Never(_)) => {
            let message = "`#[idempotent]` needs a function that returns a `Result`, so that a refusal can be returned: write `-> Result<(), idem::Error>`";
            match &signature.output {
                ReturnType::Default => mistakes.add_over(&signature.ident, message),
                ReturnType::Type(_, output) => mistakes.add_over(output, message),
            }
        }
        Some(output) => {
            if let Some(span) = find_word(output.to_token_stream(), "impl") {
                mistakes.add(
                    span,
                    "a result of a type without a name cannot be stored: write the type itself in the place of `impl …`",
                );
            }
        }
    }
}

fn options_agree(args: &Args, function: &Function, mistakes: &mut Mistakes) {
    if let Some(on_error) = args.on_error.as_ref().filter(|on| args.rejects_duplicates() && on.stores()) {
        let message = format!(
            "with `on_duplicate = reject` no result is kept, so no error either: take `on_error = {}` away, or write `on_duplicate = replay`",
            on_error.word
        );
        mistakes.add(on_error.word.span(), message);
    }
    let on_running = args.on_running.as_ref();
    if let (Some(wait), Some(_)) = (args.setting("wait"), on_running.filter(|on| on.variant == "Reject")) {
        mistakes.add(
            wait.word.span(),
            "with `on_running = reject` nothing waits: take `wait` away, or write `on_running = wait`",
        );
    }
    if let (Some(finish), Form::Plain(_)) = (args.finishes(), &function.body.form) {
        mistakes.add(
            finish.span(),
            "a plain function always runs to its end: take `on_cancel = finish` away, or make it an `async fn`",
        );
    }
}

/// What is stored outlives the call, so it cannot borrow. Where the type is not spelled out, the
/// compiler says so, in its own way.
fn result_can_be_kept(args: &Args, function: &Function, mistakes: &mut Mistakes) {
    if args.rejects_duplicates() {
        return;
    }
    let Some(Type::Path(path)) = function.output().map(peel) else {
        return;
    };
    let Some(last) = path.path.segments.last() else {
        return;
    };
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return;
    };
    if last.ident != "Result" {
        return;
    }
    let kept = if args.on_error.as_ref().is_some_and(crate::args::OnError::stores) { 2 } else { 1 };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    for ty in types.take(kept) {
        if let Some(span) = find_mark(ty.to_token_stream(), '&') {
            mistakes.add(
                span,
                "a result that borrows cannot be kept for later calls: return an owned one (`String`, `Vec<…>`) or a `Cow`, or write `on_duplicate = reject`",
            );
        }
    }
}

fn arguments<'a>(args: &Args, function: &'a Function, mistakes: &mut Mistakes) -> Plan<'a> {
    let skipped = skipped(args, function, mistakes);
    let is_skipped = |argument: &Argument| skipped.iter().any(|other| std::ptr::eq(*other, argument));
    let key = args.key.as_deref();
    for expression in key.unwrap_or_default() {
        key_names_an_argument(expression, function, mistakes);
        contradicts_skip(expression, args, mistakes);
    }
    if let Some(receiver) = function.receiver() {
        let this = &Ident::from(receiver.self_token);
        let in_key = key
            .unwrap_or_default()
            .iter()
            .any(|expression| expression::mentions(expression.to_token_stream(), this));
        if !in_key && !args.skip.iter().any(|name| name == "self") {
            mistakes.add(
                this.span(),
                "`self` is neither in the key nor skipped: name what tells two values of this type apart, `key(self.id, …)`, or write `skip(self)` if the same call on any of them is one operation",
            );
        }
    }
    let left: Vec<&Argument> = function.arguments.iter().filter(|argument| !is_skipped(argument)).collect();
    match key {
        None => Plan {
            text: left.iter().map(|argument| argument.text.as_str()).collect::<Vec<_>>().join(", "),
            parts: left,
            verified: Vec::new(),
            key_takes_apart: false,
        },
        Some(key) => {
            let whole: Vec<&Ident> = key.iter().filter_map(expression::whole).collect();
            let is_whole = |argument: &&Argument| {
                let names = &argument.names;
                argument.complete && !names.is_empty() && names.iter().all(|name| whole.contains(&name))
            };
            let uses = |name: &Ident| {
                key.iter().any(|expression| expression::mentions(expression.to_token_stream(), name))
            };
            Plan {
                text: key_text(key),
                parts: Vec::new(),
                verified: left.into_iter().filter(|argument| !is_whole(argument)).collect(),
                key_takes_apart: function
                    .arguments
                    .iter()
                    .filter(|argument| argument.pattern.is_some())
                    .any(|argument| argument.names.iter().any(uses)),
            }
        }
    }
}

fn key_text(key: &[Expr]) -> String {
    key.iter()
        .map(|expression| signature::of_expression(expression.to_token_stream()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The arguments that `skip(…)` names.
fn skipped<'a>(args: &Args, function: &'a Function, mistakes: &mut Mistakes) -> Vec<&'a Argument> {
    let mut skipped: Vec<&Argument> = Vec::new();
    for (at, name) in args.skip.iter().enumerate() {
        if args.skip[..at].contains(name) {
            mistakes.add(name.span(), format!("`{name}` is skipped twice: name it once"));
            continue;
        }
        if name == "self" && function.receiver().is_some() {
            continue;
        }
        let found = function.arguments.iter().find(|argument| argument.names.contains(name));
        match found {
            None => names_nothing("skip", name, function, mistakes),
            Some(argument) => {
                let missing: Vec<String> = argument
                    .names
                    .iter()
                    .filter(|other| !args.skip.contains(other))
                    .map(ToString::to_string)
                    .collect();
                if !missing.is_empty() {
                    let message = format!(
                        "`skip(…)` takes whole arguments, and `{name}` is a part of one: skip {} too, or name what counts in `key(…)`",
                        words::list(&missing)
                    );
                    mistakes.add(name.span(), message);
                }
                skipped.push(argument);
            }
        }
    }
    skipped
}

fn key_names_an_argument(expression: &Expr, function: &Function, mistakes: &mut Mistakes) {
    let tokens = expression.to_token_stream();
    let this = function.receiver().map(|receiver| Ident::from(receiver.self_token));
    let named = function
        .arguments
        .iter()
        .flat_map(|argument| &argument.names)
        .chain(&this)
        .any(|name| expression::mentions(tokens.clone(), name));
    if named {
        return;
    }
    match expression::whole(expression) {
        Some(name) => names_nothing("key", name, function, mistakes),
        None => {
            let first = first_word(tokens).unwrap_or_else(|| Ident::new("_", expression.span()));
            let message = format!(
                "this names no argument, so it cannot tell two calls apart: {}",
                advice(&first, function)
            );
            mistakes.add_over(expression, message);
        }
    }
}

fn names_nothing(option: &str, name: &Ident, function: &Function, mistakes: &mut Mistakes) {
    let message = format!(
        "`{option}` names `{name}`, which is no argument of this function: {}",
        advice(name, function)
    );
    mistakes.add(name.span(), message);
}

/// What to write in the place of a name that no argument has.
fn advice(name: &Ident, function: &Function) -> String {
    let names = function.names();
    let known = || names.iter().map(String::as_str);
    let near = words::nearest(&name.to_string(), known());
    if let Some(near) = near {
        return format!("did you mean `{near}`?");
    }
    if function.hides_names() {
        return "inside a pattern `#[async_trait]` hides the names, so give the argument a name of its own and take it apart in the body".to_owned();
    }
    if names.is_empty() {
        return "it has none that could be named".to_owned();
    }
    format!("it has {}", words::list(&names))
}

fn contradicts_skip(expression: &Expr, args: &Args, mistakes: &mut Mistakes) {
    let Some(name) = expression::whole(expression) else {
        return;
    };
    if let Some(skipped) = args.skip.iter().find(|skipped| *skipped == name) {
        let message = format!(
            "`{name}` is both in `key(…)` and in `skip(…)`: keep it in one of the two, or name the parts of it that count, like `key({name}.id)`"
        );
        mistakes.add(skipped.span(), message);
    }
}

fn first_word(tokens: TokenStream) -> Option<Ident> {
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Ident(word) => Some(word),
        TokenTree::Group(group) => first_word(group.stream()),
        _ => None,
    })
}

fn find_word(tokens: TokenStream, wanted: &str) -> Option<Span> {
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Ident(word) if word == wanted => Some(word.span()),
        TokenTree::Group(group) => find_word(group.stream(), wanted),
        _ => None,
    })
}

fn find_mark(tokens: TokenStream, wanted: char) -> Option<Span> {
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Punct(mark) if mark.as_char() == wanted => Some(mark.span()),
        TokenTree::Group(group) => find_mark(group.stream(), wanted),
        _ => None,
    })
}
