//! What an expression between the brackets says, as far as it can be told without its types: which
//! arguments it names, and whether it would leave the function.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use syn::{Expr, UnOp};

/// Takes groups without delimiters and brackets off.
pub(crate) fn bare(expression: &Expr) -> &Expr {
    match expression {
        Expr::Group(group) => bare(&group.expr),
        Expr::Paren(paren) => bare(&paren.expr),
        expression => expression,
    }
}

/// The name, if the expression is one name and nothing else than references to it.
pub(crate) fn whole(expression: &Expr) -> Option<&Ident> {
    match bare(expression) {
        Expr::Path(path) if path.qself.is_none() => path.path.get_ident(),
        Expr::Reference(reference) => whole(&reference.expr),
        Expr::Unary(unary) if matches!(unary.op, UnOp::Deref(_)) => whole(&unary.expr),
        _ => None,
    }
}

/// Does the expression use this name as a value? In doubt it does: a field of the same name in a
/// struct literal counts, and so does a name in the text of a macro (`format!("{order}")`).
pub(crate) fn mentions(tokens: TokenStream, name: &Ident) -> bool {
    let mut after_dot = false;
    let mut dots = 0;
    for token in tokens {
        match &token {
            TokenTree::Ident(word) if word == name && !after_dot => return true,
            TokenTree::Group(group) if mentions(group.stream(), name) => return true,
            TokenTree::Literal(text) if captures(&text.to_string(), &name.to_string()) => {
                return true;
            }
            _ => {}
        }
        // `a..b` names b, `a.b` does not.
        dots = match &token {
            TokenTree::Punct(mark) if mark.as_char() == '.' => dots + 1,
            _ => 0,
        };
        after_dot = dots == 1;
    }
    false
}

/// Does a format string take this name, as in `"{name}"` or `"{name:?}"`?
fn captures(literal: &str, name: &str) -> bool {
    literal.contains('"')
        && literal
            .split('{')
            .skip(1)
            .any(|rest| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with(['}', ':'])))
}

/// The first token by which the expression would leave the function that it stands in: `?`,
/// `return` or `.await`, outside closures and `async` blocks.
pub(crate) fn leaves(tokens: TokenStream) -> Option<(Span, &'static str)> {
    let mut tokens = tokens.into_iter().peekable();
    // What came before, as far as it tells a closure's `|` from the operator, and `.await` from a
    // name.
    let mut operand = false;
    let mut dot = false;
    let mut in_async = false;
    while let Some(token) = tokens.next() {
        let was_dot = std::mem::take(&mut dot);
        let was_async = std::mem::take(&mut in_async);
        match token {
            TokenTree::Ident(word) if word == "await" && was_dot => {
                return Some((word.span(), ".await"));
            }
            TokenTree::Ident(word) if word == "return" => return Some((word.span(), "return")),
            TokenTree::Ident(word) => {
                in_async = word == "async" || was_async && word == "move";
                operand =
                    !(word == "move" || word == "async" || word == "in" || word == "else" || word == "dyn");
            }
            TokenTree::Literal(_) => operand = true,
            TokenTree::Group(group) => {
                let own_block = was_async && group.delimiter() == Delimiter::Brace;
                operand = true;
                if own_block {
                    continue;
                }
                let found = leaves(group.stream());
                if found.is_some() {
                    return found;
                }
            }
            TokenTree::Punct(mark) => match mark.as_char() {
                '?' if operand => return Some((mark.span(), "?")),
                '|' if !operand => {
                    // A closure: it ends with the argument, or with the group.
                    let is_end = |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if matches!(mark.as_char(), ',' | ';'));
                    // Its parameters can have commas of their own.
                    for parameter in tokens.by_ref() {
                        if matches!(&parameter, TokenTree::Punct(mark) if mark.as_char() == '|') {
                            break;
                        }
                    }
                    while tokens.next_if(|token| !is_end(token)).is_some() {}
                    operand = true;
                }
                '|' => {
                    // The second half of `||`.
                    tokens.next_if(|next| matches!(next, TokenTree::Punct(mark) if mark.as_char() == '|'));
                    operand = false;
                }
                character => {
                    dot = character == '.';
                    operand = character == '?';
                }
            },
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{leaves, mentions, whole};
    use proc_macro2::{Ident, Span, TokenStream};

    fn tokens(source: &str) -> TokenStream {
        source.parse().expect("tokens")
    }

    #[test]
    fn a_whole_argument_is_its_name_and_references_to_it() {
        for (source, name) in [
            ("order", Some("order")),
            ("&order", Some("order")),
            ("(*order)", Some("order")),
            ("&mut *order", Some("order")),
            ("self", Some("self")),
            ("order.id", None),
            ("order.clone()", None),
            ("orders::ORDER", None),
            ("-order", None),
        ] {
            let expression = syn::parse_str(source).expect("an expression");
            let found = whole(&expression).map(ToString::to_string);
            assert_eq!(found.as_deref(), name, "{source}");
        }
    }

    #[test]
    fn fields_and_methods_are_not_mentioned() {
        let order = Ident::new("order", Span::call_site());
        for (source, mentioned) in [
            ("order", true),
            ("order.id", true),
            ("f(1, &order)", true),
            ("self.order", false),
            ("0..order", true),
            ("x.order()", false),
            ("format!(\"{order}\")", true),
            ("format!(\"{order:?} and {}\", x)", true),
            ("format!(\"{orders}\")", false),
            ("'{'", false),
            ("orders", false),
        ] {
            assert_eq!(mentions(tokens(source), &order), mentioned, "{source}");
        }
    }

    #[test]
    fn leaving_is_seen_outside_closures_only() {
        for (source, by) in [
            ("a.b", None),
            ("a?", Some("?")),
            ("f(a, b?)", Some("?")),
            ("{ return Ok(()) }", Some("return")),
            ("a.get().await", Some(".await")),
            ("a.map(|x| x?)", None),
            ("a.map(|x, y| { return x; })", None),
            ("f(|x| x?, b?)", Some("?")),
            ("f(a, |x| x?)", None),
            ("f(async |x| x.await?)", None),
            ("f(move |x| x, { b? })", Some("?")),
            ("f(async |x| x, { b? })", Some("?")),
            ("f(move || return 1)", None),
            ("f(|x| x?).b?", Some("?")),
            ("a | b?", Some("?")),
            ("a || b?", Some("?")),
            ("async { a.await? }", None),
            ("async move { a.await? }", None),
            ("await_all(a)", None),
            ("a::<dyn ?Sized>()", None),
            ("if a { b? } else { c }", Some("?")),
        ] {
            let found = leaves(tokens(source)).map(|(_, by)| by);
            assert_eq!(found, by, "{source}");
        }
    }
}
