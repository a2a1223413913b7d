//! Models that are kept on this machine, and where more of them come from.

pub mod cache;
pub mod digest;
pub mod error;
pub mod hub;
pub mod kind;
pub mod name;
pub mod record;

pub use cache::Cache;
pub use name::{BUILT_IN, Name};
pub use record::{FileRecord, Kind, Record, Source};
