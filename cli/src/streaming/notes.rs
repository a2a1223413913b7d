//! Names, chapters and the like, between media files and `.lbit` files.

use latentbit_media::path_of;
use std::io::Write;

use latentbit_container::metadata::key;
use latentbit_container::{Attachment, Chapter, Metadata, Result as ContainerResult, StreamId, Writer};
use latentbit_media::{Along, VideoInfo};

use crate::streaming::presentation::PacketStreams;

/// The stream that holds the video of a file that we write.
const VIDEO: StreamId = StreamId(0);

/// What a file says beside its streams.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    pub metadata: Vec<Metadata>,
    pub chapters: Vec<Chapter>,
    pub attachments: Vec<Attachment>,
}

impl Notes {
    /// What goes into the file of a source, which is called `input` on the command line: where it comes from, what wrote
    /// it, and what the source says. Nothing that changes from run to run: the same input gives the same file.
    pub fn of_source(input: &str, info: &VideoInfo) -> Self {
        let along = &info.along;
        let encoder = format!("latentbit {}", env!("CARGO_PKG_VERSION"));
        let path = path_of(input);
        let name = path.file_name().filter(|_| input != "-");
        let name = name.map(|name| (key::ORIGINAL_NAME.to_owned(), name.to_string_lossy().into_owned()));
        let own = [(key::ENCODER.to_owned(), encoder)].into_iter().chain(name);
        let file = own.chain(along.tags.iter().cloned()).collect();
        let packets = (1..).map(StreamId).zip(along.packet_tags.iter().cloned());
        let streams = std::iter::once((VIDEO, along.video_tags.clone())).chain(packets);
        let streams = streams.filter(|(_, entries)| !entries.is_empty());
        let about = |(stream, entries)| Metadata { stream, entries };
        Self {
            metadata: std::iter::once((StreamId::NONE, file))
                .chain(streams)
                .map(about)
                .collect(),
            chapters: along.chapters.clone(),
            attachments: along.attachments.clone(),
        }
    }

    /// Writes them to a file that begins.
    pub fn write(&self, writer: &mut Writer<impl Write>) -> ContainerResult<()> {
        for metadata in &self.metadata {
            writer.write_metadata(metadata)?;
        }
        if !self.chapters.is_empty() {
            writer.write_chapters(&self.chapters)?;
        }
        for attachment in &self.attachments {
            writer.write_attachment(attachment)?;
        }
        Ok(())
    }

    /// What goes into a media file with the video of stream `video`, from `skipped` nanoseconds on, and these packets.
    pub fn along(&self, video: StreamId, packets: &PacketStreams, skipped: u64) -> Along {
        let tags = |stream: StreamId| {
            let about = self.metadata.iter().filter(|metadata| metadata.stream == stream);
            let entries = about.flat_map(|metadata| metadata.entries.iter().cloned());
            // What describes the `.lbit` file does not describe what is made of it.
            let own = [
                key::ENCODER,
                key::ORIGINAL_NAME,
                key::ENCODED_DATE,
                key::RECOVERED,
            ];
            entries.filter(|(key, _)| !own.contains(&key.as_str())).collect()
        };
        let mut along = Along::default();
        along.tags = tags(StreamId::NONE);
        along.video_tags = tags(video);
        along.attachments.clone_from(&self.attachments);
        along.packet_tags = packets.iter().map(|(stream, _)| tags(*stream)).collect();
        let chapters = self
            .chapters
            .iter()
            .filter(|chapter| skipped == 0 || chapter.end > skipped);
        along.chapters = chapters
            .map(|chapter| Chapter {
                start: chapter.start.saturating_sub(skipped),
                end: chapter.end.saturating_sub(skipped),
                title: chapter.title.clone(),
            })
            .collect();
        along
    }
}

#[cfg(test)]
mod tests {
    use latentbit_container::{PacketKind, PacketStream, Rational};

    use super::*;

    #[test]
    fn what_a_source_says_comes_back() {
        let rate = Rational { num: 25, den: 1 };
        let mut info = VideoInfo::new(16, 16, rate);
        let entry = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
        info.along.tags = entry("title", "My film");
        info.along.video_tags = entry("language", "eng");
        info.along.packet_tags = vec![Vec::new(), entry("comment", "dub")];
        let chapter = |start, end, title: &str| Chapter {
            start,
            end,
            title: title.to_owned(),
        };
        info.along.chapters = vec![chapter(0, 50, "One"), chapter(50, 90, "Two")];
        let notes = Notes::of_source("a/b.mkv", &info);
        assert_eq!(
            notes.metadata.len(),
            3,
            "nothing about streams of which nothing is said"
        );
        let stream = |id| (StreamId(id), PacketStream::new(PacketKind::Audio, "A_OPUS", rate));
        assert_eq!(notes.along(VIDEO, &vec![stream(1), stream(2)], 0), info.along);
        // A part has the chapters that lie in it, and streams keep their tags when others are left out.
        let part = notes.along(VIDEO, &vec![stream(2)], 60);
        assert_eq!(part.chapters, [chapter(0, 30, "Two")]);
        assert_eq!(part.packet_tags, [entry("comment", "dub")]);
    }
}
