//! Encodes many clips into an archive of tokens: lists, runs that resume where they ended, shards, the manifest.
//!
//! Several workers make clips, which are added to the archive one by one in the order of the list. So the same list gives
//! the same archive, byte for byte, with any number of workers and however often a run was interrupted: the journal
//! records how far the list has been archived. (On a GPU only with one worker: how small clips are rounded depends on how
//! many are computed together.)

mod check;
mod folder;
pub mod journal;
pub mod list;
pub mod make;
mod manifest;
pub mod merge;
mod pattern;
pub mod plan;
mod quality;
pub mod report;
pub mod resume;
mod row;
pub mod run;
pub mod store;
pub mod tally;

pub use check::check;
pub use folder::Folder;
pub use merge::{merge, write_manifest};
pub use plan::ListPart;
pub use store::Form;
