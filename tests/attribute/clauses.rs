//! Every clause of what must compile and of what must be refused, and the tests that show it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Clauses, and for each the tests that show it: `module::function` here.
const MUST_COMPILE: &[(&str, &[&str])] = &[
    ("async functions", &["functions::async_function"]),
    ("plain functions", &["functions::plain_function", "functions::plain_function_on_a_runtime"]),
    ("free functions", &["functions::async_function", "functions::function_in_a_function"]),
    ("methods: `self`", &["methods::self_by_value"]),
    ("methods: `&self`", &["methods::self_by_reference"]),
    ("methods: `&mut self`", &["methods::self_by_mutable_reference"]),
    ("methods: `Arc<Self>`", &["methods::self_by_arc"]),
    ("methods: other receivers", &["methods::self_by_box_and_rc"]),
    (
        "`self` in `key(…)` or skipped",
        &["methods::two_values_meet_only_where_self_is_skipped", "methods::the_whole_of_self_may_be_the_key"],
    ),
    ("associated functions", &["functions::associated_function"]),
    (
        "two functions of one name do not meet",
        &[
            "functions::functions_of_one_name_in_two_impls_do_not_meet",
            "traits::two_types_with_one_trait_do_not_meet",
        ],
    ),
    ("methods of trait impls", &["traits::plain_method_of_a_trait", "traits::async_fn_of_a_trait"]),
    ("`async fn` in traits", &["traits::async_fn_of_a_trait"]),
    ("default methods of traits", &["traits::default_methods"]),
    (
        "methods under `#[async_trait]`",
        &[
            "async_trait::methods_under_async_trait",
            "async_trait::key_under_async_trait",
            "async_trait::patterns_under_async_trait",
            "async_trait::generics_under_async_trait",
            "async_trait::default_methods_under_async_trait",
            "async_trait::on_cancel_finish_under_async_trait",
            "async_trait::errors_under_async_trait",
            "async_trait::as_a_trait_object",
            "async_trait::futures_that_are_not_send",
        ],
    ),
    ("`Box::pin(async move {…})` by hand", &["async_trait::boxed_futures"]),
    (
        "generics: types",
        &[
            "generics::type_parameters",
            "generics::two_types_do_not_meet",
            "generics::two_types_under_one_name_do_not_meet",
        ],
    ),
    ("generics: lifetimes", &["generics::lifetime_parameters"]),
    ("generics: constants", &["generics::constant_parameters"]),
    ("generics: `impl Trait` arguments", &["generics::impl_trait_arguments"]),
    ("generics: `where` clauses, generic impls", &["generics::generic_impls", "generics::unsized_arguments"]),
    (
        "destructuring patterns",
        &[
            "arguments::destructuring_patterns",
            "arguments::ref_arguments",
            "key::names_bound_by_patterns",
            "key::patterns_are_skipped_by_the_names_they_bind",
        ],
    ),
    ("`mut` arguments", &["arguments::mutable_arguments"]),
    (
        "borrowed arguments",
        &["arguments::borrowed_arguments", "arguments::the_key_is_taken_before_the_body_changes_it"],
    ),
    (
        "arguments that the body does not use",
        &["arguments::arguments_that_the_body_does_not_use", "arguments::arguments_live_as_long_as_the_body"],
    ),
    ("`?` in the body", &["functions::question_mark_in_the_body"]),
    ("`return` in the body", &["functions::return_in_the_body"]),
    ("recursion", &["functions::recursion"]),
    ("`unsafe fn`", &["functions::unsafe_function"]),
    (
        "attributes and documentation kept",
        &["functions::attributes_are_kept", "functions::items_in_the_body"],
    ),
    (
        "several annotated functions in one module",
        &["functions::several_functions_in_one_module_do_not_meet"],
    ),
    (
        "functions made by `macro_rules!`",
        &[
            "macros::made_of_fragments",
            "macros::made_of_a_whole_body",
            "macros::made_of_an_item",
            "macros::made_of_expressions",
            "macros::several_from_one_macro",
            "macros::methods_from_macros",
        ],
    ),
    (
        "the future is `Send` where the body's is",
        &["future::send_where_the_body_is", "future::not_send_where_the_body_is_not"],
    ),
    ("the future's size", &["future::size_of_the_future"]),
    ("nothing runs before the first poll", &["future::a_future_runs_nothing_before_it_is_polled"]),
    (
        "results recognised by type",
        &["results::aliases_of_result", "results::results_come_back_as_they_were"],
    ),
    (
        "coercions and inference as without the attribute",
        &["results::coercions_in_the_body", "results::inference_in_the_body"],
    ),
    ("`Cow` in a result", &["results::cow_is_fine"]),
    ("a body that never ends", &["results::a_body_that_never_ends"]),
    ("errors without serde", &["results::errors_that_are_never_stored_need_nothing"]),
    (
        "hygiene",
        &[
            "hygiene::names_of_arguments",
            "hygiene::names_of_items",
            "hygiene::raw_names",
            "hygiene::without_the_prelude",
        ],
    ),
    (
        "`key`",
        &[
            "key::the_others_are_verified",
            "key::a_part_may_count_while_the_rest_is_skipped",
            "key::whole_arguments_are_not_verified_again",
            "key::another_key_under_one_name_is_told_from_this_one",
            "key::keys_are_expressions",
        ],
    ),
    (
        "`skip`",
        &[
            "key::what_is_skipped_is_no_part_of_the_call",
            "functions::all_arguments_may_be_skipped",
            "functions::function_without_arguments",
        ],
    ),
    (
        "`name`",
        &[
            "key::a_name_keeps_the_tokens_of_a_moved_function",
            "key::a_named_function_knows_its_name",
            "key::a_name_may_be_a_constant",
            "key::one_name_for_two_functions_is_misuse",
        ],
    ),
    ("signature text", &["key::the_signature_text"]),
    ("`scope`", &["key::scopes_do_not_meet"]),
    ("`store`", &["stores::store_option"]),
    ("`ttl`", &["options::ttl"]),
    ("`lease`", &["options::lease_and_on_running_reject"]),
    (
        "`on_duplicate`",
        &["results::on_duplicate_reject_stores_nothing", "options::on_duplicate_reject_does_not_wait"],
    ),
    (
        "`on_running`",
        &[
            "options::on_running_wait_is_the_default",
            "options::lease_and_on_running_reject",
            "options::a_plain_function_does_not_wait_unless_told",
            "options::a_plain_function_waits_when_told",
        ],
    ),
    ("`wait`", &["options::wait_has_a_limit"]),
    (
        "`on_error`",
        &[
            "errors::release_is_the_default",
            "errors::store_replays_the_error",
            "errors::interrupt_means_that_the_outcome_is_unknown",
            "errors::with_decides_for_each_error",
            "errors::store_or_keeps_or_decides",
        ],
    ),
    ("`on_interrupt`", &["options::on_interrupt"]),
    ("`on_cancel`", &["options::on_cancel"]),
    ("`on_store_error`", &["stores::on_store_error"]),
    ("`max_run`", &["options::max_run"]),
    ("`max_attempts`", &["options::max_attempts"]),
    ("`record_arguments`", &["options::record_arguments"]),
    ("`max_result`", &["options::max_result"]),
    ("`error`", &["results::error_makes_the_functions_own_error"]),
    ("`crate`", &["stores::crate_option"]),
];

