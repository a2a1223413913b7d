//! Tokens as arrays for other programs: npy, safetensors or raw, with a JSON beside them that says what they are.

mod check;
mod format;
mod layout;
mod listing;
mod npy;
mod reading;
mod safetensors;
mod sidecar;
mod values;

#[cfg(test)]
mod testing;

pub use check::{Checked, TooLarge, check, is_given};
pub use format::ArrayFormat;
pub use layout::{Columns, Layout};
pub use listing::Listing;
pub use reading::{Damage, Reading};
pub use sidecar::{Sidecar, sidecar_name};
pub use values::{Failed, write_values};
