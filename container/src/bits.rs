//! Bit-planes: bit `j` of every token, packed eight to a byte (LBIT §5.3).
//!
//! Token `i` of a plane is bit `i mod 8` of byte `i div 8`, where bit 0 is the least significant. A plane ends on a
//! whole byte; the bits after its last token are zero.

/// Bytes that one plane of `tokens` tokens takes.
#[must_use]
pub const fn plane_len(tokens: usize) -> usize {
    tokens.div_ceil(8)
}

/// Appends plane `plane` of `values` to `out`. Planes above 63 are all zero.
pub fn pack_plane(values: &[u64], plane: u32, out: &mut Vec<u8>) {
    out.extend(values.chunks(8).map(|eight| {
        eight.iter().enumerate().fold(0, |byte, (bit, value)| {
            byte | ((value.checked_shr(plane).unwrap_or(0) & 1) as u8) << bit
        })
    }));
}

/// Sets bit `plane` of each value to what the packed plane says, and leaves all other bits alone.
///
/// Values beyond the end of `packed` keep their bit; so does every value if `plane` is above 63.
pub fn unpack_plane(packed: &[u8], plane: u32, values: &mut [u64]) {
    let Some(mask) = 1u64.checked_shl(plane) else {
        return;
    };
    for (byte, eight) in packed.iter().zip(values.chunks_mut(8)) {
        for (bit, value) in eight.iter_mut().enumerate() {
            *value = (*value & !mask) | if byte >> bit & 1 == 1 { mask } else { 0 };
        }
    }
}

/// Whether the bits after the last of `tokens` tokens are zero, as LBIT §5.3 asks.
#[must_use]
pub fn padding_is_zero(packed: &[u8], tokens: usize) -> bool {
    match (tokens % 8, packed.last()) {
        (0, _) | (_, None) => true,
        (used, Some(last)) => last >> used == 0,
    }
}

/// Transposes a 64×64 bit matrix in place: afterwards bit `c` of word `r` is what bit `r` of word `c` was.
pub fn transpose(block: &mut [u64; 64]) {
    // Swap the off-diagonal quarters of ever smaller squares: six passes in place of 4096 single bits.
    let mut mask = 0x0000_0000_ffff_ffff_u64;
    for width in [32, 16, 8, 4, 2, 1] {
        for square in block.chunks_exact_mut(2 * width) {
            let (upper, lower) = square.split_at_mut(width);
            for (a, b) in upper.iter_mut().zip(lower) {
                let swap = ((*a >> width) ^ *b) & mask;
                *a ^= swap << width;
                *b ^= swap;
            }
        }
        mask ^= mask << (width / 2);
    }
}

/// Packs planes 0 to `planes` − 1 of `values`, one after the other. At most 64 planes are written.
#[must_use]
pub fn pack_planes(values: &[u64], planes: u8) -> Vec<u8> {
    let len = plane_len(values.len());
    let planes = usize::from(planes).min(64);
    let mut out = vec![0; len * planes];
    if out.is_empty() {
        return out;
    }
    let blocks = values.chunks_exact(64);
    let rest = blocks.remainder();
    for (number, tokens) in blocks.enumerate() {
        let mut block = [0; 64];
        block.copy_from_slice(tokens);
        transpose(&mut block);
        for (plane, word) in out.chunks_exact_mut(len).zip(&block) {
            // Of a fixed length, so that it is a store and no call.
            if let Some(to) = plane.get_mut(number * 8..).and_then(<[u8]>::first_chunk_mut::<8>) {
                *to = word.to_le_bytes();
            }
        }
    }
    if !rest.is_empty() {
        let mut block = [0; 64];
        block[..rest.len()].copy_from_slice(rest);
        transpose(&mut block);
        let from = len - plane_len(rest.len());
        for (plane, word) in out.chunks_exact_mut(len).zip(&block) {
            for (to, byte) in plane.iter_mut().skip(from).zip(word.to_le_bytes()) {
                *to = byte;
            }
        }
    }
    out
}

