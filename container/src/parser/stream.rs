//! How far one stream has been read.

use crate::digest::Digest;
use crate::end::Totals;
use crate::track::Track;

#[derive(Debug)]
pub(super) struct StreamState {
    /// What has gone by of a stream of tokens.
    pub track: Track,
    /// Whether nothing has come yet and reading did not begin at the start, so that anything may come first.
    pub joining: bool,
    /// Records of packets that have gone by.
    pub packets: u64,
    pub digest: Digest,
    /// Whether all contents went into the digest.
    pub digested: bool,
}

impl StreamState {
    pub fn new(joining: bool) -> Self {
        Self {
            track: Track::default(),
            joining,
            packets: 0,
            digest: Digest::default(),
            digested: !joining,
        }
    }

    pub fn totals(&self) -> Totals {
        Totals {
            frames: self.track.frames,
            // A stream has the one or the other.
            chunks: self.track.chunks.max(self.packets),
            digest: self.digested.then(|| self.digest.finish()),
        }
    }
}
