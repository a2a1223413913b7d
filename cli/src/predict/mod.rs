//! What the commands share that predict tokens: `generate`, `inpaint`, `score`.

pub mod args;
mod load;
mod neighbours;
mod part;

pub use load::load;
pub use neighbours::{Neighbours, Piece};
pub use part::{Part, Rectangle};
