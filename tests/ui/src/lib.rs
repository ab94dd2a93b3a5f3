//! What the attribute refuses, with the message, which points at the user's token: each file in `cases` is compiled by
//! itself, and what the compiler says is compared with the file beside it.
