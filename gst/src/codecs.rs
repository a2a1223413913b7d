//! Packets of other codecs: Matroska's names, in the terms of GStreamer.

use latentbit_container::{PacketKind, PacketStream};

/// A stream of packets for GStreamer.
#[derive(Debug)]
pub struct Described {
    pub caps: gst::Caps,
    /// What the decoder must be pushed before all packets.
    pub first: Option<Vec<u8>>,
}

/// Describes a stream; none if GStreamer has no name for its codec, or needs what the stream does not say.
pub fn describe(stream: &PacketStream) -> Option<Described> {
    let mut first = None;
    let sound = |name: &str| {
        gst::Caps::builder(name)
            .field_if_some("rate", positive(stream.sample_rate))
            .field_if_some("channels", positive(u32::from(stream.channels)))
    };
    let private = || Some(stream.private.clone()).filter(|private| !private.is_empty());
    let caps = match stream.codec.as_str() {
        "A_OPUS" => opus(stream)?,
        "A_AAC" => sound("audio/mpeg")
            .field("mpegversion", 4)
            .field("framed", true)
            .field("stream-format", "raw")
            .field("codec_data", gst::Buffer::from_slice(private()?))
            .build(),
        "A_MPEG/L1" => sound("audio/mpeg")
            .field("mpegversion", 1)
            .field("layer", 1)
            .build(),
        "A_MPEG/L2" => sound("audio/mpeg")
            .field("mpegversion", 1)
            .field("layer", 2)
            .build(),
        "A_MPEG/L3" => sound("audio/mpeg")
            .field("mpegversion", 1)
            .field("layer", 3)
            .build(),
        "A_VORBIS" => {
            let headers = xiph(&stream.private)?.map(header_buffer);
            sound("audio/x-vorbis")
                .field("streamheader", gst::Array::new(headers))
                .build()
        }
        "A_FLAC" => {
            // Its parser reads the header from the stream.
            first = private();
            sound("audio/x-flac").build()
        }
        "A_AC3" => sound("audio/x-ac3").build(),
        "A_EAC3" => sound("audio/x-eac3").build(),
        "A_DTS" => sound("audio/x-dts").build(),
        "A_TRUEHD" => sound("audio/x-true-hd").build(),
        "A_ALAC" => {
            // The box that MP4 has it in.
            let mut cookie = vec![0, 0, 0, 36];
            cookie.extend_from_slice(b"alac\0\0\0\0");
            cookie.extend_from_slice(&private()?);
            sound("audio/x-alac")
                .field("codec_data", gst::Buffer::from_slice(cookie))
                .build()
        }
        "A_PCM/INT/LIT" | "A_PCM/INT/BIG" | "A_PCM/FLOAT/IEEE" => pcm(stream)?,
        "S_TEXT/UTF8" => gst::Caps::builder("text/x-raw").field("format", "utf8").build(),
        "S_TEXT/ASS" | "S_TEXT/SSA" => gst::Caps::builder("application/x-ssa")
            .field_if_some("codec_data", private().map(gst::Buffer::from_slice))
            .build(),
        _ => return None,
    };
    Some(Described { caps, first })
}

/// The name of a pad, by what its packets are for.
pub const fn pad_template(kind: PacketKind) -> &'static str {
    match kind {
        PacketKind::Audio => "audio_%u",
        _ => "subtitle_%u",
    }
}

fn positive(number: u32) -> Option<i32> {
    i32::try_from(number).ok().filter(|&number| number > 0)
}

fn header_buffer(bytes: &[u8]) -> gst::glib::SendValue {
    let mut buffer = gst::Buffer::from_slice(bytes.to_vec());
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_flags(gst::BufferFlags::HEADER);
    }
    gst::prelude::ToSendValue::to_send_value(&buffer)
}

/// Opus, by its header (RFC 7845, §5.1).
fn opus(stream: &PacketStream) -> Option<gst::Caps> {
    let header = stream.private.as_slice();
    let rate = header
        .get(12..16)?
        .first_chunk()
        .map(|rate| u32::from_le_bytes(*rate))?;
    let (&channels, &family) = (header.get(9)?, header.get(18)?);
    if !header.starts_with(b"OpusHead") || channels == 0 {
        return None;
    }
    // No comments: an empty name of the encoder, and no more.
    let headers = [header, b"OpusTags\0\0\0\0\0\0\0\0"].map(header_buffer);
    let caps = gst::Caps::builder("audio/x-opus")
        .field("rate", positive(rate).unwrap_or(48_000))
        .field("channels", i32::from(channels))
        .field("channel-mapping-family", i32::from(family))
        .field("streamheader", gst::Array::new(headers));
    if family == 0 {
        return (channels <= 2).then(|| caps.build());
    }
    let (&streams, &coupled) = (header.get(19)?, header.get(20)?);
    let mapping = header.get(21..21 + usize::from(channels))?;
    let mapping = gst::Array::new(mapping.iter().map(|&channel| i32::from(channel)));
    Some(
        caps.field("stream-count", i32::from(streams))
            .field("coupled-count", i32::from(coupled))
            .field("channel-mapping", mapping)
            .build(),
    )
}

