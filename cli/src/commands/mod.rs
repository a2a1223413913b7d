//! The subcommands, one file each.

pub mod decode;
mod device_info;
pub mod encode;
pub mod eval;
pub mod info;
