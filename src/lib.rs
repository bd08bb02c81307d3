//! An embedded audit trail.
mod error;
mod layout;
pub mod storage;
pub use error::{Error, Kind, Result};
