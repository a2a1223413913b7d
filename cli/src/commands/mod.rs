//! The subcommands, one file each.

pub mod archive;
pub mod concat;
pub mod cut;
pub mod decode;
pub mod degrade;
mod device_info;
pub mod encode;
pub mod eval;
pub mod generate;
pub mod index;
pub mod info;
pub mod inpaint;
pub mod latents;
pub mod models;
pub mod recover;
pub mod score;
pub mod tokens;
pub mod trim;
pub mod verify;
