//! Metadata and chapters (LBIT §7.2, §7.3).

use crate::error::{Broken, Result};
use crate::fields::{Fields, put_text, put_varint};
use crate::ground::StreamId;
use crate::header::Header;
use crate::limits::NotesBudget;

/// Keys that LBIT §7.2 gives a meaning.
pub mod key {
    /// A name for people.
    pub const TITLE: &str = "title";
    /// Name of the file that the video came from, without folders.
    pub const ORIGINAL_NAME: &str = "original_name";
    /// The program that wrote the file, and its version.
    pub const ENCODER: &str = "encoder";
    /// When the video was taken, as ISO 8601.
    pub const DATE: &str = "date";
    /// What was lost, in a file that was made of a damaged one; for people.
    pub const RECOVERED: &str = "recovered";
    /// When the file was written, as ISO 8601.
    pub const ENCODED_DATE: &str = "encoded_date";
}

/// Keys and values about a file or a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The stream that they are about, or [`StreamId::NONE`] for the file.
    pub stream: StreamId,
    /// In the order in which they were written. Keys have 1 to 255 bytes without control characters.
    pub entries: Vec<(String, String)>,
}

impl Metadata {
    /// The value of `key`, if it is there.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|(name, _)| name == key);
        entry.map(|(_, value)| value.as_str())
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, Broken> {
        self.check()?;
        let mut out = Vec::new();
        put_varint(&mut out, self.entries.len() as u64);
        for (key, value) in &self.entries {
            put_text(&mut out, key);
            put_text(&mut out, value);
        }
        Ok(out)
    }

    /// Reads the payload of a metadata record that starts at `offset`.
    pub(crate) fn decode(
        payload: &[u8],
        offset: u64,
        stream: StreamId,
        budget: &mut NotesBudget,
    ) -> Result<Self> {
        budget.record(payload.len(), offset)?;
        let mut fields = Fields::new(payload, offset, None);
        let count = fields.varint("number of metadata entries")?;
        let mut entries = Vec::new();
        // The count may be false: what is there decides.
        for _ in 0..count {
            budget.entry(offset)?;
            let key = fields.text("metadata key")?;
            entries.push((key, fields.text("metadata value")?));
        }
        fields.end("metadata record")?;
        let metadata = Self { stream, entries };
        metadata.check().map_err(|broken| broken.in_file(offset, None))?;
        Ok(metadata)
    }

    fn check(&self) -> Result<(), Broken> {
        let bad = |key: &str| !(1..=255).contains(&key.len()) || key.contains(char::is_control);
        match self.entries.iter().find(|(key, _)| bad(key)) {
            None => Ok(()),
            Some((key, _)) => {
                let expected = "1 to 255 bytes without control characters";
                Err(Broken::new("metadata key", expected, key.escape_debug()))
            }
        }
    }
}

/// Fails if metadata is about a stream that a file with this header does not have.
pub(crate) fn check_stream(header: &Header, stream: StreamId) -> Result<(), Broken> {
    match stream == StreamId::NONE || stream.index() < header.streams.len() {
        true => Ok(()),
        false => Err(Broken::new(
            "stream of metadata",
            "one of the file, or none",
            stream,
        )),
    }
}

/// A part of the file that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chapter {
    /// Where it starts, in nanoseconds.
    pub start: u64,
    /// Where it ends, in nanoseconds; not before its start, and below 2^63.
    pub end: u64,
    /// Its name, without control characters.
    pub title: String,
}

/// The latest end of a chapter, so that it can be held as a signed number, as other times.
const LAST_END: u64 = i64::MAX as u64;

fn check_title(title: &str) -> Result<(), Broken> {
    match title.contains(char::is_control) {
        false => Ok(()),
        true => Err(Broken::new(
            "title of a chapter",
            "no control characters",
            title.escape_debug(),
        )),
    }
}

pub(crate) fn encode_chapters(chapters: &[Chapter]) -> Result<Vec<u8>, Broken> {
    let mut out = Vec::new();
    put_varint(&mut out, chapters.len() as u64);
    for chapter in chapters {
        let Some(length) = chapter.end.checked_sub(chapter.start) else {
            let expected = format!("at least {}", chapter.start);
            return Err(Broken::new("end of a chapter", expected, chapter.end));
        };
        if chapter.end > LAST_END {
            return Err(Broken::new(
                "end of a chapter",
                "less than 2^63 nanoseconds",
                chapter.end,
            ));
        }
        check_title(&chapter.title)?;
        put_varint(&mut out, chapter.start);
        put_varint(&mut out, length);
        put_text(&mut out, &chapter.title);
    }
    Ok(out)
}

/// Reads the payload of a chapter record that starts at `offset`.
pub(crate) fn decode_chapters(payload: &[u8], offset: u64, budget: &mut NotesBudget) -> Result<Vec<Chapter>> {
    budget.record(payload.len(), offset)?;
    let mut fields = Fields::new(payload, offset, None);
    let count = fields.varint("number of chapters")?;
    let mut chapters = Vec::new();
    for _ in 0..count {
        budget.entry(offset)?;
        let at = fields.offset();
        let start = fields.varint("start of a chapter")?;
        let length = fields.varint("length of a chapter")?;
        let end = start.checked_add(length).filter(|&end| end <= LAST_END);
        let end = end.ok_or_else(|| {
            Broken::new("length of a chapter", "an end below 2^63 nanoseconds", length).in_file(at, None)
        })?;
        let title = fields.text("title of a chapter")?;
        check_title(&title).map_err(|broken| broken.in_file(at, None))?;
        chapters.push(Chapter { start, end, title });
    }
    fields.end("chapter record")?;
    Ok(chapters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use proptest::prelude::*;

    fn budget() -> NotesBudget {
        NotesBudget::new(Limits::default())
    }

    proptest! {
        #[test]
        fn round_trip(
            entries in proptest::collection::vec(("[a-zé ]{1,9}", ".{0,20}"), 0..5),
            chapters in proptest::collection::vec((any::<u32>(), any::<u32>(), "[a-zé ]{0,20}"), 0..5),
        ) {
            let metadata = Metadata { stream: StreamId(3), entries };
            let payload = metadata.encode().unwrap();
            prop_assert_eq!(Metadata::decode(&payload, 0, StreamId(3), &mut budget()).unwrap(), metadata);
            let chapters: Vec<Chapter> = chapters
                .into_iter()
                .map(|(start, length, title)| Chapter {
                    start: u64::from(start),
                    end: u64::from(start) + u64::from(length),
                    title,
                })
                .collect();
            let payload = encode_chapters(&chapters).unwrap();
            prop_assert_eq!(decode_chapters(&payload, 0, &mut budget()).unwrap(), chapters);
        }

        #[test]
        fn noise_is_no_danger(noise in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Metadata::decode(&noise, 0, StreamId::NONE, &mut budget());
            let _ = decode_chapters(&noise, 0, &mut budget());
        }
    }

    #[test]
    fn false_claims() {
        assert!(Metadata::decode(&[0xff, 0xff, 0xff, 0x7f], 0, StreamId::NONE, &mut budget()).is_err());
        assert!(
            Metadata::decode(&[1, 0, 0], 0, StreamId::NONE, &mut budget()).is_err(),
            "empty key"
        );
        let chapter = Chapter {
            start: 5,
            end: 4,
            title: String::new(),
        };
        assert!(encode_chapters(&[chapter]).is_err());
    }
}
