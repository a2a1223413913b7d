//! Tokens as arrays for other programs: npy, safetensors or raw, with a JSON beside them that says what they are.

mod check;
mod format;
mod layout;
mod npy;
mod reading;
mod safetensors;
mod sidecar;

#[cfg(test)]
mod testing;

pub use check::{Checked, TooLarge, check, is_given};
pub use format::{ArrayFormat, Found};
pub use layout::{Columns, Layout};
pub use npy::{header as npy_header, read_header as read_npy_header};
pub use reading::{Damage, Failed, Listing, Reading, write_npy, write_values};
pub use sidecar::{ChunkEntry, Sidecar, depths_name, sidecar_name};