/// Puts `tokens` values together from `packed`: their planes one after the other, from plane 0.
///
/// Reads as many whole planes as `packed` has, at most 64; bits of planes that are not there are zero.
#[must_use]
pub fn unpack_planes(packed: &[u8], tokens: usize) -> Vec<u64> {
    let mut values = vec![0; tokens];
    let len = plane_len(tokens);
    if len == 0 {
        return values;
    }
    let mut blocks = values.chunks_exact_mut(64);
    for (number, out) in blocks.by_ref().enumerate() {
        let mut block = [0; 64];
        for (plane, word) in packed.chunks_exact(len).zip(&mut block) {
            if let Some(bytes) = plane.get(number * 8..).and_then(<[u8]>::first_chunk::<8>) {
                *word = u64::from_le_bytes(*bytes);
            }
        }
        transpose(&mut block);
        out.copy_from_slice(&block);
    }
    let rest = blocks.into_remainder();
    if !rest.is_empty() {
        let mut block = [0; 64];
        let from = len - plane_len(rest.len());
        for (plane, word) in packed.chunks_exact(len).zip(&mut block) {
            let mut bytes = [0; 8];
            for (to, byte) in bytes.iter_mut().zip(plane.iter().skip(from)) {
                *to = *byte;
            }
            *word = u64::from_le_bytes(bytes);
        }
        transpose(&mut block);
        rest.copy_from_slice(&block[..rest.len()]);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn example_of_the_specification() {
        let values = [
            0b101, 0b001, 0b010, 0b111, 0b000, 0b100, 0b011, 0b110, 0b001, 0b101,
        ];
        assert_eq!(pack_planes(&values, 3), [0x4b, 0x03, 0xcc, 0x00, 0xa9, 0x02]);
    }

    #[test]
    fn planes_out_of_range_are_harmless() {
        let mut out = Vec::new();
        pack_plane(&[u64::MAX], 64, &mut out);
        assert_eq!(out, [0]);
        let mut values = [5];
        unpack_plane(&[1], 64, &mut values);
        assert_eq!(values, [5]);
        assert_eq!(pack_planes(&[u64::MAX], 255).len(), 64);
        assert!(pack_planes(&[], 3).is_empty());
        assert!(unpack_planes(&[1, 2, 3], 0).is_empty());
    }

    #[test]
    fn padding() {
        assert!(padding_is_zero(&[0xff], 8));
        assert!(padding_is_zero(&[0xff, 0x01], 9));
        assert!(!padding_is_zero(&[0xff, 0x03], 9));
        assert!(padding_is_zero(&[], 0));
    }

    proptest! {
        #[test]
        fn transposed_bits(block in proptest::array::uniform32(any::<[u64; 2]>())) {
            let mut words = [0; 64];
            words.copy_from_slice(block.as_flattened());
            let mut turned = words;
            transpose(&mut turned);
            for (r, row) in turned.iter().enumerate() {
                for (c, column) in words.iter().enumerate() {
                    prop_assert_eq!(row >> c & 1, column >> r & 1);
                }
            }
        }

        #[test]
        fn blocks_agree_with_single_planes(
            values in proptest::collection::vec(any::<u64>(), 0..300), planes in 1u8..=64,
        ) {
            let mut plain = Vec::new();
            for plane in 0..planes {
                pack_plane(&values, u32::from(plane), &mut plain);
            }
            let packed = pack_planes(&values, planes);
            prop_assert_eq!(&packed, &plain);

            let kept = u64::MAX >> (64 - planes);
            let expected: Vec<u64> = values.iter().map(|value| value & kept).collect();
            prop_assert_eq!(&unpack_planes(&packed, values.len()), &expected);

            let mut plain = vec![0; values.len()];
            let len = plane_len(values.len()).max(1);
            for (plane, bytes) in (0..).zip(packed.chunks(len)) {
                prop_assert!(padding_is_zero(bytes, values.len()));
                unpack_plane(bytes, plane, &mut plain);
            }
            prop_assert_eq!(&plain, &expected);
        }
    }
}
