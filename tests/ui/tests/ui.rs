//! Compiles the cases. The tests of `attribute::clauses` have the list of clauses and the cases that show them.

#[test]
fn refused() {
    trybuild::TestCases::new().compile_fail("cases/*.rs");
}
