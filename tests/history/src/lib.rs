//! What is done to stores from outside, for their tests and by hand: `idem-history`, the program, makes long runs of the
//! history checker; [`connections`] breaks connections.

pub mod connections;
