//! The annotated function, taken apart. Its body is one opaque group of tokens: whatever is wrong
//! in it is for the compiler to say.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, FnArg, GenericArgument, Pat, PatType, PathArguments, Result, ReturnType, Signature,
    Token, Type, TypeParamBound, Visibility,
};

use crate::{fragments, signature};

pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) body: Body,
    pub(crate) arguments: Vec<Argument>,
}

/// The body, as far as it has to be known where a call can be put around it.
pub(crate) struct Body {
    /// Where its braces stand.
    pub(crate) span: Span,
    /// `#![…]`, which has to stay in front.
    pub(crate) attributes: TokenStream,
    pub(crate) form: Form,
}

pub(crate) enum Form {
    Plain(TokenStream),
    Async(TokenStream),
    /// What `#[async_trait]` makes of an `async fn`: `… Box::pin(async move { … })`.
    Boxed {
        /// `… Box::pin`, and where its brackets stand.
        before: TokenStream,
        span: Span,
        inner: TokenStream,
        /// The `R` of `Pin<Box<dyn Future<Output = R>>>`.
        output: Box<Type>,
    },
}

/// An argument other than `self`.
pub(crate) struct Argument {
    /// What messages, the digest and the user's `skip(…)` call it: its name, or `#2`.
    pub(crate) label: String,
    /// Its name and its type as the signature text has them.
    pub(crate) text: String,
    /// The name by which generated code reaches it.
    pub(crate) value: Ident,
    /// The names that the body knows it by.
    pub(crate) names: Vec<Ident>,
    /// A pattern which the body still has to take apart; the function itself takes `value`.
    pub(crate) pattern: Option<Box<Pat>>,
    /// Do the names hold everything there is of the argument?
    pub(crate) complete: bool,
    pub(crate) is_reference: bool,
    pub(crate) span: Span,
}

impl Function {
    /// What a call of the function returns in the end; nothing if it is `()`.
    pub(crate) fn output(&self) -> Option<&Type> {
        match (&self.body.form, &self.signature.output) {
            (Form::Boxed { output, .. }, _) => Some(output),
            (_, ReturnType::Type(_, output)) => Some(output),
            (_, ReturnType::Default) => None,
        }
    }

    pub(crate) fn receiver(&self) -> Option<&syn::Receiver> {
        self.signature.receiver()
    }

    /// Every name that `key(…)` and `skip(…)` can use.
    pub(crate) fn names(&self) -> Vec<String> {
        let receiver = self.receiver().map(|_| "self".to_owned());
        let names = self.arguments.iter().flat_map(|argument| &argument.names);
        receiver.into_iter().chain(names.map(ToString::to_string)).collect()
    }

    /// Has another attribute put names of its own in the place of patterns?
    pub(crate) fn hides_names(&self) -> bool {
        matches!(self.body.form, Form::Boxed { .. })
            && self.arguments.iter().any(|argument| argument.names.is_empty())
    }
}

/// Reads an item; one that came through an `$item:item` is wrapped once.
pub(crate) fn read(item: TokenStream) -> Result<Function> {
    let mut tokens = item.clone().into_iter();
    match (tokens.next(), tokens.next()) {
        (Some(TokenTree::Group(group)), None) if group.delimiter() == Delimiter::None => read(group.stream()),
        _ => syn::parse2(item),
    }
}

impl Parse for Function {
    fn parse(input: ParseStream) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        if !is_function(input) {
            let message = "`#[idempotent]` goes on a function: put it on the function, or on each method, whose calls are to happen once";
            return Err(Error::new(input.span(), message));
        }
        let mut signature: Signature = input.parse()?;
        if input.peek(Token![;]) {
            let message = "`#[idempotent]` needs a body to protect: put it on the method of the `impl`, or give the method a default body here";
            return Err(Error::new(signature.ident.span(), message));
        }
        let body = braces(input.parse()?)?;
        let (inner_attributes, inner) = split_attributes(body.stream());
        let form = match (signature.asyncness.is_some(), boxed_output(&signature)) {
            (true, _) => Form::Async(inner),
            (false, None) => Form::Plain(inner),
            (false, Some(output)) => boxed(inner, output, &signature.output)?,
        };
        let arguments = arguments(&mut signature, matches!(form, Form::Boxed { .. }));
        Ok(Function {
            attributes,
            visibility,
            signature,
            body: Body { span: body.span(), attributes: inner_attributes, form },
            arguments,
        })
    }
}

