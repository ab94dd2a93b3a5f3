//! The attribute, on tokens that may come from anywhere.

use proc_macro2::TokenStream;

use crate::{args, check, depth, expand, function};

/// The function with a call around its body; or, where something is wrong, the item as it came
/// beside what is wrong, so that nothing else in the crate is reported for it.
pub(crate) fn attribute(args: TokenStream, item: TokenStream) -> TokenStream {
    protected(args, item.clone()).unwrap_or_else(|mistakes| {
        let mistakes = mistakes.into_compile_error();
        quote::quote!(#item #mistakes)
    })
}

pub(crate) fn protected(args: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let deep = depth::too_deep(args.clone(), true).or_else(|| depth::too_deep(item.clone(), false));
    if let Some(span) = deep {
        return Err(syn::Error::new(
            span,
            "this nests too deeply for the attribute to read: give a part of it a name of its own",
        ));
    }
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
