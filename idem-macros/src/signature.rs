//! The text of types and key expressions: one spelling for all ways to write the same tokens.
//!
//! `TokenStream::to_string` is no normal form: it changes with formatting, between compilers, and
//! with the way the tokens came here (as written, through `macro_rules!`, through another
//! attribute). This text becomes part of the token, so it has a printer of its own. Groups without
//! delimiters are taken apart, lifetimes and trailing commas left out, and the spacing is fixed.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// The text of a type.
pub(crate) fn of_type(tokens: TokenStream) -> String {
    print(tokens, true)
}

/// The text of an expression.
pub(crate) fn of_expression(tokens: TokenStream) -> String {
    print(tokens, false)
}

fn print(tokens: TokenStream, types: bool) -> String {
    let mut pieces = Vec::new();
    read(tokens, &mut pieces);
    let mut printer = Printer { out: String::new(), after: After::Tight };
    printer.list(&drop_lifetimes(pieces), types);
    printer.out
}

#[derive(Debug)]
enum Piece {
    /// An identifier, a keyword or a literal.
    Word(String),
    /// A character of an operator, and whether the next one follows it without a gap.
    Mark(char, bool),
    Lifetime,
    Group(Delimiter, Vec<Piece>),
}

impl Piece {
    fn is(&self, mark: char) -> bool {
        matches!(self, Piece::Mark(own, _) if *own == mark)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self, Piece::Word(own) if own == word)
    }
}

fn read(tokens: TokenStream, pieces: &mut Vec<Piece>) {
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
                read(group.stream(), pieces);
            }
            TokenTree::Group(group) => {
                let mut inner = Vec::new();
                read(group.stream(), &mut inner);
                pieces.push(Piece::Group(group.delimiter(), drop_lifetimes(inner)));
            }
            TokenTree::Punct(mark) if mark.as_char() == '\'' => {
                tokens.next();
                pieces.push(Piece::Lifetime);
            }
            TokenTree::Punct(mark) => {
                pieces.push(Piece::Mark(mark.as_char(), mark.spacing() == Spacing::Joint))
            }
            TokenTree::Ident(word) => pieces.push(Piece::Word(word.to_string())),
            TokenTree::Literal(word) => pieces.push(Piece::Word(word.to_string())),
        }
    }
}

/// Takes the lifetimes out, and with them what only stood there for them: a comma, a `+`, an empty
/// `<>`, a `for<>`.
fn drop_lifetimes(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut kept: Vec<Piece> = Vec::with_capacity(pieces.len());
    let mut pieces = pieces.into_iter().peekable();
    while let Some(piece) = pieces.next() {
        match piece {
            Piece::Lifetime => {
                let before = kept.last();
                if pieces.peek().is_some_and(|next| next.is(',')) {
                    pieces.next();
                } else if before.is_some_and(|last| last.is('+') || last.is(',')) {
                    kept.pop();
                } else if pieces.peek().is_some_and(|next| next.is('+') || next.is(':')) {
                    pieces.next();
                } else if before.is_some_and(|last| last.is(':')) {
                    kept.pop();
                }
            }
            Piece::Mark('>', _) if kept.last().is_some_and(|last| last.is('<')) => {
                kept.pop();
                if kept.last().is_some_and(|last| last.is_word("for")) {
                    kept.pop();
                } else if ends_in_path_mark(&kept) {
                    kept.truncate(kept.len() - 2);
                }
            }
            // After the last argument of `<…>` a comma says nothing.
            Piece::Mark('>', _) if kept.last().is_some_and(|last| last.is(',')) => {
                kept.pop();
                kept.push(piece);
            }
            piece => kept.push(piece),
        }
    }
    kept
}

fn ends_in_path_mark(pieces: &[Piece]) -> bool {
    matches!(pieces, [.., Piece::Mark(':', true), Piece::Mark(':', _)])
}

/// What was printed last, as far as the next token's spacing depends on it.
#[derive(Clone, Copy, PartialEq)]
enum After {
    /// The beginning, an opening delimiter, a prefix operator, `::`, `.`: nothing comes between.
    Tight,
    /// The end of a value or a type: what follows is a binary operator, an index, a call.
    Operand,
    /// A keyword that something follows.
    Keyword,
    /// A binary operator, a comma, a colon.
    Loose,
}

struct Printer {
    out: String,
    after: After,
}

impl Printer {
    fn list(&mut self, pieces: &[Piece], types: bool) {
        // How many `<` are open, whether `as` was read and a type is expected, and whether the
        // parameters of a closure are being read.
        let mut open = 0_usize;
        let mut cast = false;
        let mut parameters = false;
        let mut at = 0;
        while let Some(piece) = pieces.get(at) {
            at += 1;
            match piece {
                Piece::Word(word) => {
                    cast = word == "as" || cast && !is_keyword(word);
                    self.word(word);
                }
                Piece::Group(delimiter, inner) => {
                    cast = false;
                    let types = (types || open > 0) && *delimiter != Delimiter::Brace;
                    let called = at >= 2 && pieces[at - 2].is('!');
                    self.group(*delimiter, inner, types, called);
                }
                Piece::Mark('<', _) if types || open > 0 || cast || self.opens_path() => {
                    open += 1;
                    if self.after != After::Operand {
                        self.gap();
                    }
                    self.tight("<");
                }
                Piece::Mark('>', _) if open > 0 => {
                    open -= 1;
                    self.out.push('>');
                    self.after = After::Operand;
                }
                Piece::Mark('|', _) if parameters => {
                    parameters = false;
                    self.out.push('|');
                    self.after = After::Loose;
                }
                Piece::Mark(mark, _) => {
                    let operator = operator(&pieces[at - 1..]);
                    at += operator.len().saturating_sub(1);
                    cast = cast && operator == "::";
                    if operator.is_empty() {
                        self.operator(mark.encode_utf8(&mut [0; 4]));
                    } else {
                        parameters = operator == "|" && self.after != After::Operand;
                        self.operator(operator);
                    }
                }
                Piece::Lifetime => {}
            }
        }
    }

