//! What comes along with frames: their times, and packets of sound and subtitles.

use super::types::Packet;

/// What belongs to a frame that was read.
#[derive(Debug, Default)]
pub struct Extras {
    /// When the frame is shown, in ticks of [`VideoInfo::time_base`](super::VideoInfo::time_base), counted from the
    /// first frame; none if the frames come at a constant rate.
    pub time: Option<i64>,
    /// Packets that were read on the way to it, each with the place of its stream in
    /// [`VideoInfo::packet_streams`](super::VideoInfo::packet_streams). Their times count from the first frame, too.
    pub packets: Vec<(usize, Packet)>,
}