/// Does a function begin here, behind attributes and visibility?
fn is_function(input: ParseStream) -> bool {
    let ahead = input.fork();
    while let Ok(token) = ahead.parse::<TokenTree>() {
        match token {
            TokenTree::Ident(word) if word == "fn" => return true,
            TokenTree::Ident(word)
                if ["const", "async", "unsafe", "safe", "extern"].iter().any(|known| word == known) => {}
            TokenTree::Literal(_) => {}
            _ => return false,
        }
    }
    false
}

/// The body's group; one that came through a `$body:block` is wrapped once more.
fn braces(token: TokenTree) -> Result<Group> {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Ok(group),
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
            let mut inner = group.stream().into_iter();
            match (inner.next(), inner.next()) {
                (Some(token), None) => braces(token),
                _ => Err(Error::new(group.span(), "expected the function's body")),
            }
        }
        token => Err(Error::new(token.span(), "expected the function's body")),
    }
}

/// Parts `#![…]` from what follows. A body without them is handed on as the very stream that it is: put together
/// again from its tokens, it would no longer be known which of them came through a `macro_rules!`, and what follows
/// attributes has to get brackets instead.
fn split_attributes(body: TokenStream) -> (TokenStream, TokenStream) {
    let mut attributes = TokenStream::new();
    let mut rest = body.clone().into_iter().peekable();
    loop {
        let mut ahead = rest.clone();
        match (ahead.next(), ahead.next(), ahead.next()) {
            (Some(TokenTree::Punct(hash)), Some(TokenTree::Punct(bang)), Some(TokenTree::Group(group)))
                if hash.as_char() == '#'
                    && bang.as_char() == '!'
                    && group.delimiter() == Delimiter::Bracket =>
            {
                attributes.extend(rest.by_ref().take(3));
            }
            _ if attributes.is_empty() => return (attributes, body),
            _ => return (attributes, fragments::bracketed(rest)),
        }
    }
}

/// The `R` of `-> Pin<Box<dyn Future<Output = R> + …>>`.
fn boxed_output(signature: &Signature) -> Option<Box<Type>> {
    let ReturnType::Type(_, output) = &signature.output else {
        return None;
    };
    let boxed = argument_of(output, "Pin")?;
    let Type::TraitObject(object) = peel(argument_of(boxed, "Box")?) else {
        return None;
    };
    object.bounds.iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else {
            return None;
        };
        let future = bound.path.segments.last()?;
        let PathArguments::AngleBracketed(arguments) = &future.arguments else {
            return None;
        };
        arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::AssocType(output) if future.ident == "Future" && output.ident == "Output" => {
                Some(Box::new(output.ty.clone()))
            }
            _ => None,
        })
    })
}

/// The `T` of `…::name<T>`.
fn argument_of<'a>(outer: &'a Type, name: &str) -> Option<&'a Type> {
    let Type::Path(path) = peel(outer) else {
        return None;
    };
    let last = path.path.segments.last()?;
    match &last.arguments {
        PathArguments::AngleBracketed(arguments) if last.ident == name => {
            arguments.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(inner) => Some(inner),
                _ => None,
            })
        }
        _ => None,
    }
}

/// Takes groups without delimiters and brackets off.
pub(crate) fn peel(outer: &Type) -> &Type {
    match outer {
        Type::Group(group) => peel(&group.elem),
        Type::Paren(paren) => peel(&paren.elem),
        inner => inner,
    }
}

/// Finds the `async move { … }` at the end of a function that returns a boxed future.
fn boxed(body: TokenStream, output: Box<Type>, written: &ReturnType) -> Result<Form> {
    let mut before: Vec<TokenTree> = body.into_iter().collect();
    let last = before.pop();
    let inner = match (&last, before.as_slice()) {
        (Some(TokenTree::Group(call)), [.., TokenTree::Ident(pin)])
            if call.delimiter() == Delimiter::Parenthesis && pin == "pin" =>
        {
            async_move(call.stream()).map(|inner| (call.span(), inner))
        }
        _ => None,
    };
    match inner {
        Some((span, inner)) => Ok(Form::Boxed { before: fragments::bracketed(before), span, inner, output }),
        None => {
            let message = "this function returns a future before its call is done: write an `async fn`, or end the body in `Box::pin(async move { … })`";
            Err(match written {
                ReturnType::Default => Error::new_spanned(output, message),
                ReturnType::Type(_, written) => Error::new_spanned(written, message),
            })
        }
    }
}

fn async_move(tokens: TokenStream) -> Option<TokenStream> {
    let mut tokens = tokens.into_iter();
    match (tokens.next()?, tokens.next()?, tokens.next()?) {
        (TokenTree::Ident(first), TokenTree::Ident(second), TokenTree::Group(block))
            if first == "async"
                && second == "move"
                && block.delimiter() == Delimiter::Brace
                && tokens.all(|rest| matches!(rest, TokenTree::Punct(mark) if mark.as_char() == ',')) =>
        {
            Some(block.stream())
        }
        _ => None,
    }
}

