//! Payload coders: how the bytes of bit-planes are stored (LBIT §6).

pub(crate) mod layers;
#[cfg(any(test, all(feature = "ruzstd", not(feature = "zstd"))))]
mod ruzstd;
#[cfg(feature = "zstd")]
mod zstd;

#[cfg(all(feature = "ruzstd", not(feature = "zstd")))]
use self::ruzstd::Decoder as ZstdDecoder;
#[cfg(feature = "zstd")]
use self::zstd::Decoder as ZstdDecoder;

use crate::bits::{padding_is_zero, plane_len};
use crate::cm;
#[cfg(not(feature = "zstd"))]
use crate::error::Error;
use crate::error::{Broken, Result};
use crate::ground::TokenGrid;

/// How the planes of a chunk are stored (LBIT §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Coder {
    /// As they are.
    Raw,
    /// Each as one zstd frame.
    Zstd,
    /// By adaptive arithmetic coding over what is known of a bit's neighbours.
    Cm,
}

impl Coder {
    /// All coders, by their numbers in a file.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Zstd, Self::Cm];

    /// The coder's number in a file.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Zstd => 1,
            Self::Cm => 2,
        }
    }

    /// The coder of a number, if this crate knows it.
    #[must_use]
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// The coder's name, as the command line has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Zstd => "zstd",
            Self::Cm => "cm",
        }
    }
}

/// How a [`Writer`](crate::Writer) stores planes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    Raw,
    /// Each plane as a zstd frame, where that is smaller.
    Zstd {
        /// The level, in the range that zstd gives; more is slower and smaller.
        level: i32,
    },
    /// By the context-mixing coder, where that is smaller.
    #[default]
    Cm,
}

impl Compression {
    /// The coder that it stands for.
    #[must_use]
    pub const fn coder(self) -> Coder {
        match self {
            Self::Raw => Coder::Raw,
            Self::Zstd { .. } => Coder::Zstd,
            Self::Cm => Coder::Cm,
        }
    }
}

/// One bit-plane as it is stored, or one layer of planes (LBIT §5.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPlane {
    /// Whether the chunk's coder made `bytes`; if not, they are the packed plane or layer itself.
    pub coded: bool,
    /// The stored bytes.
    pub bytes: Vec<u8>,
}

/// Stores the packed planes of a chunk, one after the other in `packed`. A plane that does not get smaller stays as it
/// is; if the table of lengths takes more than all planes save, so do all.
pub(crate) fn encode(
    compression: Compression,
    grid: TokenGrid,
    packed: &[u8],
) -> Result<(Coder, Vec<StoredPlane>)> {
    let len = plane_len(grid.len()).max(1);
    let (coder, coded) = match compression {
        Compression::Raw => (Coder::Raw, Vec::new()),
        #[cfg(feature = "zstd")]
        Compression::Zstd { level } => (Coder::Zstd, zstd::encode(level, len, packed)?),
        #[cfg(not(feature = "zstd"))]
        Compression::Zstd { .. } => return Err(no_zstd()),
        Compression::Cm => (Coder::Cm, cm::encode(grid, packed)),
    };
    let table = packed.len() / len;
    let saved: usize = coded
        .iter()
        .flatten()
        .map(|bytes| len.saturating_sub(bytes.len()))
        .sum();
    let mut coded = if saved > table { coded } else { Vec::new() }.into_iter();
    let planes = packed.chunks_exact(len).map(|plane| {
        let smaller = coded.next().flatten().filter(|bytes| bytes.len() < plane.len());
        StoredPlane {
            coded: smaller.is_some(),
            bytes: smaller.unwrap_or_else(|| plane.to_vec()),
        }
    });
    Ok(settle(coder, planes.collect()))
}

#[cfg(not(feature = "zstd"))]
fn no_zstd() -> Error {
    Error::parameter("coder", "raw or cm in a build without zstd", "zstd")
}

/// `bytes` as one zstd frame.
#[cfg(feature = "zstd")]
fn one_zstd_frame(level: i32, bytes: &[u8]) -> Result<Option<Vec<u8>>> {
    Ok(zstd::encode(level, bytes.len(), bytes)?.pop().flatten())
}

#[cfg(not(feature = "zstd"))]
fn one_zstd_frame(_: i32, _: &[u8]) -> Result<Option<Vec<u8>>> {
    Err(no_zstd())
}

/// Unpacks zstd frames whose length is not known before.
#[derive(Default)]
struct ZstdFrames(#[cfg(any(feature = "zstd", feature = "ruzstd"))] ZstdDecoder);

impl ZstdFrames {
    #[cfg(any(feature = "zstd", feature = "ruzstd"))]
    fn unpack(&mut self, frame: &[u8], most: usize) -> Result<Vec<u8>, Broken> {
        self.0.decode_at_most(frame, most)
    }

    #[cfg(not(any(feature = "zstd", feature = "ruzstd")))]
    fn unpack(&mut self, _: &[u8], _: usize) -> Result<Vec<u8>, Broken> {
        Err(Broken::new(
            "coder",
            "one that this build has",
            Coder::Zstd.name(),
        ))
    }
}

/// The coder of a chunk with these planes: raw, which needs no table of lengths, if none of them is coded.
pub(crate) fn settle(coder: Coder, planes: Vec<StoredPlane>) -> (Coder, Vec<StoredPlane>) {
    match planes.iter().any(|plane| plane.coded) {
        true => (coder, planes),
        false => (Coder::Raw, planes),
    }
}

/// Unpacks `planes` into `packed`, which holds as many planes of `grid`.
pub(crate) fn decode(
    coder: Coder,
    grid: TokenGrid,
    planes: &[StoredPlane],
    packed: &mut [u8],
) -> Result<(), Broken> {
    let tokens = grid.len();
    let len = plane_len(tokens);
    #[cfg(any(feature = "zstd", feature = "ruzstd"))]
    let mut zstd = ZstdDecoder::default();
    let mut cm = (coder == Coder::Cm).then(|| cm::Decoder::new(grid));
    for (to, plane) in packed.chunks_exact_mut(len.max(1)).zip(planes) {
        let coded = plane.coded.then_some(&plane.bytes[..]);
        if coded.is_none() {
            if plane.bytes.len() != len {
                let expected = format!("{len} bytes");
                return Err(Broken::new("length of a bit-plane", expected, plane.bytes.len()));
            }
            to.copy_from_slice(&plane.bytes);
        }
        match (coder, &mut cm, coded) {
            // Later planes are coded with what this one holds, coded or not.
            (_, Some(cm), coded) => cm.decode_plane(coded, to)?,
            #[cfg(any(feature = "zstd", feature = "ruzstd"))]
            (Coder::Zstd, _, Some(bytes)) => zstd.decode(bytes, to)?,
            (_, _, Some(_)) => return Err(Broken::new("coder", "one that this build has", coder.name())),
            (_, _, None) => {}
        }
    }
    let clean = packed
        .chunks_exact(len.max(1))
        .all(|plane| padding_is_zero(plane, tokens));
    match clean {
        true => Ok(()),
        false => Err(Broken::new(
            "bit-plane",
            "zero bits after the last token",
            "others",
        )),
    }
}
