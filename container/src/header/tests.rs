use super::*;
use crate::error::ErrorKind;
use crate::ground::TokenGrid;
use crate::testing::{any_video, sound, video};
use crate::units::{LatentFrames, PixelFrames};
use proptest::prelude::*;

fn header() -> Header {
    Header {
        streams: vec![Stream::Video(video()), Stream::Packets(sound())],
    }
}

fn decode(payload: &[u8]) -> Result<Header> {
    Header::decode(payload, 36, &Limits::default()).map(|(header, _)| header)
}

#[test]
fn grid_rounds_up() {
    let mut video = video();
    (video.width, video.height, video.patch) = (17, 16, [2, 1, 2]);
    assert_eq!(video.grid(LatentFrames(3)), TokenGrid { t: 2, h: 2, w: 2 });
    (video.width, video.strides, video.patch) = (u32::MAX, [0; 3], [0; 3]);
    assert_eq!(video.grid(LatentFrames(1)).w, u32::MAX);
}

#[test]
fn each_rule_is_checked() {
    fn fails(change: impl Fn(&mut VideoStream)) -> String {
        let mut video = video();
        change(&mut video);
        let error = Header::from(video).validate().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parameter);
        error.to_string()
    }
    assert!(fails(|h| h.width = 0).contains("frame width"));
    assert!(fails(|h| h.height = 0).contains("frame height"));
    assert!(fails(|h| h.frame_rate.den = 0).contains("frame rate"));
    assert!(fails(|h| h.time_base.num = 0).contains("time base"));
    assert!(fails(|h| h.pixel_aspect.den = 0).contains("pixel aspect"));
    assert!(fails(|h| h.chroma_location = 7).contains("chroma location"));
    assert!(fails(|h| h.bit_depth = 17).contains("bit depth"));
    assert!(fails(|h| h.bits = 0).contains("bits per token"));
    assert!(fails(|h| h.bits = h.bundle_bits + 1).contains("bits per token"));
    assert!(fails(|h| h.bundle_bits = 65).contains("bits of the bundle"));
    assert!(fails(|h| h.patch[1] = 0).contains("patch"));
    assert!(fails(|h| h.strides[2] = 0).contains("strides"));
    assert!(fails(|h| h.chunk_latent_frames = 0).contains("latent frames"));
    assert!(fails(|h| h.frame_count = Some(PixelFrames(u64::MAX))).contains("frame count"));
    assert!(fails(|h| h.bundle.name.clear()).contains("bundle name"));
    assert!(fails(|h| h.bundle.name = "x".repeat(256)).contains("256 bytes"));
    assert!(fails(|h| h.bundle.name = "a\u{1b}b".into()).contains("control"));
}

#[test]
fn versions() {
    let payload = header().encode().unwrap();
    let with = |at: usize, value: u16| {
        let mut payload = payload.clone();
        payload[at..at + 2].copy_from_slice(&value.to_le_bytes());
        payload
    };
    assert_eq!(decode(&with(0, 2)).unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(decode(&with(2, 9)).is_ok(), "a higher minor is read on");
    let mut newer = with(2, 9);
    newer[4] = 2;
    assert_eq!(decode(&newer).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(decode(&with(4, 1)).unwrap_err().kind(), ErrorKind::Format);
}

/// A plain file is of version 1.0; an elastic one says that a reader must know 1.1.
#[test]
fn elastic_streams_ask_for_a_newer_reader() {
    let plain = header();
    let mut elastic = plain.clone();
    if let Stream::Video(video) = &mut elastic.streams[0] {
        video.depth_step = Some(3);
    }
    let (old, new) = (plain.encode().unwrap(), elastic.encode().unwrap());
    assert_eq!(old[..6], [1, 0, 0, 0, 0, 0]);
    assert_eq!(new[..6], [1, 0, 1, 0, 1, 0]);
    assert_eq!((new.len(), decode(&new).unwrap()), (old.len() + 1, elastic));
    // What an older reader may ignore is no step of depths.
    let mut ignorable = new;
    ignorable[4] = 0;
    assert_eq!(decode(&ignorable).unwrap(), plain);
}

#[test]
fn later_fields_are_ignored() {
    let mut payload = header().encode().unwrap();
    payload.extend_from_slice(b"more");
    assert_eq!(decode(&payload).unwrap(), header());
}

#[test]
fn short_payloads_fail() {
    let payload = header().encode().unwrap();
    for len in 0..payload.len() {
        let error = decode(&payload[..len]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format, "{len}: {error}");
    }
}

#[test]
fn sides_are_limited() {
    let mut big = video();
    big.width = 20000;
    let error = decode(&Header::from(big).encode().unwrap()).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (ErrorKind::Limits, Some(36 + 16)));
    let mut long = video();
    long.chunk_latent_frames = 1025;
    let error = decode(&Header::from(long).encode().unwrap()).unwrap_err();
    assert!(error.to_string().contains("max_chunk_frames"), "{error}");
}

proptest! {
    #[test]
    fn round_trip(videos in proptest::collection::vec(any_video(), 1..3), with_sound in any::<bool>()) {
        let mut streams: Vec<Stream> = videos.into_iter().map(Stream::Video).collect();
        if with_sound {
            streams.push(Stream::Packets(sound()));
        }
        let header = Header { streams };
        let payload = header.encode().unwrap();
        prop_assert_eq!(Header::decode(&payload, 0, &Limits::none()).unwrap().0, header);
    }
}

#[test]
fn unknown_kinds_are_kept_as_such() {
    let mut payload = header().encode().unwrap();
    let at = 8 + 8 + u32::from_le_bytes(payload[8..12].try_into().unwrap()) as usize + 4;
    payload[at] = 77;
    let read = decode(&payload).unwrap();
    assert_eq!(read.streams[1], Stream::Unknown { kind: 77 });
    assert_eq!(read.first_video().unwrap().0, StreamId(0));
    assert!(read.encode().is_err());
}

#[test]
fn codecs_have_names() {
    for codec in ["", "A OPUS", "Ä"] {
        let streams = vec![Stream::Packets(PacketStream {
            codec: codec.into(),
            ..sound()
        })];
        assert!(Header { streams }.validate().is_err());
    }
    assert!(Header { streams: Vec::new() }.validate().is_err());
}
