//! Tags, chapters and dispositions.

use super::{ffi, positive, to_av};
pub use crate::along::Tags;
use crate::along::{Along, picture};
use crate::options::InputOptions;
use crate::start::Start;
use av::codec::packet::side_data::Type as SideData;
use av::format::stream::Disposition;
use ffmpeg_next as av;
use latentbit_container::{Chapter, Rational, rescale};

/// Tags that describe a container, and not what is in it.
fn is_technical(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let known = [
        "major_brand",
        "minor_version",
        "compatible_brands",
        "encoder",
        "duration",
        "handler_name",
        "vendor_id",
        "orientation",
        "rotate",
        "filename",
        "mimetype",
        "bps",
        "number_of_frames",
        "number_of_bytes",
    ];
    let statistics = [
        "_statistics",
        "duration-",
        "bps-",
        "number_of_",
        "source_id",
        "id3v2_priv",
    ];
    known.contains(&key.as_str()) || statistics.iter().any(|start| key.starts_with(start))
}

/// The tags of a dictionary that are worth keeping. A value may have lines, a key has no control characters.
fn kept(dictionary: &av::DictionaryRef<'_>, except: &[&str]) -> Tags {
    let entries = dictionary.iter().filter(|(key, value)| {
        let legal = (1..=255).contains(&key.len()) && !key.contains(char::is_control);
        legal && !value.is_empty() && !is_technical(key) && !except.contains(key)
    });
    entries
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The names of dispositions; those that containers can hold.
const DISPOSITIONS: [(&str, Disposition); 11] = [
    ("default", Disposition::DEFAULT),
    ("dub", Disposition::DUB),
    ("original", Disposition::ORIGINAL),
    ("comment", Disposition::COMMENT),
    ("lyrics", Disposition::LYRICS),
    ("karaoke", Disposition::KARAOKE),
    ("forced", Disposition::FORCED),
    ("hearing_impaired", Disposition::HEARING_IMPAIRED),
    ("visual_impaired", Disposition::VISUAL_IMPAIRED),
    ("captions", Disposition::CAPTIONS),
    ("descriptions", Disposition::DESCRIPTIONS),
];

/// The disposition that tags name.
pub fn disposition(tags: &Tags) -> Disposition {
    let value = tags.iter().find(|(key, _)| key == picture::DISPOSITION);
    let names = value.map_or("", |(_, value)| value.as_str()).split('+');
    let found = names.filter_map(|name| DISPOSITIONS.iter().find(|(known, _)| *known == name));
    found.fold(Disposition::empty(), |all, (_, one)| all | *one)
}

/// What is said of a stream, apart from the language and title that streams of packets have fields for.
pub fn of_stream(stream: &av::format::stream::Stream<'_>) -> Tags {
    let mut tags = kept(&stream.metadata(), &["language", "title"]);
    let disposition = stream.disposition();
    let names: Vec<&str> = DISPOSITIONS
        .iter()
        .filter(|(_, one)| disposition.contains(*one))
        .map(|(name, _)| *name)
        .collect();
    if names.iter().any(|name| !matches!(*name, "default" | "forced")) {
        tags.push((picture::DISPOSITION.to_owned(), names.join("+")));
    }
    tags
}

/// What is said of a file and of its pictures, which are stream `video`.
pub fn of_input(input: &av::format::context::Input, video: usize, options: &InputOptions) -> Along {
    let mut along = Along {
        tags: kept(&input.metadata(), &[]),
        ..Along::default()
    };
    let Some(stream) = input.stream(video) else {
        return along;
    };
    along.video_tags = kept(&stream.metadata(), &[]);
    along
        .video_tags
        .retain(|(key, value)| key != "language" || value != "und");
    let begins = match stream.start_time() {
        av::ffi::AV_NOPTS_VALUE => 0,
        time => rescale(
            time,
            positive(stream.time_base()).unwrap_or(Rational::NANOSECONDS),
            Rational::NANOSECONDS,
        ),
    };
    // What primes a decoder of sound comes a little before all else; times of chapters do not count it.
    const PRIMING: i64 = 100_000_000;
    let starts = input.streams().filter_map(|stream| {
        let base = positive(stream.time_base())?;
        let known = stream.start_time() != av::ffi::AV_NOPTS_VALUE;
        known.then(|| rescale(stream.start_time(), base, Rational::NANOSECONDS))
    });
    let earliest = starts.min().unwrap_or(begins);
    let primes = (earliest..=begins).contains(&0) && begins.saturating_sub(earliest) < PRIMING;
    let begins = if primes { 0 } else { begins };
    let skipped = match options.start {
        Some(Start::Seconds(seconds)) => (seconds * 1e9) as i64,
        _ => 0,
    };
    let first = begins.saturating_add(skipped);
    let chapters = input.chapters().filter_map(|chapter| {
        let base = positive(chapter.time_base())?;
        let at = |time| {
            u64::try_from(rescale(time, base, Rational::NANOSECONDS).saturating_sub(first)).unwrap_or(0)
        };
        let (start, end) = (at(chapter.start()), at(chapter.end()));
        let title = chapter
            .metadata()
            .get("title")
            .unwrap_or_default()
            .replace(char::is_control, " ");
        (end > 0 || first <= 0).then_some(Chapter {
            start,
            end: end.max(start),
            title,
        })
    });
    along.chapters = chapters.collect();
    along
}

/// What is said of pictures, apart from what describes their colours and fields.
pub fn of_pictures(along: &Along) -> impl Iterator<Item = (&str, &str)> {
    let described = [
        picture::MASTERING_DISPLAY,
        picture::CONTENT_LIGHT,
        picture::ICC_PROFILE,
        picture::BACKGROUND,
        picture::FIELDS,
        picture::SPHERICAL,
    ];
    let entries = along
        .video_tags
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    entries.filter(move |(key, _)| !described.contains(key))
}

/// Describes how bright pictures are, to the muxer of their stream.
pub fn add_side_data(stream: &mut av::format::stream::StreamMut<'_>, along: &Along) {
    if let Some(display) = along
        .picture(picture::MASTERING_DISPLAY)
        .and_then(MasteringDisplay::parse)
    {
        ffi::add_side_data(stream, SideData::MasteringDisplayMetadata, &display.to_libav());
    }
    if let Some(light) = along.picture(picture::CONTENT_LIGHT).and_then(content_light) {
        ffi::add_side_data(
            stream,
            SideData::ContentLightLevel,
            &light.map(u32::to_ne_bytes).concat(),
        );
    }
}

/// `MaxCLL,MaxFALL` as numbers.
fn content_light(text: &str) -> Option<[u32; 2]> {
    let (max, average) = text.split_once(',')?;
    Some([max.trim().parse().ok()?, average.trim().parse().ok()?])
}

/// The tag of a content light level, of which libav gives these bytes.
pub fn content_light_of(bytes: &[u8]) -> Option<(String, String)> {
    let number = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let value = format!("{},{}", number(0)?, number(4)?);
    Some((picture::CONTENT_LIGHT.to_owned(), value))
}

/// The display that pictures were mastered on (SMPTE ST 2086), in the units of [`picture::MASTERING_DISPLAY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MasteringDisplay {
    /// x and y of red, green, blue and white.
    points: [[u32; 2]; 4],
    /// The darkest and the brightest luminance.
    luminance: [u32; 2],
}

