use proptest::prelude::*;

use super::*;
use crate::bits::{padding_is_zero, unpack_planes};
use crate::coder::{Compression, layers};
use crate::{DepthMap, Tokens};

fn round_trip(grid: TokenGrid, packed: &[u8]) -> usize {
    let len = plane_len(grid.len());
    let coded = encode(grid, packed);
    let mut decoder = Decoder::new(grid);
    let mut stored = 0;
    for (coded, plane) in coded.iter().zip(packed.chunks(len)) {
        stored += coded.as_ref().map_or(len, Vec::len);
        let mut out = match coded {
            Some(_) => vec![0xff; len],
            None => plane.to_vec(),
        };
        decoder.decode_plane(coded.as_deref(), &mut out).unwrap();
        assert_eq!(out, plane);
    }
    stored
}

/// The test vector of LBIT §6.2.
const PACKED: [&str; 3] = [
    "000f008041f8b087f87ffeffe0ff174e0e",
    "e0830700fcf90701fe00806f60e37f0000",
    "e0ff0f9e7f1f031ffc7f001cffffef0100",
];
const CODED: [&str; 3] = [
    "e5ed36c1682376856ebb60053d0240",
    "ffe90216b493f23e8807dbe7b2bd87d9",
    "c4ebd6baa8ab5d5380757401b988",
];

/// The test vector of LBIT §6.3.
const LAYERS_PACKED: [&str; 2] = [
    "0080037ffecf1f3800000020c007080000008070881f07f8f3832d",
    "40e00301006f",
];
const LAYERS_CODED: [&str; 2] = ["ffde623b2ca2552f7c55f00229faeccdc43b6c1745ce", "f7546cb218"];

/// Planes of numbers that are the same everywhere: most bits repeat the one to their left.
fn structured(grid: TokenGrid, planes: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 62
    };
    let len = plane_len(grid.len());
    let mut packed = vec![0; len * planes];
    for plane in packed.chunks_mut(len) {
        let mut bit = 0;
        for i in 0..grid.len() {
            if next() == 0 && next() < 3 {
                bit ^= 1;
            }
            plane[i / 8] |= bit << (i % 8);
        }
    }
    packed
}

#[test]
fn vectors_of_the_specification() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let grid = TokenGrid { t: 2, h: 6, w: 11 };
    let packed = structured(grid, 3);
    assert_eq!(hex(&packed), PACKED.concat());
    let coded = encode(grid, &packed);
    let coded: Vec<String> = coded
        .iter()
        .map(|plane| hex(plane.as_deref().unwrap_or(b"")))
        .collect();
    assert_eq!(coded, CODED);
    round_trip(grid, &packed);
}

/// The test vector of LBIT §6.3: the tokens of §6.2 with depths in steps of 2.
#[test]
fn vector_of_layers() {
    let grid = TokenGrid { t: 2, h: 6, w: 11 };
    let tokens = Tokens::new(grid, 3, unpack_planes(&structured(grid, 3), grid.len()));
    // Deep around the middle of a frame, and shallower in its second time step.
    let depth = |token: usize| {
        let (time, y, x) = (token / 66, token / 11 % 6, token % 11);
        match (x.abs_diff(5) + 2 * y.abs_diff(3)) / 3 + time {
            0 => 3,
            1 => 2,
            _ => 0,
        }
    };
    let tokens = tokens.with_depths(DepthMap {
        step: 2,
        values: (0..grid.len()).map(depth).collect(),
    });
    let depths = tokens.depths.clone().unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let stored = |compression| {
        let (_, layers) = layers::encode(compression, &tokens, &depths).unwrap();
        layers
            .into_iter()
            .map(|layer| hex(&layer.bytes))
            .collect::<Vec<_>>()
    };
    assert_eq!(stored(Compression::Raw), LAYERS_PACKED);
    assert_eq!(stored(Compression::Cm), LAYERS_CODED);
}

#[test]
fn what_repeats_gets_small() {
    let grid = TokenGrid { t: 4, h: 16, w: 16 };
    let len = plane_len(grid.len());
    let zeros = vec![0; len * 36];
    assert!(round_trip(grid, &zeros) < 36 * 6);
    let packed = structured(grid, 36);
    assert!(round_trip(grid, &packed) < packed.len() * 9 / 10);
}

#[test]
fn codes_have_one_form() {
    let grid = TokenGrid { t: 1, h: 16, w: 16 };
    let packed = structured(grid, 1);
    let coded = encode(grid, &packed).remove(0).unwrap();
    let mut out = vec![0; 32];
    let mut decode = |coded: &[u8]| Decoder::new(grid).decode_plane(Some(coded), &mut out);
    assert!(decode(&coded).is_ok());
    assert!(decode(&[&coded[..], &[0]].concat()).is_err());
    assert!(decode(&[&coded[..], &[1; 9]].concat()).is_err());
    assert!(decode(&[]).is_err());
}

proptest! {
    #[test]
    fn planes_come_back(
        t in 1u32..4, h in 1u32..9, w in 1u32..20, planes in 1usize..12, seed in any::<u64>(), density in 0u32..5,
    ) {
        let grid = TokenGrid { t, h, w };
        let len = plane_len(grid.len());
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        let mut packed = Vec::new();
        for _ in 0..planes {
            packed.extend((0..len).map(|_| (0..density).fold(0xff, |byte, _| byte & next())));
            if let Some(last) = packed.last_mut() {
                *last &= 0xff >> (7 - (grid.len() + 7) % 8);
            }
        }
        round_trip(grid, &packed);
    }

    #[test]
    fn noise_is_no_danger(
        noise in proptest::collection::vec(any::<u8>(), 0..64), h in 1u32..20, w in 1u32..20,
    ) {
        let grid = TokenGrid { t: 2, h, w };
        let mut decoder = Decoder::new(grid);
        let mut plane = vec![0; plane_len(grid.len())];
        for _ in 0..70 {
            if decoder.decode_plane(Some(&noise), &mut plane).is_ok() {
                prop_assert!(padding_is_zero(&plane, grid.len()));
            }
        }
    }
}
