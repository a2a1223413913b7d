//! Tokens as arrays for other programs: npy, safetensors or raw, with a JSON beside them that says what they are.

mod array;
mod layout;
mod sidecar;

pub use array::{Array, ArrayFormat};
pub use layout::{Columns, Layout};
pub use sidecar::{ChunkEntry, SCHEMA, Sidecar, chapter_entries, metadata_entry, sidecar_name};
