//! The words that people read: their commands run, their configurations work, their links lead somewhere, and what they
//! say of messages, metrics, keys and flags is what the code has.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod code;
mod commands;
mod configurations;
mod links;
mod page;