/// Clauses, and for each the cases in `tests/ui/cases` that show it.
const MUST_BE_REFUSED: &[(&str, &[&str])] = &[
    ("`const fn`", &["const_fn"]),
    ("`extern \"C\"`", &["extern_c"]),
    ("variadics", &["variadic"]),
    ("functions without a body", &["without_body"]),
    ("`-> impl Trait`", &["impl_trait_result"]),
    ("anything that is not a function", &["not_a_function"]),
    ("an unknown option", &["unknown_option"]),
    ("a repeated option", &["repeated_option", "repeated_attribute"]),
    (
        "options that cannot be read",
        &[
            "missing_comma",
            "missing_values",
            "bad_choices",
            "bad_on_error",
            "bad_numbers",
            "bad_names",
            "name_computed_for_a_call",
        ],
    ),
    ("`on_duplicate = reject` with `on_error = store`", &["reject_and_store"]),
    ("`wait` with `on_running = reject`", &["reject_and_wait"]),
    ("one argument whole in both `key` and `skip`", &["key_and_skip"]),
    ("a bad duration", &["bad_durations", "zero_durations", "duration_of_another_type"]),
    ("a `skip` that names no argument", &["skip_names_no_argument", "skip_of_a_part"]),
    ("a `key` that names no argument", &["key_names_no_argument", "pattern_names_async_trait"]),
    (
        "a `key` that leaves the function",
        &["key_leaves_by_question_mark", "key_leaves_by_return", "key_leaves_by_await", "other_values_leave"],
    ),
    ("a result that borrows and would be stored", &["result_borrows", "result_borrows_async_trait"]),
    ("`on_cancel = finish` on a plain function", &["finish_on_a_plain_function"]),
    (
        "`on_cancel = finish` of what cannot outlive the caller",
        &["finish_of_what_borrows", "finish_of_what_is_not_send"],
    ),
    (
        "a receiver that is neither in the key nor skipped",
        &["receiver_not_named", "receiver_not_named_async_trait"],
    ),
    (
        "an argument that is not `Serialize`",
        &[
            "argument_not_serialize",
            "argument_not_serialize_plain",
            "argument_not_serialize_verified",
            "argument_not_serialize_in_key",
            "argument_not_serialize_pattern",
            "argument_not_serialize_generic",
            "argument_not_serialize_async_trait",
        ],
    ),
    (
        "an argument whose type is `HashSet`",
        &["hash_set", "hash_set_alias", "hash_set_reference", "hash_set_in_key", "hash_set_verified"],
    ),
    (
        "a function that returns no `Result`",
        &[
            "returns_nothing",
            "returns_no_result",
            "returns_no_result_plain",
            "returns_no_result_async_trait",
            "returns_a_local_result",
            "returns_a_future",
        ],
    ),
    ("an error that cannot be made of a refusal", &["error_without_from", "error_without_from_plain"]),
    ("a result that cannot be stored", &["result_without_serde", "stored_error_without_serde"]),
    ("a store that is none", &["not_a_store"]),
    ("an argument that depends on the build", &["cfg_on_an_argument"]),
    (
        "whatever is refused is still emitted, all mistakes at once",
        &["refused_functions_are_still_there", "several_mistakes"],
    ),
    ("what is wrong in the body is reported by the compiler alone", &["the_body_is_the_compilers"]),
];

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// Every test of this program, as `module::function`.
fn own_tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(tests().join("attribute")).expect("this test's folder") {
        let path = entry.expect("a file").path();
        let module = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let source = fs::read_to_string(&path).expect("a source");
        let mut lines = source.lines();
        while let Some(line) = lines.next() {
            if line != "#[test]" && line != "#[tokio::test]" {
                continue;
            }
            let head = lines.by_ref().find(|line| !line.starts_with("#[")).expect("a function");
            let name = head
                .trim_start_matches("async ")
                .trim_start_matches("fn ")
                .split('(')
                .next()
                .unwrap_or_default();
            found.insert(format!("{module}::{name}"));
        }
    }
    found
}

fn cases() -> BTreeSet<String> {
    fs::read_dir(tests().join("ui/cases"))
        .expect("the folder of refused cases")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect()
}

fn listed(clauses: &[(&str, &[&str])]) -> BTreeSet<String> {
    for (clause, shown) in clauses {
        assert!(!shown.is_empty(), "{clause}: nothing shows it");
    }
    clauses.iter().flat_map(|(_, shown)| shown.iter().map(|shown| (*shown).to_owned())).collect()
}

#[test]
fn every_clause_that_must_compile_is_shown() {
    let mut tests = own_tests();
    tests.retain(|test| !test.starts_with("clauses::"));
    assert_eq!(listed(MUST_COMPILE), tests);
}

#[test]
fn every_clause_that_must_be_refused_is_shown() {
    assert_eq!(listed(MUST_BE_REFUSED), cases());
    for case in cases() {
        let message = tests().join("ui/cases").join(format!("{case}.stderr"));
        assert!(message.exists(), "{case} has no message");
    }
}