    /// Does a `<` here open a list of types, although an expression is being printed?
    fn opens_path(&self) -> bool {
        self.out.ends_with("::") || self.after != After::Operand
    }

    fn word(&mut self, word: &str) {
        if self.after != After::Tight {
            self.out.push(' ');
        }
        self.out.push_str(word);
        self.after = if is_keyword(word) { After::Keyword } else { After::Operand };
    }

    fn group(&mut self, delimiter: Delimiter, inner: &[Piece], types: bool, called: bool) {
        let (begin, end) = match delimiter {
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::Parenthesis | Delimiter::None => ("(", ")"),
        };
        let braces = delimiter == Delimiter::Brace && !inner.is_empty();
        let tuple = delimiter == Delimiter::Parenthesis && !called && self.after != After::Operand;
        let own_line = delimiter == Delimiter::Brace && !called && self.after == After::Operand;
        if own_line || (!self.out.ends_with("fn") && !called) {
            if own_line {
                self.out.push(' ');
            } else {
                self.gap();
            }
        }
        self.out.push_str(begin);
        if braces {
            self.out.push(' ');
        }
        self.after = After::Tight;
        match inner {
            // `(u8,)` is a tuple and `(u8)` is not: there the comma counts.
            [rest @ .., Piece::Mark(',', _)] if !(tuple && lone(rest)) => self.list(rest, types),
            _ => self.list(inner, types),
        }
        if braces {
            self.out.push(' ');
        } else if self.out.ends_with(", ") || self.out.ends_with(',') {
            self.out.truncate(self.out.trim_end().len());
        }
        self.out.push_str(end);
        self.after = After::Operand;
    }

    fn operator(&mut self, operator: &str) {
        match operator {
            "::" => {
                if self.after != After::Operand {
                    self.gap();
                }
                self.tight("::");
            }
            "." | ".." | "..=" | "..." => {
                if self.after != After::Operand {
                    self.gap();
                }
                self.tight(operator);
            }
            "," | ";" | ":" => {
                self.out.push_str(operator);
                self.after = After::Loose;
            }
            "?" if self.after == After::Operand => self.out.push('?'),
            // The `!` of a macro's call.
            "!" if self.after == After::Operand => self.tight("!"),
            _ if self.after == After::Operand || binary_only(operator) => {
                if self.after != After::Tight {
                    self.out.push(' ');
                }
                self.out.push_str(operator);
                self.after = After::Loose;
            }
            "||" => {
                self.gap();
                self.out.push_str("||");
                self.after = After::Loose;
            }
            _ => {
                self.gap();
                self.tight(operator);
            }
        }
    }

    /// The space before something that begins a value.
    fn gap(&mut self) {
        if matches!(self.after, After::Keyword | After::Loose) {
            self.out.push(' ');
        }
    }

    fn tight(&mut self, text: &str) {
        self.out.push_str(text);
        self.after = After::Tight;
    }
}

/// The operator of several characters that begins here; none if it is of one.
fn operator(pieces: &[Piece]) -> &'static str {
    const LONG: [&str; 24] = [
        "<<=", ">>=", "...", "..=", "::", "->", "=>", "==", "!=", "<=", ">=", "&&", "||", "..", "+=", "-=",
        "*=", "/=", "%=", "^=", "&=", "|=", "<<", ">>",
    ];
    LONG.into_iter()
        .chain(["|"])
        .find(|long| {
            let last = long.len() - 1;
            long.chars().enumerate().all(|(at, wanted)| {
                matches!(
                    pieces.get(at),
                    Some(Piece::Mark(own, joint)) if *own == wanted && (at == last || *joint)
                )
            })
        })
        .unwrap_or("")
}

fn binary_only(operator: &str) -> bool {
    !matches!(operator, "&" | "&&" | "*" | "-" | "!" | "|" | "||" | "?" | "#" | "<")
}

/// Is this a list of one element?
fn lone(pieces: &[Piece]) -> bool {
    let mut open = 0_i32;
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Mark('<', _) => open += 1,
            Piece::Mark('>', _) if at > 0 && pieces[at - 1].is('-') => {}
            Piece::Mark('>', _) => open -= 1,
            Piece::Mark(',', _) if open <= 0 => return false,
            _ => {}
        }
    }
    true
}

fn is_keyword(word: &str) -> bool {
    matches!(
        word,
        "as" | "async"
            | "break"
            | "const"
            | "dyn"
            | "else"
            | "extern"
            | "fn"
            | "for"
            | "if"
            | "impl"
            | "in"
            | "let"
            | "loop"
            | "match"
            | "move"
            | "mut"
            | "ref"
            | "return"
            | "static"
            | "unsafe"
            | "where"
            | "while"
    )
}

#[cfg(test)]
mod tests;
