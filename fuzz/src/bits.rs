//! Packing, unpacking and transposing agree with the plain way.

use latentbit_container::bits::{
    pack_plane, pack_planes, padding_is_zero, plane_len, unpack_plane, unpack_planes,
};

pub fn run(data: &[u8]) {
    let Some((&[planes, extra], data)) = data.split_first_chunk::<2>() else {
        return;
    };
    let planes = 1 + planes % 64;
    let mut values: Vec<u64> = data
        .chunks(8)
        .map(|bytes| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(word)
        })
        .collect();
    values.truncate(4096);
    let packed = pack_planes(&values, planes);
    let len = plane_len(values.len());
    assert_eq!(packed.len(), len * usize::from(planes));
    let mut plain = Vec::new();
    for plane in 0..planes {
        pack_plane(&values, u32::from(plane), &mut plain);
    }
    assert_eq!(packed, plain);
    let kept = u64::MAX >> (64 - planes);
    let expected: Vec<u64> = values.iter().map(|value| value & kept).collect();
    assert_eq!(unpack_planes(&packed, values.len()), expected);
    let mut one_by_one = vec![0; values.len()];
    for (number, plane) in packed.chunks(len.max(1)).enumerate() {
        assert!(padding_is_zero(plane, values.len()));
        unpack_plane(plane, number as u32, &mut one_by_one);
    }
    assert_eq!(one_by_one, expected);
    // Bytes that nobody packed, for any number of tokens.
    let tokens = data.len().min(512) * usize::from(extra) / 64;
    assert_eq!(unpack_planes(data, tokens).len(), tokens);
}
