//! One entry of Matroska's list of tracks (RFC 9559).

use latentbit_container::{PacketKind, PacketStream, Rational};

use super::ebml::{elements, find, float, put, put_unsigned, text, unsigned};

const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_a966;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK_ENTRY: u32 = 0xae;
const CLUSTER: u32 = 0x1f43_b675;
const CODEC_ID: u32 = 0x86;
const CODEC_PRIVATE: u32 = 0x63a2;
const CODEC_DELAY: u32 = 0x56aa;
const SEEK_PREROLL: u32 = 0x56bb;
const AUDIO: u32 = 0xe1;
const SAMPLING_FREQUENCY: u32 = 0xb5;
const CHANNELS: u32 = 0x9f;
const BIT_DEPTH: u32 = 0x6264;

/// What a track says of its codec.
#[derive(Debug, Default, PartialEq)]
pub struct Track {
    /// Whether it is sound; else it is subtitles.
    pub audio: bool,
    pub codec: String,
    pub private: Vec<u8>,
    pub sample_rate: u32,
    pub channels: u16,
    pub bits_per_sample: u16,
    pub codec_delay: u64,
    pub seek_preroll: u64,
}

impl Track {
    /// The first track of a Matroska file.
    pub fn read(file: &[u8]) -> Option<Self> {
        let entry = find(find(find(file, SEGMENT)?, TRACKS)?, TRACK_ENTRY)?;
        let mut track = Self::default();
        for (id, content) in elements(entry) {
            match id {
                CODEC_ID => track.codec = text(content),
                CODEC_PRIVATE => track.private = content.to_vec(),
                CODEC_DELAY => track.codec_delay = unsigned(content),
                SEEK_PREROLL => track.seek_preroll = unsigned(content),
                AUDIO => {
                    track.audio = true;
                    track.sample_rate = 8000;
                    track.channels = 1;
                    track.read_audio(content);
                }
                _ => {}
            }
        }
        (!track.codec.is_empty()).then_some(track)
    }

    fn read_audio(&mut self, content: &[u8]) {
        for (id, content) in elements(content) {
            match id {
                SAMPLING_FREQUENCY => self.sample_rate = float(content) as u32,
                CHANNELS => self.channels = u16::try_from(unsigned(content)).unwrap_or(0),
                BIT_DEPTH => self.bits_per_sample = u16::try_from(unsigned(content)).unwrap_or(0),
                _ => {}
            }
        }
    }

    /// A Matroska file with this track and nothing in it.
    pub fn write(&self) -> Vec<u8> {
        let mut entry = Vec::new();
        // Number, identifier, kind, and no lacing.
        put_unsigned(&mut entry, 0xd7, 1);
        put_unsigned(&mut entry, 0x73c5, 1);
        put_unsigned(&mut entry, 0x83, if self.audio { 2 } else { 17 });
        put_unsigned(&mut entry, 0x9c, 0);
        put(&mut entry, CODEC_ID, self.codec.as_bytes());
        if !self.private.is_empty() {
            put(&mut entry, CODEC_PRIVATE, &self.private);
        }
        put_unsigned(&mut entry, CODEC_DELAY, self.codec_delay);
        put_unsigned(&mut entry, SEEK_PREROLL, self.seek_preroll);
        if self.audio {
            let mut audio = Vec::new();
            put(
                &mut audio,
                SAMPLING_FREQUENCY,
                &f64::from(self.sample_rate).to_be_bytes(),
            );
            put_unsigned(&mut audio, CHANNELS, u64::from(self.channels));
            if self.bits_per_sample > 0 {
                put_unsigned(&mut audio, BIT_DEPTH, u64::from(self.bits_per_sample));
            }
            put(&mut entry, AUDIO, &audio);
        }
        let mut tracks = Vec::new();
        put(&mut tracks, TRACK_ENTRY, &entry);
        let mut info = Vec::new();
        // Nanoseconds per tick, and who writes.
        put_unsigned(&mut info, 0x002a_d7b1, 1_000_000);
        put(&mut info, 0x4d80, b"latentbit");
        put(&mut info, 0x5741, b"latentbit");
        let mut segment = Vec::new();
        put(&mut segment, INFO, &info);
        put(&mut segment, TRACKS, &tracks);
        // libav looks for tracks until a cluster comes; this one has no more than its time.
        let mut cluster = Vec::new();
        put_unsigned(&mut cluster, 0xe7, 0);
        put(&mut segment, CLUSTER, &cluster);
        let mut head = Vec::new();
        for (id, value) in [(0x4286, 1), (0x42f7, 1), (0x42f2, 4), (0x42f3, 8)] {
            put_unsigned(&mut head, id, value);
        }
        put(&mut head, 0x4282, b"matroska");
        put_unsigned(&mut head, 0x4287, 4);
        put_unsigned(&mut head, 0x4285, 2);
        let mut file = Vec::new();
        put(&mut file, EBML, &head);
        put(&mut file, SEGMENT, &segment);
        file
    }

    /// The description of a `.lbit` file.
    pub fn into_stream(self, kind: PacketKind, time_base: Rational) -> PacketStream {
        let mut stream = PacketStream::new(kind, self.codec, time_base)
            .with_private(self.private)
            .with_sound(self.sample_rate, self.channels);
        stream.bits_per_sample = self.bits_per_sample;
        (stream.codec_delay, stream.seek_preroll) = (self.codec_delay, self.seek_preroll);
        stream
    }

    pub fn from_stream(stream: &PacketStream) -> Self {
        Self {
            audio: stream.kind == PacketKind::Audio,
            codec: stream.codec.clone(),
            private: stream.private.clone(),
            sample_rate: stream.sample_rate,
            channels: stream.channels,
            bits_per_sample: stream.bits_per_sample,
            codec_delay: stream.codec_delay,
            seek_preroll: stream.seek_preroll,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_tracks_are_read() {
        let sound = Track {
            audio: true,
            codec: "A_OPUS".to_owned(),
            private: vec![1, 2, 3],
            sample_rate: 48000,
            channels: 6,
            bits_per_sample: 24,
            codec_delay: 6_500_000,
            seek_preroll: 80_000_000,
        };
        assert_eq!(Track::read(&sound.write()).as_ref(), Some(&sound));
        let subtitles = Track {
            codec: "S_TEXT/UTF8".to_owned(),
            ..Track::default()
        };
        assert_eq!(Track::read(&subtitles.write()), Some(subtitles));
        let file = sound.write();
        for len in 0..file.len() {
            let _ = Track::read(&file[..len]);
        }
        assert_eq!(Track::read(b"no file"), None);
    }
}
