//! How deep tokens nest: what reads them calls itself for each level, and must not overflow the compiler's stack.

use proc_macro2::{Delimiter, Spacing, Span, TokenStream, TokenTree};

/// So many tokens may stand within one another or in front of one another: whatever they are, a debug build of this
/// reads them on half of the compiler's stack of 8 MiB.
const MOST: usize = 128;

/// Where tokens nest too deeply to be read, if they do.
///
/// Each token counts as a level until a comma or semicolon ends what it stands in: `!!!a` is one within another, and so
/// is `A<A<A<B>>>`. Attributes are passed over: they are not read.
pub(crate) fn too_deep(tokens: TokenStream, body_is_read: bool) -> Option<Span> {
    let mut open = vec![Level::new(tokens, 0, body_is_read)];
    while let Some(level) = open.last_mut() {
        let Some(token) = level.tokens.next() else {
            open.pop();
            continue;
        };
        level.depth += 1;
        if level.depth > MOST {
            return Some(token.span());
        }
        match token {
            TokenTree::Group(group) => {
                let attribute = level.after_hash && group.delimiter() == Delimiter::Bracket;
                let body = !level.braces && group.delimiter() == Delimiter::Brace;
                level.after_hash = false;
                if attribute {
                    level.depth -= 2;
                } else if !body {
                    let depth = level.depth;
                    open.push(Level::new(group.stream(), depth, true));
                }
            }
            TokenTree::Punct(punct) => {
                let arrow = level.arrow && punct.as_char() == '>';
                level.after_hash = punct.as_char() == '#';
                level.arrow = punct.spacing() == Spacing::Joint && matches!(punct.as_char(), '-' | '=');
                match punct.as_char() {
                    ',' | ';' => level.depth = level.angles.last().copied().unwrap_or(level.begins_at),
                    '<' => level.angles.push(level.depth),
                    '>' if !arrow => {
                        if let Some(depth) = level.angles.pop() {
                            level.depth = depth;
                        }
                    }
                    _ => {}
                }
            }
            TokenTree::Ident(_) | TokenTree::Literal(_) => level.after_hash = false,
        }
    }
    None
}

/// What stands in one pair of brackets.
struct Level {
    tokens: proc_macro2::token_stream::IntoIter,
    begins_at: usize,
    depth: usize,
    /// The depths at which angle brackets were opened.
    angles: Vec<usize>,
    after_hash: bool,
    /// Whether this may be the beginning of `->` or `=>`.
    arrow: bool,
    /// Whether what stands in braces is looked at.
    braces: bool,
}

impl Level {
    fn new(tokens: TokenStream, depth: usize, braces: bool) -> Self {
        Level {
            tokens: tokens.into_iter(),
            begins_at: depth,
            depth,
            angles: Vec::new(),
            after_hash: false,
            arrow: false,
            braces,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, too_deep};

    fn deep(source: &str) -> bool {
        let tokens = source.parse().expect("tokens");
        too_deep(tokens, true).is_some()
    }

    #[test]
    fn so_deep_and_no_deeper() {
        assert!(!deep(&"!".repeat(MOST)));
        assert!(deep(&"!".repeat(MOST + 1)));
        assert!(!deep(&format!("{}{}", "[".repeat(MOST), "]".repeat(MOST))));
        assert!(deep(&format!("{}{}", "[".repeat(MOST + 1), "]".repeat(MOST + 1))));
    }

    #[test]
    fn attributes_are_passed_over_wherever_they_stand() {
        let (most, more) = ("!".repeat(MOST - 2), "!".repeat(2));
        assert!(!deep(&format!("{most} #[a] #[b] {more}")));
        assert!(deep(&format!("{most} #[a] #[b] {more}!")));
    }

    #[test]
    fn what_an_angle_bracket_opened_goes_on_behind_commas_and_arrows() {
        for (front, tokens) in [("A<", 2), ("A<B, ", 2), ("A<fn() -> ", 6), ("A<B<C>, ", 2)] {
            let nested = |times: usize| format!("{}B", front.repeat(times));
            assert!(!deep(&nested((MOST - 4) / tokens)), "{front}");
            assert!(deep(&nested(MOST / tokens + 1)), "{front}");
        }
        assert!(!deep(&"A<B<C>>, ".repeat(MOST)));
        assert!(!deep(&"fn() -> A, ".repeat(MOST)));
    }
}
