use super::*;
use crate::error::ErrorKind;
use crate::testing::{chunk, elastic};
use proptest::prelude::*;

const GRID: TokenGrid = TokenGrid { t: 2, h: 9, w: 31 };

#[test]
fn smaller_planes_are_compressed() {
    let mut values: Vec<u64> = (0..GRID.len() as u64)
        .map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .collect();
    values.iter_mut().for_each(|value| *value = *value >> 62 & 2 | 1);
    let chunk = chunk(GRID, 2, values);
    let stored = StoredChunk::pack(&chunk, Compression::Zstd { level: 3 }).unwrap();
    assert_eq!((stored.coder, stored.planes[0].coded), (Coder::Zstd, true));
    assert_eq!(stored.unpack().unwrap(), chunk);
    let raw = StoredChunk::pack(&chunk, Compression::Raw).unwrap();
    assert!(raw.coder == Coder::Raw && raw.planes.iter().all(|plane| !plane.coded));
    assert_eq!(raw.unpack().unwrap(), chunk);
}

#[test]
fn dropping_planes_needs_no_unpacking() {
    let values: Vec<u64> = (0..GRID.len() as u64).collect();
    let mut chunk = chunk(GRID, 10, values);
    let mut stored = StoredChunk::pack(&chunk, Compression::Zstd { level: 3 }).unwrap();
    stored.truncate_bits(4);
    chunk.tokens.truncate_bits(4);
    assert_eq!(stored.unpack().unwrap(), chunk);
    stored.truncate_bits(0);
    assert_eq!(stored.bits(), 1);
}

#[test]
fn a_wrong_level_is_the_callers_error() {
    let chunk = chunk(GRID, 1, vec![0; GRID.len()]);
    let error = StoredChunk::pack(&chunk, Compression::Zstd { level: 1000 }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Parameter);
    assert!(error.to_string().contains("zstd level"));
}

#[cfg(feature = "zstd")]
#[test]
fn zstd_frames_must_fill_their_plane() {
    let chunk = chunk(GRID, 1, vec![0; GRID.len()]);
    let good = StoredChunk::pack(&chunk, Compression::Zstd { level: 1 }).unwrap();
    let len = plane_len(GRID.len());
    for wrong in [len - 1, len + 1, 1 << 30] {
        let mut stored = good.clone();
        stored.planes[0].bytes = zstd::bulk::compress(&vec![0; wrong], 1).unwrap();
        assert!(
            stored
                .unpack()
                .unwrap_err()
                .to_string()
                .contains("length of a bit-plane")
        );
    }
    let mut two = good.clone();
    two.planes[0].bytes.extend_from_slice(&good.planes[0].bytes);
    assert!(two.unpack().unwrap_err().to_string().contains("one zstd frame"));
}

#[test]
fn padding_must_be_zero() {
    let chunk = chunk(TokenGrid { t: 1, h: 1, w: 3 }, 1, vec![1; 3]);
    let mut stored = StoredChunk::pack(&chunk, Compression::Raw).unwrap();
    stored.planes[0].bytes[0] |= 8;
    assert!(
        stored
            .unpack()
            .unwrap_err()
            .to_string()
            .contains("after the last token")
    );
}

#[test]
fn limits_come_before_lengths() {
    let mut payload = vec![0; FIXED_LEN];
    payload[31] = 1;
    payload[32..38].fill(0xff);
    let kind = |limits: &Limits| {
        StoredChunk::decode(&payload, 0, StreamId(0), 0, false, limits)
            .unwrap_err()
            .kind()
    };
    assert_eq!(kind(&Limits::default()), ErrorKind::Limits);
    assert_eq!(kind(&Limits::none()), ErrorKind::Format);
    let grid = TokenGrid {
        t: u32::MAX,
        h: u32::MAX,
        w: 1,
    };
    let chunk = StoredChunk {
        grid,
        ..StoredChunk::pack(&chunk(GRID, 1, vec![0; GRID.len()]), Compression::Raw).unwrap()
    };
    assert!(chunk.unpack().is_err());
}

proptest! {
    #[test]
    fn round_trip(
        t in 1u32..4, h in 1u32..9, w in 1u32..12, bits in 1u8..=64, level in proptest::option::of(1i32..4),
        seed in any::<u64>(), sparse in any::<bool>(),
    ) {
        let grid = TokenGrid { t, h, w };
        let mut state = seed | 1;
        let values = (0..grid.len()).map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            if sparse { 0 } else { state >> (64 - bits) }
        }).collect();
        let mut chunk = chunk(grid, bits, values);
        chunk.segment = seed as u32;
        chunk.times.start = seed as i64;
        chunk.times.durations = sparse.then(|| (0..5).map(|i| (seed >> i) as u32).collect());
        let compression = match level {
            None => Compression::Raw,
            Some(3) => Compression::Cm,
            Some(level) => Compression::Zstd { level },
        };
        let payload = StoredChunk::pack(&chunk, compression).unwrap().encode(7).unwrap();
        let limits = Limits::default();
        let (stored, crc) = StoredChunk::decode(&payload, 0, chunk.stream, chunk.sequence, false, &limits).unwrap();
        prop_assert_eq!(crc, 7);
        prop_assert_eq!(stored.unpack().unwrap(), chunk);
    }
}

/// Every way of storing.
const ALL: [Compression; 3] = [Compression::Raw, Compression::Zstd { level: 1 }, Compression::Cm];

