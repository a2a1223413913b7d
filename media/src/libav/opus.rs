//! How long Opus packets are (RFC 6716, §3.1).

use latentbit_container::Rational;

/// Seconds per sample, whatever the rate that a stream says.
pub const SAMPLE: Rational = Rational { num: 1, den: 48000 };

/// Samples of a packet; 0 if it is none.
pub fn samples(packet: &[u8]) -> u32 {
    let Some(&head) = packet.first() else { return 0 };
    let frame = match head >> 3 {
        silk @ 0..=11 => [480, 960, 1920, 2880][usize::from(silk & 3)],
        hybrid @ 12..=15 => [480, 960][usize::from(hybrid & 1)],
        celt => 120 << (celt & 3),
    };
    let frames = match head & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(0, |count| u32::from(count & 0x3f)),
    };
    frame * frames
}

#[cfg(test)]
mod tests {
    use super::samples;

    #[test]
    fn lengths() {
        // SILK of 60 ms; hybrid of 10 ms, twice; CELT of 2.5 ms; three times 20 ms.
        for (packet, expected) in [
            (&[3 << 3][..], 2880),
            (&[14 << 3 | 1], 960),
            (&[16 << 3], 120),
            (&[31 << 3 | 3, 3], 2880),
            (&[], 0),
            (&[31 << 3 | 3], 0),
        ] {
            assert_eq!(samples(packet), expected, "{packet:?}");
        }
    }
}
