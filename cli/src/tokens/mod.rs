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
pub use format::ArrayFormat;
pub use layout::{Columns, Layout};
pub use reading::{Damage, Failed, Listing, Reading, write_npy, write_values};
pub use sidecar::{Sidecar, sidecar_name};
