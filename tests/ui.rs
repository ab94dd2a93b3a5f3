//! What the attribute refuses, with the message, which points at the user's token. `attribute::clauses` has the
//! list of clauses and the cases that show them.

#[test]
fn refused() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