#[test]
fn dropped_layers_need_no_unpacking() {
    let mut tokens = chunk(GRID, 11, Vec::new());
    tokens.tokens = elastic(GRID, 11, 3, 5);
    for compression in ALL {
        let stored = StoredChunk::pack(&tokens, compression).unwrap();
        for bits in 1..=12 {
            let mut fewer = stored.clone();
            fewer.truncate_bits(bits);
            let kept = if bits >= 11 { 11 } else { (bits / 3 * 3).max(3) };
            assert_eq!(fewer.bits(), kept);
            let mut expected = tokens.tokens.clone();
            expected.truncate_bits(kept);
            assert_eq!(fewer.unpack().unwrap().tokens, expected);
            let mut exact = tokens.tokens.clone();
            exact.truncate_bits(bits);
            assert_eq!(stored.unpack_planes_only(bits).unwrap().tokens, exact);
        }
    }
}

#[test]
fn layers_that_no_token_has_take_no_bytes() {
    let depths = DepthMap {
        step: 4,
        values: vec![0; GRID.len()],
    };
    let mut none = chunk(GRID, 36, vec![0; GRID.len()]);
    none.tokens = none.tokens.with_depths(depths);
    for compression in ALL {
        let stored = StoredChunk::pack(&none, compression).unwrap();
        assert!(stored.planes.iter().skip(1).all(|layer| layer.bytes.is_empty()));
        assert_eq!(stored.unpack().unwrap(), none);
        let mut wrong = stored.clone();
        wrong.planes[2] = StoredPlane {
            coded: true,
            bytes: vec![1],
        };
        assert!(wrong.unpack().is_err());
    }
}

#[test]
fn depths_that_repeat_get_small() {
    let grid = TokenGrid { t: 4, h: 16, w: 16 };
    let mut deep = chunk(grid, 36, vec![0; grid.len()]);
    let bytes = |tokens: &Chunk| {
        let stored = StoredChunk::pack(tokens, Compression::Cm).unwrap();
        stored.planes.iter().map(|layer| layer.bytes.len()).sum::<usize>()
    };
    // The left half is deep, the right one shallow.
    let values = (0..grid.len())
        .map(|token| if token % 16 < 8 { 36 } else { 6 })
        .collect();
    deep.tokens = deep.tokens.with_depths(DepthMap { step: 3, values });
    assert!(bytes(&deep) < 250, "{} bytes", bytes(&deep));
}

proptest! {
    #[test]
    fn depths_come_back(
        t in 1u32..4, h in 1u32..9, w in 1u32..12, bits in 1u8..=64, step in 1u8..=64, seed in any::<u64>(),
    ) {
        let grid = TokenGrid { t, h, w };
        let mut chunk = chunk(grid, bits, Vec::new());
        chunk.tokens = elastic(grid, bits, step, seed);
        for compression in ALL {
            let payload = StoredChunk::pack(&chunk, compression).unwrap().encode(7).unwrap();
            let limits = Limits::default();
            prop_assert!(StoredChunk::decode(&payload, 0, chunk.stream, chunk.sequence, false, &limits).is_err());
            let (stored, _) =
                StoredChunk::decode(&payload, 0, chunk.stream, chunk.sequence, true, &limits).unwrap();
            prop_assert_eq!(stored.bits(), bits);
            prop_assert_eq!(&stored.encode(7).unwrap(), &payload);
            prop_assert_eq!(&stored.unpack().unwrap(), &chunk);
        }
    }

    #[test]
    fn noise_in_layers_is_no_danger(
        noise in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..8),
        coded in any::<u8>(), h in 1u32..9, w in 1u32..9, step in 1u8..9, coder in 0usize..3,
    ) {
        let planes = noise.into_iter().zip(0..).map(|(bytes, at)| StoredPlane { coded: coded >> at & 1 == 1, bytes });
        let planes: Vec<_> = planes.collect();
        let bits = (planes.len() as u8 * step).min(64);
        let stored = StoredChunk {
            grid: TokenGrid { t: 2, h, w },
            coder: Coder::ALL[coder],
            layers: Some(LayerSizes { step, bits }),
            planes,
            ..StoredChunk::lost(ChunkHead::default(), Times::default(), GRID)
        };
        if let Ok(chunk) = stored.unpack() {
            prop_assert!(chunk.tokens.validate().is_ok());
        }
    }
}

#[test]
fn records_are_those_of_a_file_and_can_be_joined() {
    use crate::{Event, Header, Next, Parser, ReadMode};

    let (video, chunks, bytes) = crate::testing::small();
    let header = Header::from(video);
    let begin = header.record().unwrap();
    assert_eq!(bytes[8..8 + begin.len()], begin[..]);
    let records: Vec<Vec<u8>> = chunks
        .iter()
        .map(|chunk| {
            let stored = StoredChunk::pack(chunk, Compression::Raw).unwrap();
            stored.record(&header).unwrap()
        })
        .collect();
    assert_eq!(
        bytes[8 + begin.len()..][..records.concat().len()],
        records.concat()
    );

    let keys = chunks
        .iter()
        .enumerate()
        .filter_map(|(at, chunk)| chunk.key.then_some(at));
    let keys: Vec<usize> = keys.collect();
    assert!(keys.len() > 1);
    for from in keys {
        let mut parser = Parser::new(Limits::default(), ReadMode::Join);
        parser.push(&begin);
        let mut came = Vec::new();
        for record in &records[from..] {
            parser.push(record);
            while let Next::Event(event) = parser.poll().unwrap() {
                match event {
                    Event::Chunk(chunk) => came.push(chunk),
                    // What a file would have before its header.
                    Event::Lost(lost) => assert_eq!((lost.offset, came.len()), (0, 0)),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(came, chunks[from..]);
    }
}
