//! The subcommands, one file each.

pub mod decode;
pub mod encode;
pub mod eval;
pub mod info;
