//! Writes the function again, with a call of the library's builder around its body.
//!
//! All names of variables made here are hygienic, and all paths begin at a crate. The body's own
//! tokens are passed on as they came, so that messages and lints stay the user's.

use proc_macro2::{Delimiter, Group, Ident, Literal, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Expr, Type};

use crate::args::{Args, ErrorKind, Setting, Value};
use crate::check::Plan;
use crate::fragments;
use crate::function::{Argument, Form, Function};

pub(crate) fn expand(args: &Args, function: &Function, plan: &Plan) -> TokenStream {
    let unit: Type = syn::parse_quote!(());
    let writer = Writer {
        args,
        function,
        plan,
        krate: args.krate.as_ref().map_or_else(|| quote!(::idem), ToTokens::to_token_stream),
    };
    let output = function.output().unwrap_or(&unit);
    let at = mixed(syn::spanned::Spanned::span(output));
    let call = writer.call();
    let unpack = writer.unpack();
    let body = match &function.body.form {
        Form::Plain(body) => quote_spanned! {at=>
            #call
            __call.run_blocking::<#output, _>(move || -> #output { #unpack #body })
        },
        Form::Async(body) => {
            let run = writer.run(at, output, &unpack, body);
            quote!(#call #run)
        }
        Form::Boxed { before, span, inner, .. } => {
            let run = writer.run(at, output, &unpack, inner);
            let mut brackets =
                Group::new(Delimiter::Parenthesis, quote_spanned!(at=> async move { #call #run }));
            brackets.set_span(*span);
            quote!(#before #brackets)
        }
    };
    let Function { attributes, visibility, signature, .. } = function;
    let inner_attributes = &function.body.attributes;
    let mut braces = Group::new(Delimiter::Brace, quote!(#inner_attributes #body));
    braces.set_span(function.body.span);
    quote! {
        #(#attributes)*
        #visibility #signature #braces
    }
}

/// A span for generated tokens whose variables nobody else can see, at the user's place.
fn mixed(at: Span) -> Span {
    at.resolved_at(Span::mixed_site())
}

struct Writer<'a> {
    args: &'a Args,
    function: &'a Function,
    plan: &'a Plan<'a>,
    krate: TokenStream,
}

impl Writer<'_> {
    /// `let __call = …;`: everything that the call has to know, before the body begins.
    fn call(&self) -> TokenStream {
        let krate = &self.krate;
        let here = self.here();
        let options = self.options();
        let verified = self.plan.verified.iter().map(|argument| {
            let (at, label) = (mixed(argument.span), &argument.label);
            let value = part(at, at, argument.value.to_token_stream());
            quote_spanned!(at=> .verify(#label, #value))
        });
        let verified: TokenStream = verified.collect();
        let key = self.key();
        let import = if self.plan.parts.is_empty() && verified.is_empty() && key.is_empty() {
            None
        } else {
            Some(
                quote_spanned!(Span::mixed_site()=> use #krate::__private::probe::{Part as _, Probe as __Probe};),
            )
        };
        let parts = self.plan.parts.iter().map(|argument| {
            let at = mixed(argument.span);
            let value = part(at, at, argument.value.to_token_stream());
            quote_spanned!(at=> .arg(#value))
        });
        let begin = quote_spanned! {Span::mixed_site()=>
            #krate::call(#here) #options #(#parts)* #verified
        };
        let allow = allow_underscores(
            self.plan.parts.iter().chain(&self.plan.verified).map(|argument| &argument.value),
        );
        // The body has to be able to move what the key takes apart, so what is verified as a whole
        // goes first.
        if self.plan.key_takes_apart {
            let patterns = self.patterns();
            quote_spanned! {Span::mixed_site()=>
                #allow let __call = { #import #begin };
                #patterns
                let __call = { #import __call #key };
            }
        } else {
            quote_spanned!(Span::mixed_site()=> #allow let __call = { #import #begin #key };)
        }
    }

    /// The function, for the builder: its static description and its place in the program.
    fn here(&self) -> TokenStream {
        let krate = &self.krate;
        let text = &self.plan.text;
        let settings = self.args.settings.iter();
        let constants: TokenStream = settings.filter_map(|setting| self.constant(setting)).collect();
        let on_running = self.on_running();
        let options = quote!(#krate::__private::Options::new() #constants #on_running);
        let site = match &self.args.name {
            None => {
                let text = format!("({text})");
                quote!(derived(#text, #options))
            }
            Some(name) => {
                let key = if self.args.key.is_some() { "key" } else { "" };
                let text = format!("{key}({text})");
                let name = fragments::bracketed_within(name.to_token_stream());
                quote!(named(#name, #text, #options))
            }
        };
        quote_spanned! {Span::mixed_site()=> {
            static __SITE: #krate::__private::Site = #krate::__private::Site::#site
                .at(::core::file!(), ::core::line!(), ::core::column!());
            #krate::__private::here(&__SITE, &|| ())
        }}
    }

    /// An option whose value is known at compile time.
    fn constant(&self, setting: &Setting) -> Option<TokenStream> {
        let Setting { word, value } = setting;
        let krate = &self.krate;
        let at = mixed(word.span());
        let value = match value {
            Value::Computed(_) => return None,
            Value::Flag => TokenStream::new(),
            Value::Duration(duration) => {
                let seconds = Literal::u64_unsuffixed(duration.as_secs());
                let nanos = Literal::u32_unsuffixed(duration.subsec_nanos());
                quote_spanned!(at=> ::core::time::Duration::new(#seconds, #nanos))
            }
            Value::Number(number) => Literal::u64_unsuffixed(*number).into_token_stream(),
            Value::Choice { kind, variant } => {
                let (kind, variant) = (Ident::new(kind, at), Ident::new(variant, at));
                quote_spanned!(at=> #krate::__private::#kind::#variant)
            }
        };
        let method = Ident::new(&word.to_string(), at);
        Some(quote_spanned!(at=> .#method(#value)))
    }

    fn on_running(&self) -> Option<TokenStream> {
        let krate = &self.krate;
        let chosen = self.args.on_running.as_ref()?;
        let variant = Ident::new(chosen.variant, mixed(chosen.word.span()));
        Some(quote!(.on_running(#krate::__private::OnRunning::#variant)))
    }

    /// What is computed for each call, and what changes the builder's type.
    fn options(&self) -> TokenStream {
        let args = self.args;
        let krate = &self.krate;
        let mut options = TokenStream::new();
        let mut add = |method: &str, value: TokenStream, at: Span| {
            let method = Ident::new(method, at);
            options.extend(quote_spanned!(at=> .#method(#value)));
        };
        let at = |expression: &Expr| mixed(syn::spanned::Spanned::span(expression));
        if let Some(store) = &args.store {
            add("store", store.to_token_stream(), at(store));
        }
        if let Some(scope) = &args.scope {
            let at = at(scope);
            add("scope", quote_spanned!(at=> &(#scope)), at);
        }
        for setting in &args.settings {
            if let Value::Computed(value) = &setting.value {
                add(&setting.word.to_string(), value.to_token_stream(), at(value));
            }
        }
        for (method, chosen, default) in
            [("on_duplicate", &args.on_duplicate, "Replay"), ("on_cancel", &args.on_cancel, "Interrupt")]
        {
            if let Some(chosen) = chosen.as_ref().filter(|chosen| chosen.variant != default) {
                let at = mixed(chosen.word.span());
                let (module, variant) = (Ident::new(method, at), Ident::new(chosen.variant, at));
                add(method, quote_spanned!(at=> #krate::__private::#module::#variant), at);
            }
        }
        if let Some(on_error) = &args.on_error {
            let at = mixed(on_error.word.span());
            let value = match &on_error.kind {
                ErrorKind::Release => None,
                ErrorKind::Interrupt => Some(quote_spanned!(at=> Interrupt)),
                ErrorKind::Store => Some(quote_spanned!(at=> Store)),
                ErrorKind::With(path) => Some(quote_spanned!(at=> With(#path))),
                ErrorKind::StoreOr(path) => Some(quote_spanned!(at=> StoreOr(#path))),
            };
            if let Some(value) = value {
                let value = quote_spanned!(at=> #krate::__private::on_error::#value);
                add("on_error", value, at);
            }
        }
        if let Some(error) = &args.error {
            add("error", error.to_token_stream(), at(error));
        }
        fragments::bracketed_within(options)
    }

    fn key(&self) -> TokenStream {
        let Some(key) = &self.args.key else {
            return TokenStream::new();
        };
        let text = &self.plan.text;
        let values = key.iter().map(|expression| {
            let at = mixed(syn::spanned::Spanned::span(expression));
            let value = match crate::expression::bare(expression) {
                Expr::Path(path) => path.to_token_stream(),
                _ => {
                    let expression = fragments::bracketed_within(expression.to_token_stream());
                    quote_spanned!(at=> (#expression))
                }
            };
            let end = expression.to_token_stream().into_iter().last();
            let end = end.map_or(at, |token| mixed(token.span()));
            let value = part(at, end, value);
            quote_spanned!(at=> .arg(#value))
        });
        quote_spanned!(Span::mixed_site()=> #(#values)* .key(#text))
    }

    /// Patterns are taken apart where plain arguments would be known by their names.
    fn patterns(&self) -> TokenStream {
        let arguments = self.function.arguments.iter();
        arguments
            .filter_map(|Argument { pattern, value, span, .. }| {
                let pattern = pattern.as_ref().filter(|pattern| !is_wild(pattern))?;
                Some(quote_spanned!(mixed(*span)=> let #pattern = #value;))
            })
            .collect()
    }

    /// What stands in front of the body, inside.
    fn unpack(&self) -> TokenStream {
        let patterns = if self.plan.key_takes_apart { TokenStream::new() } else { self.patterns() };
        let held = self.held();
        quote!(#held #patterns)
    }

    /// Where the body outlives the caller, its arguments have to as well, also those that it never
    /// names: a permit, a guard.
    fn held(&self) -> TokenStream {
        if self.args.finishes().is_none() {
            return TokenStream::new();
        }
        let mut held: Vec<Ident> = Vec::new();
        if let Some(receiver) = self.function.receiver() {
            let by_reference = match &receiver.kind {
                syn::ReceiverKind::Reference(..) => true,
                syn::ReceiverKind::Typed(_, ty) => {
                    matches!(crate::function::peel(ty), Type::Reference(_))
                }
                _ => false,
            };
            if !by_reference {
                held.push(receiver.self_token.into());
            }
        }
        for argument in &self.function.arguments {
            if argument.is_reference {
                continue;
            }
            if self.plan.key_takes_apart && argument.pattern.is_some() {
                held.extend(argument.names.iter().cloned());
            } else {
                held.push(argument.value.clone());
            }
        }
        let allow = allow_underscores(&held);
        quote_spanned!(Span::mixed_site()=> #(#allow let _ = &#held;)*)
    }

    /// Runs an `async` body. The `return` that never happens tells the compiler the body's type
    /// where it is needed first, so that the same coercions work in it as without the attribute.
    fn run(&self, at: Span, output: &Type, unpack: &TokenStream, body: &TokenStream) -> TokenStream {
        quote_spanned! {at=>
            __call.run::<#output, _>(async move {
                if let ::core::option::Option::Some(__output) = ::core::option::Option::None::<#output> {
                    return __output;
                }
                #unpack
                #body
            }).await
        }
    }
}

/// The user's names are used here even where an underscore says that the body does not.
fn allow_underscores<'a>(names: impl IntoIterator<Item = &'a Ident>) -> Option<TokenStream> {
    names
        .into_iter()
        .any(|name| name.to_string().starts_with('_'))
        .then(|| quote!(#[allow(clippy::used_underscore_binding)]))
}

fn is_wild(pattern: &syn::Pat) -> bool {
    matches!(pattern, syn::Pat::Wild(_))
}

/// A value on its way into the token, seen by what refuses types without a fixed order.
fn part(at: Span, end: Span, value: TokenStream) -> TokenStream {
    // All of it stands where the user's tokens stand, from the first to the last of them.
    let mut inner = Group::new(Delimiter::Parenthesis, quote_spanned!(at=> &#value));
    inner.set_span(at);
    let mut tokens = quote_spanned!(at=> __Probe);
    tokens.extend([TokenTree::Group(inner)]);
    tokens.extend(quote_spanned!(end=> .idem_part()));
    tokens
}