/// Lists the arguments, and gives those that have no name one.
fn arguments(signature: &mut Signature, boxed: bool) -> Vec<Argument> {
    let receivers = usize::from(signature.receiver().is_some());
    let mut arguments = Vec::with_capacity(signature.inputs.len());
    for (index, input) in signature.inputs.iter_mut().enumerate() {
        if let FnArg::Typed(input) = input {
            arguments.push(argument(input, index, index + 1 - receivers, boxed));
        }
    }
    arguments
}

fn argument(input: &mut PatType, index: usize, position: usize, boxed: bool) -> Argument {
    let ty = signature::of_type(input.ty.to_token_stream());
    let is_reference = matches!(peel(&input.ty), Type::Reference(_));
    let span = input.pat.span();
    let named = |name: &Ident, pattern: Option<Box<Pat>>, value: Ident| Argument {
        label: name.to_string(),
        text: format!("{name}: {ty}"),
        value,
        names: vec![name.clone()],
        pattern,
        complete: true,
        is_reference,
        span,
    };
    // The same name that `#[async_trait]` gives to a pattern, so that both read alike.
    let place = format_ident!("__arg{index}", span = span.resolved_at(Span::mixed_site()));
    let mut names = Vec::new();
    let complete = match &*input.pat {
        Pat::Ident(name) if name.subpat.is_none() && !(boxed && name.ident == place) => {
            if name.by_ref.is_none() {
                return named(&name.ident, None, name.ident.clone());
            }
            let ident = name.ident.clone();
            let pattern = replace(&mut input.pat, &place);
            return named(&ident, Some(Box::new(pattern)), place);
        }
        Pat::Ident(name) if boxed && name.ident == place => {
            return Argument {
                label: format!("#{position}"),
                text: format!("_: {ty}"),
                value: name.ident.clone(),
                names,
                pattern: None,
                complete: false,
                is_reference,
                span,
            };
        }
        pattern => bound(pattern, &mut names),
    };
    let pattern = replace(&mut input.pat, &place);
    Argument {
        label: format!("#{position}"),
        text: format!("_: {ty}"),
        value: place,
        names,
        pattern: Some(Box::new(pattern)),
        complete,
        is_reference,
        span,
    }
}

/// Puts a name in the place of a pattern; it can be changed if the pattern does so.
fn replace(pattern: &mut Pat, name: &Ident) -> Pat {
    let mut before = false;
    let changes = words(pattern.to_token_stream()).any(|word| {
        let after_ref = std::mem::replace(&mut before, word == "ref");
        after_ref && word == "mut"
    });
    let name = Pat::Ident(syn::PatIdent {
        attrs: Vec::new(),
        by_ref: None,
        mutability: changes.then(|| Token![mut](name.span())),
        ident: name.clone(),
        subpat: None,
    });
    std::mem::replace(pattern, name)
}

fn words(tokens: TokenStream) -> Box<dyn Iterator<Item = Ident>> {
    Box::new(tokens.into_iter().flat_map(|token| match token {
        TokenTree::Ident(word) => Box::new(std::iter::once(word)),
        TokenTree::Group(group) => words(group.stream()),
        _ => Box::new(std::iter::empty()) as Box<dyn Iterator<Item = Ident>>,
    }))
}

/// Collects the names that a pattern binds; tells whether they hold all of the value.
fn bound(pattern: &Pat, names: &mut Vec<Ident>) -> bool {
    // Every one of them is looked at, whatever the first ones say.
    let mut all =
        |patterns: &mut dyn Iterator<Item = &Pat>| patterns.filter(|one| !bound(one, names)).count() == 0;
    match pattern {
        Pat::Ident(name) => {
            names.push(name.ident.clone());
            if let Some((_, inner)) = &name.subpat {
                bound(inner, names);
            }
            true
        }
        Pat::Paren(paren) => bound(&paren.pat, names),
        Pat::Reference(reference) => bound(&reference.pat, names),
        Pat::Type(typed) => bound(&typed.pat, names),
        Pat::Tuple(tuple) => all(&mut tuple.elems.iter()),
        Pat::TupleStruct(tuple) => all(&mut tuple.elems.iter()),
        Pat::Slice(slice) => all(&mut slice.elems.iter()),
        Pat::Struct(fields) => {
            let complete = all(&mut fields.fields.iter().map(|field| &*field.pat));
            complete && fields.rest.is_none()
        }
        Pat::Or(or) => {
            if let Some(first) = or.cases.first() {
                bound(first, names);
            }
            false
        }
        _ => false,
    }
}
