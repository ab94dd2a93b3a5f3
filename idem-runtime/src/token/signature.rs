//! The signature text: the path of a function, its arguments, and its concrete types.
//!
//! The path comes from the type name of a closure in the function, which names the type, the trait and all
//! concrete types (`<u8 as shop::Orders>::buy::{{closure}}`, `shop::charge<u32, 3>::{{closure}}`).

/// The path of the function that a closure stands in, and that function's own concrete types (`<u32, 3>`, or
/// nothing).
pub(crate) fn of_closure(type_name: &str) -> (&str, &str) {
    let mut path = type_name;
    while let Some(outer) = path.strip_suffix("::{{closure}}") {
        path = outer;
    }
    if !path.ends_with('>') {
        return (path, "");
    }
    let mut depth = 0_usize;
    let bytes = path.as_bytes();
    // A constant of type `char`.
    let is_quoted = |at: usize| at > 0 && bytes[at - 1] == b'\'' && bytes.get(at + 1) == Some(&b'\'');
    for at in (0..bytes.len()).rev() {
        match bytes[at] {
            b'<' | b'>' if is_quoted(at) => {}
            // The arrow of a function type closes nothing.
            b'>' if at == 0 || bytes[at - 1] != b'-' => depth += 1,
            b'<' => {
                depth -= 1;
                if depth == 0 {
                    let (path, types) = path.split_at(at);
                    return (path.strip_suffix("::").unwrap_or(path), types);
                }
            }
            _ => {}
        }
    }
    (path, "")
}

/// The concrete types of the type that a method belongs to: `<u16>` of `a::Foo<u16>::make`. Of a method of a trait,
/// whose path begins with `<`, it cannot be told whether its type is a generic one.
pub(crate) fn of_type(path: &str) -> &str {
    match (path.find('<'), path.rfind(">::")) {
        (Some(from @ 1..), Some(to)) if from < to => &path[from..=to],
        _ => "",
    }
}

/// The name of one argument in a text such as `(order_id: Uuid, amount: u64)`, or one expression of a key.
pub(crate) fn argument(what: &str, position: usize) -> Option<&str> {
    let what = what.strip_prefix("key").unwrap_or(what);
    let inner = what.strip_prefix('(')?.strip_suffix(')')?;
    let mut depth = 0_usize;
    let mut start = 0;
    let mut pieces = Vec::new();
    let bytes = inner.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'(' | b'[' | b'{' | b'<' => depth += 1,
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b')' | b']' | b'}' | b'>' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                pieces.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&inner[start..]);
    let piece = pieces.get(position)?.trim();
    let name = piece.split_once(": ").map_or(piece, |(name, _)| name);
    (!name.is_empty() && name != "_").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::{argument, of_closure, of_type};

    #[test]
    fn the_path_is_what_stands_before_the_closures() {
        assert_eq!(of_closure("a::asy::{{closure}}::{{closure}}"), ("a::asy", ""));
        assert_eq!(of_closure("<u8 as a::Shop>::buy::{{closure}}"), ("<u8 as a::Shop>::buy", ""));
        assert_eq!(
            of_closure("a::outer::{{closure}}::inner::{{closure}}"),
            ("a::outer::{{closure}}::inner", "")
        );
    }

    #[test]
    fn concrete_types_go_to_the_end() {
        assert_eq!(of_closure("a::gen<u64, 3>::{{closure}}"), ("a::gen", "<u64, 3>"));
        assert_eq!(of_closure("a::f<fn(u8) -> u8>::{{closure}}"), ("a::f", "<fn(u8) -> u8>"));
        assert_eq!(of_closure("a::f<'<'>::{{closure}}"), ("a::f", "<'<'>"));
        assert_eq!(of_closure("a::f<u8, '>'>::{{closure}}"), ("a::f", "<u8, '>'>"));
        assert_eq!(
            of_closure("a::f<dyn for<'a> core::ops::Fn(&'a u8)>::{{closure}}"),
            ("a::f", "<dyn for<'a> core::ops::Fn(&'a u8)>")
        );
        assert_eq!(of_closure("a::Foo<u16>::make::{{closure}}"), ("a::Foo<u16>::make", ""));
        assert_eq!(
            of_closure("a::Foo<u16>::put<alloc::vec::Vec<u8>>::{{closure}}").1,
            "<alloc::vec::Vec<u8>>"
        );
    }

    #[test]
    fn the_types_of_a_type_are_known() {
        assert_eq!(of_type("a::Foo<u16>::make"), "<u16>");
        assert_eq!(of_type("a::Foo<alloc::vec::Vec<u8>>::make"), "<alloc::vec::Vec<u8>>");
        assert_eq!(of_type("<u8 as a::Shop>::buy"), "");
        assert_eq!(of_type("a::make"), "");
    }

    #[test]
    fn arguments_are_named_by_their_position() {
        let what = "(map: HashMap<u8, u16>, f: fn(u8) -> u8, _: (u8, u8))";
        assert_eq!(argument(what, 0), Some("map"));
        assert_eq!(argument(what, 1), Some("f"));
        assert_eq!(argument(what, 2), None);
        assert_eq!(argument("(f: Box<fn(u8) -> u8, A>, n: u8)", 1), Some("n"));
        assert_eq!(argument("key(order.id, self.id)", 1), Some("self.id"));
    }
}
