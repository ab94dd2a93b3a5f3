//! One call from start to end.

mod blocking;
mod builder;
mod current;
mod finish;
mod guard;
mod keeper;
mod machine;
mod observe;
mod options;
mod outcome;
mod policy;
mod prepared;
#[doc(hidden)]
pub mod probe;
mod run;
mod settle;
mod shutdown;
mod site;
mod source;
pub(crate) mod under;

pub use builder::Call;
pub use current::{CurrentAttempt, current};
pub use finish::Finish;
pub use observe::{Happened, Observe, Observed, observe, observe_blocking};
pub use options::{OnRunning, OnStoreError, Options};
pub use policy::{
    Argument, Convert, ConvertWith, Converts, Judges, Keeps, OnError, Outcome, on_cancel, on_duplicate,
    on_error,
};
pub use run::Run;
pub use shutdown::{shutdown, shutdown_blocking};
pub use site::{Function, Site, here};
pub use source::{NoStore, Source, Sourced};
