//! Every file a user writes, parsed and checked.

mod invalid;

pub use invalid::Invalid;
