//! Sound beside the pictures.

use latentbit_media::InputOptions;

use crate::support::{Files, Seen, X264};

fn with_sound(files: &Files, name: &str) -> Seen {
    files.open(name, &InputOptions::default().with_packets(true, true))
}

/// What libav has in the packets of the first stream of sound.
fn bytes(files: &Files, name: &str, filter: &str) -> Vec<u8> {
    files.ffmpeg(&format!("-i {name} -map 0:a:0 -c copy {filter} -f data -"))
}

#[test]
fn sound_goes_through_whatever_its_container() {
    let files = Files::new();
    let source = "-f lavfi -i testsrc2=s=64x48:r=25:d=1 -f lavfi -i sine=d=1";
    for (name, encoder, codec, filter) in [
        ("mp2.ts", "-c:a mp2", "A_MPEG/L2", ""),
        ("mp3.ts", "-c:a libmp3lame", "A_MPEG/L3", ""),
        ("ac3.ts", "-c:a ac3", "A_AC3", ""),
        ("mp2.mpg", "-c:v mpeg2video -c:a mp2", "A_MPEG/L2", ""),
        ("aac.ts", "-c:a aac", "A_AAC", "-bsf:a aac_adtstoasc"),
        ("aac.mp4", "-c:a aac", "A_AAC", ""),
        ("aac.flv", "-c:a aac", "A_AAC", ""),
        ("mp3.avi", "-c:v mpeg4 -c:a libmp3lame", "A_MPEG/L3", ""),
        ("alac.mov", "-c:a alac", "A_ALAC", ""),
        ("mulaw.mov", "-c:a pcm_mulaw", "A_MS/ACM", ""),
        ("pcm.mov", "-c:a pcm_s16le", "A_PCM/INT/LIT", ""),
        (
            "opus.webm",
            "-c:v libvpx -deadline realtime -c:a libopus",
            "A_OPUS",
            "",
        ),
        (
            "vorbis.webm",
            "-c:v libvpx -deadline realtime -c:a libvorbis",
            "A_VORBIS",
            "",
        ),
        ("flac.mkv", "-c:a flac", "A_FLAC", ""),
        ("eac3.mkv", "-c:a eac3", "A_EAC3", ""),
    ] {
        let video = if encoder.contains("-c:v") { "" } else { X264 };
        files.ffmpeg(&format!("{source} {video} {encoder} {name}"));
        let seen = with_sound(&files, name);
        let codecs: Vec<&str> = seen
            .info
            .packet_streams
            .iter()
            .map(|s| s.codec.as_str())
            .collect();
        assert_eq!(codecs, [codec], "{name}");
        let found: Vec<u8> = seen.packets.iter().flat_map(|packet| packet.3.clone()).collect();
        assert!(
            found == bytes(&files, name, filter),
            "{name}: {} bytes",
            found.len()
        );
        let span = seen.packets.iter().map(|p| p.1 + p.2).fold(0.0, f64::max);
        assert!((0.9..1.2).contains(&span), "{name}: {span}");
    }
}

#[test]
fn opus_ends_where_it_ended() {
    let files = Files::new();
    for name in ["a.mkv", "a.webm", "a.mp4"] {
        let video = if name == "a.webm" {
            "-c:v libvpx -deadline realtime"
        } else {
            X264
        };
        files.ffmpeg(&format!(
            "-f lavfi -i testsrc2=s=64x48:r=25:d=1 -f lavfi -i sine=d=0.777 {video} -c:a libopus {name}"
        ));
        let seen = with_sound(&files, name);
        let heard: f64 = seen.packets.iter().map(|packet| packet.2).sum();
        // With the samples before the first one that is heard.
        assert!((heard - 0.777 - 0.0065).abs() < 0.003, "{name}: {heard}");
    }
}

#[test]
fn tracks_keep_their_names_order_and_purpose() {
    let files = Files::new();
    files.write("s.srt", b"1\n00:00:00,200 --> 00:00:00,800\nhello\n");
    files.write(
        "m.txt",
        b";FFMETADATA1\ntitle=My film\nartist=Someone\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=One\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=500\nEND=1000\ntitle=Two\n",
    );
    let source = "-f lavfi -i testsrc2=s=64x48:r=25:d=1 -f lavfi -i sine=d=1 -f lavfi -i sine=f=880:d=1 -i s.srt -i m.txt";
    let maps = "-map 0:v -map 1:a -map 2:a -map 3:s -map_metadata 4 -map_chapters 4";
    let flags = "-disposition:a:0 comment -disposition:a:1 default -disposition:s:0 forced";
    let tags = "-metadata:s:a:0 language=eng -metadata:s:a:1 language=jpn -metadata:s:a:1 title=Commentary";
    for (name, codecs) in [
        ("a.mkv", "-c:a libopus -c:s srt"),
        ("a.mp4", "-c:a aac -c:s mov_text"),
    ] {
        files.ffmpeg(&format!("{source} {maps} {X264} {codecs} {flags} {tags} {name}"));
        let info = with_sound(&files, name).info;
        let streams: Vec<_> = info
            .packet_streams
            .iter()
            .map(|s| (s.language.as_str(), s.default, s.forced))
            .collect();
        assert_eq!(
            streams[..2],
            [("eng", false, false), ("jpn", true, false)],
            "{name}"
        );
        assert_eq!(info.packet_streams.len(), 3);
        let find = |key: &str| {
            info.along
                .tags
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(key))
        };
        assert_eq!(find("title").unwrap().1, "My film", "{name}");
        assert_eq!(find("artist").unwrap().1, "Someone", "{name}");
        assert!(find("encoder").is_none(), "{name}");
        let chapters: Vec<_> = info
            .along
            .chapters
            .iter()
            .map(|c| (c.start, c.end, c.title.as_str()))
            .collect();
        assert_eq!(
            chapters,
            [(0, 500_000_000, "One"), (500_000_000, 1_000_000_000, "Two")],
            "{name}"
        );
        if name == "a.mkv" {
            assert!(info.packet_streams[2].forced);
            assert_eq!(info.packet_streams[1].title, "Commentary");
            assert_eq!(
                info.along.packet_tags[0],
                [("disposition".to_owned(), "comment".to_owned())]
            );
        }
    }
}