const CHROMATICITY: i64 = 50_000;
const LUMINANCE: i64 = 10_000;

impl MasteringDisplay {
    /// Of the bytes that libav has: fractions of x and y of red, green, blue and white, of the darkest and the brightest
    /// luminance, and two flags.
    pub fn of_libav(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| {
            Some(i32::from_ne_bytes(
                bytes.get(at * 4..at * 4 + 4)?.try_into().ok()?,
            ))
        };
        let fraction = |index: usize, unit: i64| {
            let (num, den) = (number(index * 2)?, number(index * 2 + 1)?);
            let scaled = (i64::from(num) * unit * 2 + i64::from(den)).checked_div(2 * i64::from(den))?;
            u32::try_from(scaled).ok()
        };
        let (has_points, has_luminance) = (number(20)? != 0, number(21)? != 0);
        let mut display = Self {
            points: [[0; 2]; 4],
            luminance: [0; 2],
        };
        for (index, value) in display
            .points
            .iter_mut()
            .flatten()
            .enumerate()
            .filter(|_| has_points)
        {
            *value = fraction(index, CHROMATICITY)?;
        }
        for (index, value) in display.luminance.iter_mut().enumerate().filter(|_| has_luminance) {
            *value = fraction(8 + index, LUMINANCE)?;
        }
        (has_points || has_luminance).then_some(display)
    }

