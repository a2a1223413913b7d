//! What comes along with frames: their times, and packets of sound and subtitles.

use super::types::{Packet, Rational};

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

/// A time in ticks of `from`, in ticks of `to`, rounded down. Saturates.
pub fn rescale(ticks: i64, from: Rational, to: Rational) -> i64 {
    let up = i128::from(from.num) * i128::from(to.den);
    let down = (i128::from(from.den) * i128::from(to.num)).max(1);
    let scaled = i128::from(ticks).saturating_mul(up).div_euclid(down);
    i64::try_from(scaled).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
}
