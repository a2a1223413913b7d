//! Many clips to an archive of tokens: lists, runs that go on where they ended, shards, the manifest.
//!
//! Clips are made by several workers and put into the archive one after the other, in the order of the list. So the same
//! list gives the same archive, byte for byte, however many workers there are and however often a run was ended: what
//! counts is a journal that says how far the list has been put into it. (On a GPU only with one worker: what small clips
//! are rounded to depends on how many are computed together.)

mod check;
mod folder;
pub mod journal;
pub mod list;
pub mod make;
mod manifest;
pub mod merge;
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
pub use merge::merge;
pub use plan::Part;
pub use store::Form;
