//! The subcommands, one file each.

pub mod archive;
pub mod concat;
pub mod cut;
pub mod decode;
mod device_info;
pub mod encode;
pub mod eval;
pub mod index;
pub mod info;
pub mod latents;
pub mod models;
pub mod recover;
pub mod tokens;
pub mod trim;
pub mod verify;
