//! What a `macro_rules!` put in the place of `$a` stands in a group without delimiters. Tokens that an attribute puts
//! together again lose such groups: of `$a * 2` and `1 + 2` the compiler makes `1 + 2 * 2`. So there they get brackets.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use syn::Expr;

use crate::depth;

/// The same tokens, with brackets around fragments that need them: not in what stands in brackets itself, which the
/// compiler gets as it came.
pub(crate) fn bracketed(tokens: impl IntoIterator<Item = TokenTree>) -> TokenStream {
    let bracket = |token| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::None && is_operation(group.stream()) => {
            around(&group, group.stream())
        }
        token => token,
    };
    tokens.into_iter().map(bracket).collect()
}

/// The same for tokens that were read, and of which nothing is as it came.
pub(crate) fn bracketed_within(tokens: TokenStream) -> TokenStream {
    if !has_fragments(tokens.clone()) {
        return tokens;
    }
    let within = |token| match token {
        TokenTree::Group(group) => {
            let inner = bracketed_within(group.stream());
            if group.delimiter() == Delimiter::None && is_operation(group.stream()) {
                around(&group, inner)
            } else {
                let mut again = Group::new(group.delimiter(), inner);
                again.set_span(group.span());
                again.into()
            }
        }
        token => token,
    };
    tokens.into_iter().map(within).collect()
}

fn around(group: &Group, inner: TokenStream) -> TokenTree {
    let mut brackets = Group::new(Delimiter::Parenthesis, inner);
    // No lint has to look for them.
    brackets.set_span(group.span().resolved_at(Span::mixed_site()));
    brackets.into()
}

fn has_fragments(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::None || has_fragments(group.stream()),
        _ => false,
    })
}

/// Would what comes before or behind this take a part of it? The body of a function is not looked at before, so it
/// may nest more deeply than can be read.
fn is_operation(tokens: TokenStream) -> bool {
    fn is(expression: &Expr) -> bool {
        match expression {
            Expr::Group(group) => is(&group.expr),
            Expr::Assign(_)
            | Expr::Binary(_)
            | Expr::Cast(_)
            | Expr::Closure(_)
            | Expr::Range(_)
            | Expr::Reference(_)
            | Expr::Unary(_) => true,
            _ => false,
        }
    }
    depth::too_deep(tokens.clone(), true).is_some() || syn::parse2(tokens).is_ok_and(|read| is(&read))
}

#[cfg(test)]
mod tests {
    use super::{bracketed, bracketed_within};
    use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

    fn tokens(source: &str) -> TokenStream {
        source.parse().expect("tokens")
    }

    /// Puts this in the place of every `a`.
    fn with(source: TokenStream, fragment: &str) -> TokenStream {
        let put = |token| match token {
            TokenTree::Ident(word) if word == "a" => Group::new(Delimiter::None, tokens(fragment)).into(),
            TokenTree::Group(group) => Group::new(group.delimiter(), with(group.stream(), fragment)).into(),
            token => token,
        };
        source.into_iter().map(put).collect()
    }

    #[test]
    fn operations_get_brackets() {
        let deep = format!("{}b", "!".repeat(2000));
        for operation in ["1 + 2", "-1", "!b", "&b", "b as u8", "1..2", "|b| b", "b = 1", "b += 1", &deep] {
            let out = bracketed(with(tokens("{ a } a * 2"), operation));
            let left = with(tokens("{ a }"), operation);
            assert_eq!(out.to_string(), format!("{left} {}", tokens(&format!("({operation}) * 2"))));
            let out = bracketed_within(with(tokens("f(a, [a.b]) * 2"), operation));
            let wanted = tokens(&format!("f(({operation}), [({operation}).b]) * 2"));
            assert_eq!(out.to_string(), wanted.to_string());
        }
    }

    #[test]
    fn operations_in_fragments_of_fragments_get_brackets() {
        let once = with(tokens("a"), "1 + 2");
        let twice: TokenStream = TokenTree::from(Group::new(Delimiter::None, once)).into();
        for out in [bracketed(twice.clone()), bracketed_within(twice)] {
            assert!(out.to_string().starts_with('('), "{out}");
        }
    }

    #[test]
    fn other_fragments_stay() {
        for other in ["b", "b.c", "f(b)", "{ b }", "1", "Vec<u8>", "if b { c } else { d }", "let b = 1", ""] {
            let source = with(tokens("a a"), other);
            assert_eq!(bracketed(source.clone()).to_string(), source.to_string());
            assert_eq!(bracketed_within(source.clone()).to_string(), source.to_string());
        }
    }
}
