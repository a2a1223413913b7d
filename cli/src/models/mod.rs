//! Models that are kept on this machine, and where more of them come from.

pub mod cache;
pub mod digest;
pub mod error;
pub mod hub;
pub mod kind;
pub mod known;
pub mod locked;
pub mod name;
pub mod record;
pub mod resolve;

pub use cache::Cache;
pub use error::ModelError;
pub use name::Name;
pub use record::{FileRecord, Kind, Record, Source};

/// The name that stands for the bundle inside the program.
pub const BUILT_IN: &str = "built-in";
