//! Files that go along: fonts, cover pictures (LBIT §7.5).

use crate::error::{Broken, Result};
use crate::fields::{Fields, put_text};
use crate::limits::NotesBudget;

/// What an [`Attachment`] is for (LBIT §7.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttachmentKind {
    /// A file, such as a font that subtitles use.
    File,
    /// A picture that stands for the video.
    Cover,
    /// Something that this version has no name for.
    Other(u8),
}

impl AttachmentKind {
    /// The number that stands in a file.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::File => 1,
            Self::Cover => 2,
            Self::Other(number) => number,
        }
    }

    const fn of(number: u8) -> Self {
        match number {
            1 => Self::File,
            2 => Self::Cover,
            other => Self::Other(other),
        }
    }
}

/// A whole file that goes along with the video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// What it is for.
    pub kind: AttachmentKind,
    /// Name of the file, without folders and control characters; may be empty. Not to be used as a path.
    pub name: String,
    /// Its media type, such as `font/ttf`, without control characters; empty if that is not known.
    pub media_type: String,
    /// Something about it for people, without control characters; may be empty.
    pub description: String,
    /// What is in it.
    pub data: Vec<u8>,
}

impl Attachment {
    /// Bytes of the record's payload, by which [`Limits::max_attachment_bytes`](crate::Limits::max_attachment_bytes) counts.
    #[must_use]
    pub fn stored_len(&self) -> u64 {
        let mut texts = Vec::new();
        self.put_texts(&mut texts);
        (RESERVED.len() + 1 + texts.len() + self.data.len()) as u64
    }

    fn put_texts(&self, out: &mut Vec<u8>) {
        for text in [&self.name, &self.media_type, &self.description] {
            put_text(out, text);
        }
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, Broken> {
        self.check()?;
        let mut out = vec![self.kind.number()];
        out.extend(RESERVED);
        self.put_texts(&mut out);
        out.extend_from_slice(&self.data);
        Ok(out)
    }

    /// Reads the payload of an attachment record that starts at `offset`.
    pub(crate) fn decode(payload: &[u8], offset: u64, budget: &mut NotesBudget) -> Result<Self> {
        budget.attachment(payload.len(), offset)?;
        let mut fields = Fields::new(payload, offset, None);
        let kind = AttachmentKind::of(fields.u8("kind of an attachment")?);
        fields.bytes(RESERVED.len(), "reserved bytes of an attachment")?;
        let mut attachment = Self {
            kind,
            name: fields.text("name of an attachment")?,
            media_type: fields.text("media type of an attachment")?,
            description: fields.text("description of an attachment")?,
            data: Vec::new(),
        };
        attachment
            .check()
            .map_err(|broken| broken.in_file(offset, None))?;
        attachment.data = fields.bytes(fields.remaining(), "an attachment")?.to_vec();
        Ok(attachment)
    }

    fn check(&self) -> Result<(), Broken> {
        let texts = [
            ("name of an attachment", &self.name),
            ("media type of an attachment", &self.media_type),
            ("description of an attachment", &self.description),
        ];
        match texts.iter().find(|(_, text)| text.contains(char::is_control)) {
            None => Ok(()),
            Some((what, text)) => Err(Broken::new(what, "no control characters", text.escape_debug())),
        }
    }
}

const RESERVED: [u8; 3] = [0; 3];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::limits::Limits;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(
            kind in any::<u8>(),
            texts in ["[a-zé. ]{0,9}", "[a-z/]{0,9}", "[a-zé ]{0,20}"],
            data in proptest::collection::vec(any::<u8>(), 0..99),
        ) {
            let [name, media_type, description] = texts;
            let attachment = Attachment { kind: AttachmentKind::of(kind), name, media_type, description, data };
            let payload = attachment.encode().unwrap();
            prop_assert_eq!(payload.len() as u64, attachment.stored_len());
            let mut budget = NotesBudget::new(Limits::default());
            prop_assert_eq!(Attachment::decode(&payload, 0, &mut budget).unwrap(), attachment);
        }

        #[test]
        fn noise_is_no_danger(noise in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Attachment::decode(&noise, 0, &mut NotesBudget::new(Limits::default()));
        }
    }

    #[test]
    fn together_they_are_bounded() {
        let attachment = Attachment {
            kind: AttachmentKind::File,
            name: "a".to_owned(),
            media_type: String::new(),
            description: String::new(),
            data: vec![0; 100],
        };
        let payload = attachment.encode().unwrap();
        let limits = Limits::default().with_max_attachment_bytes(Some(attachment.stored_len() * 2));
        let mut budget = NotesBudget::new(limits);
        let mut read = || Attachment::decode(&payload, 7, &mut budget);
        assert!(read().is_ok() && read().is_ok());
        assert_eq!(read().unwrap_err().kind(), ErrorKind::Limits);
        let named = |name: &str| Attachment {
            name: name.to_owned(),
            ..attachment.clone()
        };
        assert!(named("a\u{1b}[2J").encode().is_err());
    }
}
