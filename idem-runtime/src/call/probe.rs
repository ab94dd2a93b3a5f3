//! Values on their way into a token, seen by type: a `HashSet` has another order in every process.

use std::collections::HashSet;

/// A value that generated code is about to encode.
#[derive(Debug)]
pub struct Probe<'a, T: ?Sized>(pub &'a T);

/// What a [`Probe`] gives back.
///
/// For sets without an order the method of the same name on the type itself goes before this one, and its bound
/// cannot be met: that is how they are found whatever they are called.
pub trait Part<'a, T: ?Sized> {
    /// The value.
    fn idem_part(self) -> &'a T;
}

impl<'a, T: ?Sized> Part<'a, T> for Probe<'a, T> {
    #[inline(always)]
    fn idem_part(self) -> &'a T {
        self.0
    }
}

/// A type whose values always encode in one order. No `HashSet` has it.
#[diagnostic::on_unimplemented(
    message = "a `HashSet` cannot be part of the token: its order is another one in every process",
    label = "this set has no order of its own",
    note = "take a `BTreeSet`, or write `key(idem::unordered(&…))` with this set in it, or leave it out with `skip(…)`"
)]
pub trait Ordered {}

macro_rules! without_order {
    ($([$($lifetime:lifetime)?] $set:ty;)*) => {
        $(impl<'a, $($lifetime,)? T, S> Probe<'a, $set> {
            /// Refused when the program is compiled.
            pub fn idem_part(self) -> &'a $set
            where
                HashSet<T, S>: Ordered,
            {
                self.0
            }
        })*
    };
}

without_order! {
    [] HashSet<T, S>;
    ['b] &'b HashSet<T, S>;
    ['b] &'b mut HashSet<T, S>;
}