/// Samples as they are.
fn pcm(stream: &PacketStream) -> Option<gst::Caps> {
    use gst_audio::AudioFormat;

    let format = match (stream.codec.as_str(), stream.bits_per_sample) {
        // Matroska has samples of a byte without a sign.
        (_, 8) => AudioFormat::U8,
        ("A_PCM/INT/LIT", 16) => AudioFormat::S16le,
        ("A_PCM/INT/LIT", 24) => AudioFormat::S24le,
        ("A_PCM/INT/LIT", 32) => AudioFormat::S32le,
        ("A_PCM/INT/BIG", 16) => AudioFormat::S16be,
        ("A_PCM/INT/BIG", 24) => AudioFormat::S24be,
        ("A_PCM/INT/BIG", 32) => AudioFormat::S32be,
        ("A_PCM/FLOAT/IEEE", 32) => AudioFormat::F32le,
        ("A_PCM/FLOAT/IEEE", 64) => AudioFormat::F64le,
        _ => return None,
    };
    let channels = positive(u32::from(stream.channels))?;
    let caps = gst_audio::AudioCapsBuilder::new_interleaved()
        .format(format)
        .rate(positive(stream.sample_rate)?)
        .channels(channels);
    Some(match channels {
        1 | 2 => caps.build(),
        _ => caps.fallback_channel_mask().build(),
    })
}

/// The three headers of Vorbis, as Matroska has them: their number less one, the lengths of all but the last, their bytes.
fn xiph(private: &[u8]) -> Option<[&[u8]; 3]> {
    let (&2, mut rest) = private.split_first()? else {
        return None;
    };
    let mut lengths = [0usize; 2];
    for length in &mut lengths {
        loop {
            let (&part, after) = rest.split_first()?;
            rest = after;
            *length += usize::from(part);
            if part < 255 {
                break;
            }
        }
    }
    let (identification, rest) = rest.split_at_checked(lengths[0])?;
    let (comments, setup) = rest.split_at_checked(lengths[1])?;
    Some([identification, comments, setup])
}

#[cfg(test)]
mod tests {
    use latentbit_container::Rational;

    use super::*;

    fn stream(codec: &str, private: &[u8], bits: u16) -> PacketStream {
        gst::init().unwrap();
        let time_base = Rational { num: 1, den: 48_000 };
        let mut stream = PacketStream::new(PacketKind::Audio, codec, time_base)
            .with_sound(44_100, 2)
            .with_private(private.to_vec());
        stream.bits_per_sample = bits;
        stream
    }

    #[test]
    fn headers_of_vorbis_are_cut_apart() {
        let mut private = vec![2, 3, 255, 1];
        private.extend_from_slice(b"abc");
        private.extend_from_slice(&[7; 256]);
        private.extend_from_slice(b"setup");
        let [first, second, third] = xiph(&private).unwrap();
        assert_eq!((first, second.len(), third), (&b"abc"[..], 256, &b"setup"[..]));
        for len in 0..private.len() - 5 {
            assert!(xiph(&private[..len]).is_none(), "{len}");
        }
        assert!(describe(&stream("A_VORBIS", &private, 0)).is_some());
        assert!(describe(&stream("A_VORBIS", b"", 0)).is_none());
    }

    #[test]
    fn what_opus_says_of_itself_is_checked() {
        let mut header = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0".to_vec();
        let caps = describe(&stream("A_OPUS", &header, 0)).unwrap().caps;
        let fields = caps.structure(0).unwrap();
        assert_eq!(fields.get::<i32>("channels"), Ok(2));
        assert_eq!(fields.get::<i32>("rate"), Ok(48_000));
        for len in 0..header.len() {
            assert!(describe(&stream("A_OPUS", &header[..len], 0)).is_none(), "{len}");
        }
        // Six channels in a family that has two at most, and in the one that has a table.
        header[9] = 6;
        assert!(describe(&stream("A_OPUS", &header, 0)).is_none());
        header[18] = 1;
        assert!(describe(&stream("A_OPUS", &header, 0)).is_none());
        header.extend_from_slice(&[4, 2, 0, 4, 1, 2, 3, 5]);
        assert!(describe(&stream("A_OPUS", &header, 0)).is_some());
    }

    #[test]
    fn samples_have_the_format_of_their_width() {
        let format = |codec, bits| {
            let caps = describe(&stream(codec, b"", bits))?.caps;
            caps.structure(0)?.get::<String>("format").ok()
        };
        assert_eq!(format("A_PCM/INT/LIT", 16).as_deref(), Some("S16LE"));
        assert_eq!(format("A_PCM/INT/BIG", 24).as_deref(), Some("S24BE"));
        assert_eq!(format("A_PCM/FLOAT/IEEE", 64).as_deref(), Some("F64LE"));
        assert_eq!(format("A_PCM/INT/LIT", 8).as_deref(), Some("U8"));
        assert_eq!(format("A_PCM/INT/LIT", 20), None);
        assert!(describe(&stream("A_NOBODY/KNOWS", b"", 0)).is_none());
    }
}
