//! The attribute of `idem-rs`. Depend on that crate, which has it as `idem::idempotent`.

mod args;
mod check;
mod depth;
mod expand;
mod expression;
mod fragments;
mod function;
mod literal;
mod signature;
mod whole;
mod words;

#[doc = include_str!("attribute.md")]
#[proc_macro_attribute]
pub fn idempotent(args: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    whole::attribute(args.into(), item.into()).into()
}

#[cfg(test)]
mod tests;
