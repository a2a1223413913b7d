//! A file of a size.

use std::io::{self, Write};

use latentbit_container::{
    Attachment, Chapter, Header, Metadata, Packet, Result as ContainerResult, StoredChunk, StreamId, Writer,
    WriterOptions,
};

use super::{ElasticChunk, Shaped, best_fitting};
use crate::error::Result;

/// How closely the rate factor is found with which a file has a size.
const CRF_STEP: f64 = 0.002;

/// A part of a file that waits to be written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum KeptItem {
    /// Metadata of the file or of a stream.
    Metadata(Metadata),
    /// Chapters.
    Chapters(Vec<Chapter>),
    /// A file that goes along.
    Attachment(Box<Attachment>),
    /// Packets of a stream.
    Packets(StreamId, Vec<Packet>),
    /// A chunk that stays as it is.
    Stored(Box<StoredChunk>),
    /// A chunk whose depths are still to be chosen.
    Elastic(Box<ElasticChunk>),
}

impl KeptItem {
    /// Writes it. An elastic chunk is left out: it has to be shaped first.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write<W: Write>(&self, writer: &mut Writer<W>) -> ContainerResult<()> {
        match self {
            Self::Metadata(metadata) => writer.write_metadata(metadata),
            Self::Chapters(chapters) => writer.write_chapters(chapters),
            Self::Attachment(attachment) => writer.write_attachment(attachment),
            Self::Packets(stream, packets) => writer.write_packets(*stream, packets),
            Self::Stored(chunk) => writer.write_stored(chunk),
            Self::Elastic(_) => Ok(()),
        }
    }
}

/// All that goes into a file, kept until it is known how its chunks must be shaped.
#[derive(Clone, Debug)]
pub struct KeptFile {
    header: Header,
    items: Vec<KeptItem>,
}

impl KeptFile {
    /// A file of this header that holds nothing yet.
    #[must_use]
    pub const fn new(header: Header) -> Self {
        Self {
            header,
            items: Vec::new(),
        }
    }

    /// Adds what comes next.
    pub fn push(&mut self, item: KeptItem) {
        self.items.push(item);
    }

    /// The chunks at the best quality that makes a file of at most `size` bytes, and the bytes that it takes: they are more
    /// than `size` if even the smallest chunks make a larger file.
    ///
    /// # Errors
    /// As for [`ElasticChunk::shaped`].
    pub fn fit(&self, size: u64, options: WriterOptions) -> Result<(Vec<Shaped>, u64)> {
        let at = |crf| {
            let elastic = self.items.iter().filter_map(|item| match item {
                KeptItem::Elastic(chunk) => Some(chunk),
                _ => None,
            });
            let shaped = elastic.map(|chunk| chunk.shaped(crf, options.compression));
            shaped.collect::<Result<Vec<_>>>()
        };
        let best = best_fitting(CRF_STEP, at, |shaped| Ok(self.bytes(shaped, options)? <= size))?;
        let bytes = self.bytes(&best, options)?;
        Ok((best, bytes))
    }

    /// Writes everything, with the elastic chunks as they were `shaped`.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write<W: Write>(&self, shaped: &[Shaped], writer: &mut Writer<W>) -> ContainerResult<()> {
        let mut shaped = shaped.iter();
        for item in &self.items {
            match item {
                KeptItem::Elastic(_) => {
                    if let Some(shaped) = shaped.next() {
                        writer.write_stored(&shaped.stored)?;
                    }
                }
                item => item.write(writer)?,
            }
        }
        Ok(())
    }

    /// Bytes of the file with these chunks.
    fn bytes(&self, shaped: &[Shaped], options: WriterOptions) -> Result<u64> {
        let mut writer = Writer::new(io::sink(), &self.header, options.with_digests(false))?;
        self.write(shaped, &mut writer)?;
        Ok(writer.finish()?.1.bytes)
    }
}
