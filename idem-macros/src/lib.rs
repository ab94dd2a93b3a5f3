//! The attribute of `idem-rs`. Depend on that crate, which has it as `idem::idempotent`.

mod args;
mod check;
mod expand;
mod expression;
mod function;
mod literal;
mod signature;
mod words;

#[doc = include_str!("attribute.md")]
#[proc_macro_attribute]
pub fn idempotent(args: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    attribute(args.into(), item.into()).into()
}

/// The function with a call around its body; or, where something is wrong, the item as it came
/// beside what is wrong, so that nothing else in the crate is reported for it.
fn attribute(args: proc_macro2::TokenStream, item: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    protected(args, item.clone()).unwrap_or_else(|mistakes| {
        let mistakes = mistakes.into_compile_error();
        quote::quote!(#item #mistakes)
    })
}

fn protected(
    args: proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> syn::Result<proc_macro2::TokenStream> {
    let function = function::read(item);
    let args = args::read(args);
    let (args, function) = match (args, function) {
        (Ok(args), Ok(function)) => (args, function),
        (Err(mut mistakes), Err(more)) => {
            mistakes.combine(more);
            return Err(mistakes);
        }
        (Err(mistakes), _) | (_, Err(mistakes)) => return Err(mistakes),
    };
    let plan = check::check(&args, &function)?;
    Ok(expand::expand(&args, &function, &plan))
}

#[cfg(test)]
mod tests;
