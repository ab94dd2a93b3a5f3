use super::{Args, ErrorKind, Value, read};
use std::time::Duration;

fn args(source: &str) -> Args {
    match read(source.parse().expect("tokens")) {
        Ok(args) => args,
        Err(why) => panic!("{source}: {why}"),
    }
}

fn refused(source: &str) -> Vec<String> {
    match read(source.parse().expect("tokens")) {
        Ok(_) => panic!("{source}: should have been refused"),
        Err(why) => why.into_iter().map(|one| one.to_string()).collect(),
    }
}

#[test]
fn nothing_is_everything_at_its_default() {
    let args = args("");
    assert!(args.key.is_none() && args.skip.is_empty() && args.settings.is_empty());
    assert!(args.on_duplicate.is_none() && args.on_error.is_none() && args.krate.is_none());
}

#[test]
fn all_options_at_once() {
    let args = args(
        "key(order_id, self.id,), skip(self, db), name = \"orders.charge\", scope = tenant,
         store = &self.idem, ttl = \"24h\", lease = LEASE, on_duplicate = replay,
         on_running = wait, wait = \"15s\", on_error = with(Self::judge), on_interrupt = reject,
         on_cancel = finish, on_store_error = run, max_run = \"5m\", max_attempts = 3,
         record_arguments, max_result = \"1 MiB\", error = refuse, crate = ::shop::idem,",
    );
    assert_eq!(args.key.as_ref().map(Vec::len), Some(2));
    assert_eq!(args.skip.len(), 2);
    assert!(args.name.is_some() && args.scope.is_some() && args.store.is_some());
    assert!(args.error.is_some() && args.krate.is_some());
    assert!(matches!(&args.on_error, Some(on) if matches!(on.kind, ErrorKind::With(_))));
    assert_eq!(args.settings.len(), 9);
    let value = |name| &args.setting(name).expect(name).value;
    assert!(matches!(value("ttl"), Value::Duration(ttl) if *ttl == Duration::from_secs(86_400)));
    assert!(matches!(value("lease"), Value::Computed(_)));
    assert!(matches!(value("max_attempts"), Value::Number(3)));
    assert!(matches!(value("max_result"), Value::Number(1_048_576)));
    assert!(matches!(value("record_arguments"), Value::Flag));
    assert!(matches!(value("on_interrupt"), Value::Choice { variant: "Reject", .. }));
}

#[test]
fn a_name_may_be_a_constant_and_sizes_may_be_computed() {
    assert!(args("name = names::CHARGE").name.is_some());
    assert!(args("name = concat!(\"orders.\", \"charge\")").name.is_some());
    assert!(matches!(args("max_result = 4 * 1024").settings[0].value, Value::Computed(_)));
    assert!(matches!(args("max_result = 4096").settings[0].value, Value::Number(4096)));
}

#[test]
fn every_mistake_is_told() {
    let mistakes = refused("tll = \"1h\", lease = \"soon\", ttl = \"0s\", skip(a.b), name = 7");
    assert_eq!(mistakes.len(), 5, "{mistakes:#?}");
    assert!(mistakes[0].contains("did you mean `ttl`"), "{}", mistakes[0]);
    assert!(mistakes[1].contains("is no duration"), "{}", mistakes[1]);
    assert!(mistakes[2].contains("with a `ttl` of 0"), "{}", mistakes[2]);
    assert!(mistakes[3].contains("whole arguments"), "{}", mistakes[3]);
    assert!(mistakes[4].contains("a name is text"), "{}", mistakes[4]);
}

#[test]
fn each_mistake_says_what_to_write() {
    for (source, part) in [
        ("ttl", "write `ttl = \"24h\"`"),
        ("ttl = ", "write `ttl = \"24h\"`"),
        ("ttl(\"5s\")", "write `ttl = \"24h\"`"),
        ("lease", "write `lease = \"10s\"`"),
        ("wait", "write `wait = \"15s\"`"),
        ("max_run", "write `max_run = \"5m\"`"),
        ("ttl = 5", "write `ttl = \"5s\"`"),
        ("ttl = 0", "with a `ttl` of 0"),
        ("lease = 0", "with a `lease` of 0"),
        ("wait = 0", "write `wait = \"0s\"`"),
        ("ttl = \"1h\", ttl = \"2h\"", "leave one of the two out"),
        ("key(a), key(b)", "one pair of brackets"),
        ("skip(a), skip(b)", "one pair of brackets"),
        ("key", "write `key(order_id, self.id)`"),
        ("key()", "names nothing"),
        ("skip = self", "write `skip(self, db)`"),
        ("key(a?)", "`?` cannot stand here"),
        ("scope = self.tenant().await", "`.await` cannot stand here"),
        ("on_duplicate = rejct", "write `on_duplicate = replay` or `on_duplicate = reject`"),
        ("on_duplicate = \"reject\"", "write `on_duplicate = replay` or"),
        ("on_error = with", "name the function"),
        ("on_error = ignore", "write `on_error = release`"),
        ("on_error = store_or(a, b)", "takes one function"),
        ("record_arguments = true", "write `record_arguments` alone"),
        ("max_attempts = 0", "at least one"),
        ("max_attempts = \"3\"", "at least one"),
        ("max_result = \"1\"", "is no size"),
        ("max_result = 1.5", "write a size"),
        ("name = \"\"", "a name is text"),
        ("ttl = \"1h\" lease = \"1s\"", "expected a comma"),
        ("42", "expected an option"),
        ("nothing_like_it", "the options are"),
    ] {
        let mistakes = refused(source);
        assert!(mistakes[0].contains(part), "{source}: {mistakes:?}");
    }
}