    fn to_libav(self) -> Vec<u8> {
        let points = self.points.iter().flatten().map(|&value| (value, CHROMATICITY));
        let luminance = self.luminance.iter().map(|&value| (value, LUMINANCE));
        let mut numbers: Vec<i32> = points
            .chain(luminance)
            .flat_map(|(value, unit)| [i32::try_from(value).unwrap_or(i32::MAX), unit as i32])
            .collect();
        numbers.push(i32::from(self.points.iter().flatten().any(|&value| value > 0)));
        numbers.push(i32::from(self.luminance.iter().any(|&value| value > 0)));
        numbers.into_iter().flat_map(i32::to_ne_bytes).collect()
    }

    /// As x265 writes it.
    pub fn text(&self) -> String {
        let [r, g, b, w] = self.points.map(|[x, y]| format!("({x},{y})"));
        let [min, max] = self.luminance;
        format!("G{g}B{b}R{r}WP{w}L({max},{min})")
    }

    fn parse(text: &str) -> Option<Self> {
        let pair = |name: &str| {
            let rest = &text[text.find(&format!("{name}("))? + name.len() + 1..];
            let (first, second) = rest.split_once(')')?.0.split_once(',')?;
            Some([first.trim().parse().ok()?, second.trim().parse().ok()?])
        };
        let [max, min] = pair("L")?;
        Some(Self {
            points: [pair("R")?, pair("G")?, pair("B")?, pair("WP")?],
            luminance: [min, max],
        })
    }
}

/// A dictionary of libav, which takes no zero bytes.
pub fn dictionary<'a, V: AsRef<str> + 'a>(
    entries: impl IntoIterator<Item = (&'a str, V)>,
) -> av::Dictionary<'static> {
    let mut dictionary = av::Dictionary::new();
    for (key, value) in entries {
        if !key.contains('\0') && !value.as_ref().contains('\0') && key != picture::DISPOSITION {
            dictionary.set(key, value.as_ref());
        }
    }
    dictionary
}

/// Adds chapters to an output.
pub fn add_chapters(output: &mut av::format::context::Output, chapters: &[Chapter]) {
    let time = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
    for (number, chapter) in (1..).zip(chapters) {
        // A title with a zero byte cannot be there: `.lbit` has no control characters in it.
        let title = chapter.title.replace('\0', " ");
        let base = to_av(Rational::NANOSECONDS);
        // It fails for want of memory only.
        let _ = output.add_chapter(number, base, time(chapter.start), time(chapter.end), title);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mastering_displays_there_and_back() {
        let text = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)";
        let display = MasteringDisplay::parse(text).unwrap();
        assert_eq!(display.text(), text);
        assert_eq!(MasteringDisplay::of_libav(&display.to_libav()), Some(display));
        assert_eq!(MasteringDisplay::of_libav(&[0; 88]), None);
        assert_eq!(MasteringDisplay::of_libav(&[7; 20]), None);
        for wrong in ["", "G(1,2)", "G(1,2)B(x,y)R(1,2)WP(1,2)L(1,2)", "L(1"] {
            assert_eq!(MasteringDisplay::parse(wrong), None, "{wrong}");
        }
        let light = content_light_of(&[1000u32, 400].map(u32::to_ne_bytes).concat()).unwrap();
        assert_eq!(
            (light.1.as_str(), content_light(&light.1)),
            ("1000,400", Some([1000, 400]))
        );
    }

    #[test]
    fn technical_tags_stay_behind() {
        for key in [
            "DURATION",
            "encoder",
            "_STATISTICS_TAGS",
            "BPS-eng",
            "handler_name",
            "major_brand",
        ] {
            assert!(is_technical(key), "{key}");
        }
        for key in ["title", "artist", "comment", "timecode", "creation_time"] {
            assert!(!is_technical(key), "{key}");
        }
    }
}
