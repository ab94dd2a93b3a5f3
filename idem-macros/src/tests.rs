use super::whole::{attribute, protected};
use proc_macro2::TokenStream;

fn tokens(source: &str) -> TokenStream {
    source.parse().expect("tokens")
}

/// What the attribute writes, one space between tokens.
fn expanded(args: &str, item: &str) -> String {
    match protected(tokens(args), tokens(item)) {
        Ok(expanded) => expanded.to_string(),
        Err(why) => panic!("{args} on {item}: {why}"),
    }
}

fn refused(args: &str, item: &str) -> Vec<String> {
    match protected(tokens(args), tokens(item)) {
        Ok(_) => panic!("{args} on {item}: should have been refused"),
        Err(why) => why.into_iter().map(|one| one.to_string()).collect(),
    }
}

/// The text that the function's description is given.
fn text(args: &str, item: &str) -> String {
    let expanded = expanded(args, item);
    let (_, rest) = expanded.split_once(":: derived (\"").expect("a derived text");
    let (text, _) = rest.split_once("\" ,").expect("the text's end");
    text.replace("\\\"", "\"")
}

/// The expressions that make the token, in their order, and the names that are verified.
fn values(args: &str, item: &str) -> (Vec<String>, Vec<String>) {
    let expanded = expanded(args, item).replace(' ', "");
    let parts = expanded
        .split(".arg(__Probe(&")
        .skip(1)
        .map(|rest| rest.split(").idem_part()").next().unwrap_or_default().to_owned())
        .collect();
    let verified = expanded
        .split(".verify(\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap_or_default().to_owned())
        .collect();
    (parts, verified)
}

#[test]
fn the_text_is_the_same_however_the_function_is_written() {
    let plain = "async fn pay(&self, (a, b): (u64, u64), mut who: &str, tags: Vec<Tag<'_>>,) -> Result<(), E> { Ok(()) }";
    let boxed = "fn pay<'life0, 'life1, 'life2, 'async_trait>(&'life0 self, __arg1: (u64, u64,), who: &'life1 str, tags: Vec<Tag<'life2> >)
        -> ::core::pin::Pin<Box<dyn ::core::future::Future<Output = Result<(), E>> + ::core::marker::Send + 'async_trait>>
        where 'life0: 'async_trait { Box::pin(async move { let __self = self; let (a, b) = __arg1; Ok(()) }) }";
    for item in [plain, boxed] {
        assert_eq!(text("skip(self)", item), "(_: (u64, u64), who: &str, tags: Vec<Tag>)");
    }
}

#[test]
fn skipped_arguments_are_nowhere() {
    let item = "fn f(&self, a: u8, b: u8, c: u8) -> Result<(), E> { Ok(()) }";
    assert_eq!(text("skip(self, b)", item), "(a: u8, c: u8)");
    assert_eq!(values("skip(self, b)", item), (vec!["a".into(), "c".into()], vec![]));
    assert_eq!(text("skip(self, a, b, c)", item), "()");
}

#[test]
fn with_a_key_the_others_are_verified() {
    let item = "fn f(&self, a: u8, order: Order, (x, y): (u8, u8), d: u8) -> Result<(), E> { Ok(()) }";
    for (args, parts, verified) in [
        ("key(self.id, a)", &["(self.id)", "a"][..], &["order", "#3", "d"][..]),
        ("key(self, order.id, a)", &["self", "(order.id)", "a"], &["order", "#3", "d"]),
        ("key(&order, self.id), skip(d)", &["(&order)", "(self.id)"], &["a", "#3"]),
        ("key(order.id), skip(self, order, a)", &["(order.id)"], &["#3", "d"]),
        ("key(x, a), skip(self)", &["x", "a"], &["order", "#3", "d"]),
        ("key(y, x, a), skip(self)", &["y", "x", "a"], &["order", "d"]),
        ("key(a), skip(self, x, y)", &["a"], &["order", "d"]),
    ] {
        let (made, looked_at) = values(args, item);
        assert_eq!(made, parts, "{args}");
        assert_eq!(looked_at, verified, "{args}");
    }
    assert_eq!(text("key(self.id,order . id, a+1)", item), "(self.id, order.id, a + 1)");
}

#[test]
fn a_name_takes_the_place_of_the_path_only() {
    let item = "fn f(&self, a: u8) -> Result<(), E> { Ok(()) }";
    let named = expanded("name = \"orders.charge\", key(self.id, a)", item);
    assert!(named.contains("named (\"orders.charge\" , \"key(self.id, a)\""));
    assert!(named.contains(". key (\"self.id, a\")"));
    let named = expanded("name = \"orders.charge\", skip(self)", item);
    assert!(named.contains("named (\"orders.charge\" , \"(a: u8)\""));
}

#[test]
fn what_is_refused_is_still_there() {
    let item = "const fn f(a: u8) -> u8 { a }";
    let out = attribute(tokens("tll = 5"), tokens(item)).to_string();
    assert!(out.starts_with(&tokens(item).to_string()), "{out}");
    assert!(out.contains("compile_error"), "{out}");
}

#[test]
fn what_the_user_did_not_say_is_not_written() {
    let out = expanded("", "fn f() -> Result<(), E> { Ok(()) }");
    for part in ["on_duplicate", "on_error", "on_cancel", "ttl", "arg", "verify", "Probe", "allow"] {
        assert!(!out.contains(part), "{part} in {out}");
    }
    let out = expanded(
        "on_duplicate = replay, on_error = release, on_cancel = interrupt",
        "fn f() -> Result<(), E> { Ok(()) }",
    );
    for part in ["on_duplicate", "on_error", "on_cancel"] {
        assert!(!out.contains(part), "{part} in {out}");
    }
}

#[test]
fn what_the_user_said_is_written() {
    for (args, written) in [
        ("ttl = \"1h 1ms\"", ".ttl(::core::time::Duration::new(3600,1000000))"),
        ("lease = LEASE", ".lease(LEASE)"),
        ("wait = \"15s\"", ".wait(::core::time::Duration::new(15,0))"),
        ("max_run = limits::RUN", ".max_run(limits::RUN)"),
        ("max_attempts = 3", ".max_attempts(3)"),
        ("max_result = \"1 KiB\"", ".max_result(1024)"),
        ("record_arguments", ".record_arguments()"),
        ("on_running = wait", ".on_running(::idem::__private::OnRunning::Wait)"),
        ("on_running = reject", ".on_running(::idem::__private::OnRunning::Reject)"),
        ("on_interrupt = reject", ".on_interrupt(::idem::__private::OnInterrupt::Reject)"),
        ("on_store_error = run", ".on_store_error(::idem::__private::OnStoreError::Run)"),
        ("on_duplicate = reject", ".on_duplicate(::idem::__private::on_duplicate::Reject)"),
        ("on_cancel = finish", ".on_cancel(::idem::__private::on_cancel::Finish)"),
        ("on_error = interrupt", ".on_error(::idem::__private::on_error::Interrupt)"),
        ("on_error = store", ".on_error(::idem::__private::on_error::Store)"),
        ("on_error = with(judge)", ".on_error(::idem::__private::on_error::With(judge))"),
        ("on_error = store_or(judge)", ".on_error(::idem::__private::on_error::StoreOr(judge))"),
        ("error = refuse", ".error(refuse)"),
        ("scope = tenant", ".scope(&(tenant))"),
        ("store = &shop.store", ".store(&shop.store)"),
        ("crate = ::shop::idem", "let__call={::shop::idem::call("),
    ] {
        let out = expanded(args, "async fn f() -> Result<(), E> { Ok(()) }").replace(' ', "");
        assert_eq!(out.matches(written).count(), 1, "{args}: {out}");
    }
}

#[test]
fn the_body_is_passed_on_untouched() {
    let body = "s . ; let x = ) (";
    assert!(body.parse::<TokenStream>().is_err());
    let body = "s . ; let = 5 5 => \"x\"";
    let item = format!("async fn f(a: u8) -> Result<(), E> {{ #![allow(unused)] {body} }}");
    let out = expanded("", &item);
    assert!(out.contains(&tokens(body).to_string()), "{out}");
    assert!(out.contains("{ #! [allow (unused)]"), "{out}");
    assert_eq!(out.matches("unused").count(), 1, "{out}");
    // These are no attributes.
    let out = expanded("", "fn f(a: u8) -> Result<(), E> { !! [true] [0]; Ok(()) }");
    assert!(out.contains("-> Result < () , E > { !! [true] [0] ;"), "{out}");
}

#[test]
fn a_body_or_an_item_may_come_in_groups_without_delimiters() {
    use proc_macro2::{Delimiter, Group, TokenTree};
    let group = |source: &str| TokenTree::from(Group::new(Delimiter::None, tokens(source)));
    let mut item = tokens("fn f(a: u8) -> Result<(), E>");
    item.extend([group("{ Ok(()) }")]);
    protected(TokenStream::new(), item).expect("a body in a group");
    let item = group("fn f(a: u8) -> Result<(), E> { Ok(()) }").into();
    protected(TokenStream::new(), item).expect("an item in a group");
}

#[test]
fn mistakes_in_the_function_say_what_to_write() {
    for (args, item, part) in [
        ("", "struct S;", "goes on a function"),
        ("", "impl S { fn f() {} }", "goes on a function"),
        ("", "const X: u8 = 1;", "goes on a function"),
        ("", "{ fn f(a: u8) -> Result<(), E> { Ok(()) } }", "goes on a function"),
        ("", "default fn f(a: u8) -> Result<(), E> { Ok(()) }", "goes on a function"),
        ("", "fn f(a: u8) -> Result<(), E> ({ Ok(()) })", "expected the function's body"),
        ("", "fn f(a: u8) -> Result<(), E>;", "needs a body"),
        ("", "const fn f() -> Result<(), E> { Ok(()) }", "take `const` away"),
        ("", "extern \"C\" fn f() -> Result<(), E> { Ok(()) }", "other languages"),
        ("", "fn f() {}", "write `-> Result<(), idem::Error>`"),
        ("", "fn f() -> ! { loop {} }", "write `-> Result<(), idem::Error>`"),
        ("", "fn f() -> Result<impl Copy, E> { Ok(1) }", "in the place of `impl …`"),
        ("", "fn f() -> Result<(u8, impl Copy), E> { Ok((1, 1)) }", "in the place of `impl …`"),
        ("", "fn f(&self) -> Result<(), E> { Ok(()) }", "write `skip(self)`"),
        ("key(a)", "fn f(&self, a: u8) -> Result<(), E> { Ok(()) }", "write `skip(self)`"),
        ("skip(b)", "fn f(a: u8) -> Result<(), E> { Ok(()) }", "did you mean `a`?"),
        ("skip(database)", "fn f(a: u8, c: u8) -> Result<(), E> { Ok(()) }", "it has `a` and `c`"),
        ("skip(database)", "fn f(_: u8, c: u8) -> Result<(), E> { Ok(()) }", "it has `c`"),
        ("skip(self)", "fn f(a: u8) -> Result<(), E> { Ok(()) }", "no argument of this function"),
        ("skip(a, a)", "fn f(a: u8) -> Result<(), E> { Ok(()) }", "twice"),
        ("skip(a)", "fn f((a, b): (u8, u8)) -> Result<(), E> { Ok(()) }", "skip `b` too"),
        ("key(ordr.id)", "fn f(order: O) -> Result<(), E> { Ok(()) }", "did you mean `order`?"),
        ("key((1, ordr.id))", "fn f(order: O) -> Result<(), E> { Ok(()) }", "did you mean `order`?"),
        ("key(42)", "fn f(order: O) -> Result<(), E> { Ok(()) }", "names no argument"),
        ("key(a)", "fn f() -> Result<(), E> { Ok(()) }", "it has none"),
        ("key(a), skip(a)", "fn f(a: u8) -> Result<(), E> { Ok(()) }", "both in `key(…)`"),
        ("", "fn f() -> Result<&'static str, E> { Ok(\"\") }", "a result that borrows"),
        ("", "fn f() -> Result<(u8, &'static str), E> { Ok((1, \"\")) }", "a result that borrows"),
        ("on_error = store", "fn f() -> Result<u8, &'static str> { Ok(1) }", "a result that borrows"),
        ("on_duplicate = reject, on_error = store", "fn f() -> Result<u8, E> { Ok(1) }", "no result is kept"),
        ("on_running = reject, wait = \"1s\"", "fn f() -> Result<u8, E> { Ok(1) }", "nothing waits"),
        ("on_cancel = finish", "fn f() -> Result<u8, E> { Ok(1) }", "runs to its end"),
        ("", "fn f(#[cfg(x)] a: u8) -> Result<u8, E> { Ok(1) }", "one function for each case"),
        ("", "#[idem::idempotent] fn f(a: u8) -> Result<u8, E> { Ok(1) }", "given twice"),
        ("", "fn f(a: u8) -> Pin<Box<dyn Future<Output = Result<u8, E>>>> { g(a) }", "write an `async fn`"),
        (
            "skip(a)",
            "fn f<'async_trait>(__arg0: (u8, u8)) -> Pin<Box<dyn Future<Output = Result<u8, E>> + 'async_trait>> { Box::pin(async move { let (a, b) = __arg0; Ok(a) }) }",
            "hides the names",
        ),
    ] {
        let mistakes = refused(args, item);
        assert!(mistakes.iter().any(|mistake| mistake.contains(part)), "{args} on {item}: {mistakes:#?}");
    }
}

#[test]
fn what_is_never_stored_may_borrow() {
    expanded("on_duplicate = reject", "fn f(a: &str) -> Result<&str, E> { Ok(a) }");
    expanded("", "fn f(a: &str) -> Result<Cow<'_, str>, E> { Ok(a.into()) }");
    expanded("", "fn f(a: &str) -> Result<u8, &str> { Err(a) }");
    for on_error in ["release", "interrupt", "with(judge)"] {
        let args = format!("on_error = {on_error}");
        expanded(&args, "fn f(a: &str) -> Result<u8, &str> { Err(a) }");
        expanded(&format!("{args}, on_duplicate = reject"), "fn f(a: &str) -> Result<u8, &str> { Err(a) }");
    }
    expanded("on_error = store", "fn f(a: u8) -> Result<u8, E> { Err(g(a)) }");
}

/// The attribute looks for `Box::pin(async move { … })` only in functions that return what that makes.
#[test]
fn only_boxed_futures_have_to_end_in_one() {
    for output in [
        "Result<Box<dyn Future<Output = u8>>, E>",
        "Pin<Box<dyn Stream<Item = u8>>>",
        "Pin<Box<dyn Add<u8, Output = u8>>>",
        "Pin<Box<dyn Future<Item = u8>>>",
    ] {
        expanded("on_duplicate = reject", &format!("fn f(a: u8) -> {output} {{ g(a) }}"));
    }
    let future = "Pin<Box<dyn Future<Output = Result<u8, E>>>>";
    for body in ["Box::pin(async move { Ok(a) })", "let b = a; Box::pin(async move { Ok(b) },)"] {
        expanded("", &format!("fn f(a: u8) -> {future} {{ {body} }}"));
    }
    for body in [
        "Box::pin(g(a))",
        "Box::pin(g(a, b))",
        "Box::pin(async { Ok(1) })",
        "Box::pin(async move { Ok(a) }.fuse())",
        "spawn(async move { Ok(a) })",
        "self.pin[async move { Ok(a) }]",
    ] {
        let mistakes = refused("", &format!("fn f(a: u8) -> {future} {{ {body} }}"));
        assert!(mistakes[0].contains("write an `async fn`"), "{body}: {mistakes:?}");
    }
}

#[test]
fn names_of_every_pattern_can_be_keys() {
    for (pattern, key, all) in [
        ("(a)", "a", true),
        ("&a", "a", true),
        ("W(a)", "a", true),
        ("(a, b)", "a, b", true),
        ("(a, b)", "a", false),
        ("(a, ..)", "a", false),
        ("W(a, ..)", "a", false),
        ("[a, b]", "a, b", true),
        ("[a, rest @ ..]", "a, rest", true),
        ("[a, ..]", "a", false),
        ("P { x: a, b }", "a, b", true),
        ("P { x: a, y: _ }", "a", false),
        ("P { x: a, .. }", "a", false),
        ("(Ok(a) | Err(a))", "a", false),
        ("all @ P { x: a, .. }", "all, a", true),
        ("all @ P { x: a, .. }", "a", false),
    ] {
        let inputs = format!("fn f({pattern}: T, last: u8)");
        let plain = format!("{inputs} -> Result<(), E> {{ Ok(()) }}");
        let boxed = format!(
            "{inputs} -> Pin<Box<dyn Future<Output = Result<(), E>>>> {{ Box::pin(async move {{ Ok(()) }}) }}"
        );
        for item in [plain, boxed] {
            let (parts, verified) = values(&format!("key({key})"), &item);
            assert_eq!(parts.join(", "), key, "{item}");
            assert_eq!(verified, if all { vec!["last"] } else { vec!["#1", "last"] }, "key({key}) of {item}");
        }
    }
}

/// A body that outlives its caller keeps all that it was given, but for what is the caller's.
#[test]
fn what_outlives_its_caller_keeps_its_arguments() {
    for (args, inputs, kept) in [
        ("skip(self)", "self, a: u8, b: &str, c: (&str)", &["self", "a"][..]),
        ("skip(self)", "&self, a: u8", &["a"]),
        ("skip(self)", "&mut self", &[]),
        ("skip(self)", "self: &Self, a: u8", &["a"]),
        ("skip(self)", "self: Arc<Self>, a: u8", &["self", "a"]),
        ("", "(a, b): (u8, u8), c: u8, _: u8", &["__arg0", "c", "__arg2"]),
        ("key(a)", "(a, b): (u8, u8), c: u8", &["a", "b", "c"]),
        ("key(c)", "(a, b): (u8, u8), c: u8", &["__arg0", "c"]),
    ] {
        let item = format!("async fn f({inputs}) -> Result<(), E> {{ Ok(()) }}");
        let all = |out: &str| {
            let held = out.split("let _ = & ").skip(1);
            held.map(|rest| rest.split(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        let out = expanded(&format!("on_cancel = finish, {args}"), &item);
        assert_eq!(all(&out), kept, "{args} on {inputs}");
        assert!(all(&expanded(args, &item)).is_empty(), "{args} on {inputs}");
    }
}

/// Lints judge what is written here as if the user had written it.
#[test]
fn lints_have_nothing_to_say() {
    let allow = "# [allow (clippy :: used_underscore_binding)] let ";
    let out =
        |args: &str| expanded(args, "async fn f(_: u8, _unused: u8, named: u8) -> Result<(), E> { Ok(()) }");
    assert_eq!(out("").matches(allow).count(), 1);
    assert_eq!(out("skip(_unused)").matches("allow").count(), 1, "{}", out("skip(_unused)"));
    assert_eq!(out("on_cancel = finish").matches(allow).count(), 4);
    assert!(!out("").contains("let _ ="), "{}", out(""));
    let out = expanded("", "fn f(named: u8) -> Result<(), E> { Ok(()) }");
    assert!(!out.contains("allow"), "{out}");
}

/// Only what a pattern changes in its place has to be `mut`; elsewhere it would be a warning.
#[test]
fn what_takes_the_place_of_a_pattern_is_mut_where_it_has_to_be() {
    for (pattern, input) in [
        ("ref a", "__arg0"),
        ("ref mut a", "mut __arg0"),
        ("(mut a, mut b)", "__arg0"),
        ("(ref a, mut b)", "__arg0"),
        ("(_, (ref mut a, _))", "mut __arg0"),
    ] {
        let out = expanded("", &format!("fn f({pattern}: T) -> Result<(), E> {{ Ok(()) }}"));
        assert!(out.contains(&format!("fn f ({input} : T)")), "{pattern}: {out}");
    }
}

/// Found by fuzzing: what nests without an end overflowed the compiler's stack.
#[test]
fn what_nests_too_deeply_is_refused() {
    let item = "fn f(a: u8) -> Result<(), E> { Ok(()) }";
    let nested = |front: &str, back: &str| format!("{}a{}", front.repeat(2000), back.repeat(2000));
    let refusal = ["this nests too deeply for the attribute to read: give a part of it a name of its own"];
    for (front, back) in
        [("!", ""), ("& ", ""), ("(", ")"), ("return ", ""), ("|| ", ""), ("a::<", ">"), ("{", "}")]
    {
        assert_eq!(refused(&format!("key({})", nested(front, back)), item), refusal, "{front}");
    }
    for (front, back) in [("& ", ""), ("V<", ">"), ("(", ")"), ("fn() -> ", ""), ("A<B, ", ">")] {
        let item = format!("fn f(a: {}) -> Result<(), E> {{ Ok(()) }}", nested(front, back));
        assert_eq!(refused("", &item), refusal, "{front}");
    }
}

/// Long is not deep.
#[test]
fn what_is_long_is_read() {
    let arguments =
        (0..500).map(|n| format!("a{n}: HashMap<String, Vec<(u8, &'static str)>>, ")).collect::<String>();
    let documented = "/// A line.\n".repeat(500);
    let bounds = (0..200).map(|n| format!("T{n}: Fn(u8) -> Vec<u8> + Send, ")).collect::<String>();
    let body = format!("{}Ok(()){}", "{".repeat(500), "}".repeat(500));
    let item =
        format!("{documented} fn f<{bounds}>({arguments}) -> Result<(), E> where {bounds} {{ {body} }}");
    let _ = expanded(&format!("skip({})", (0..500).map(|n| format!("a{n}, ")).collect::<String>()), &item);
}
