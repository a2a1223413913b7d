//! What the commands share that predict tokens: `generate`, `inpaint`, `score`.

mod load;
mod part;

pub use load::{find, load};
pub use part::{Part, Rectangle};
