//! Files to frames.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::ops::Range;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};

use latentbit_codec::maskgit::FillOptions;
use latentbit_codec::pipeline::{
    self, ChunkInput, Coded, Conceal, DecodedFrame, Fidelity, Geometry, MemoryPlan, Options, Output, Work,
};
use latentbit_codec::{Bundle, Error as CodecError, Frame, Predictor};
use latentbit_container::{Event, Needed, PixelFrames, Times};

use crate::failure::{Failure, LBIT_END, LBIT_ERROR_LOST, LBIT_ERROR_OTHER, LBIT_OK, run};
use crate::file::{File, Opened};
use crate::model::Model;
use crate::pointers::{Sized, borrowed, borrowed_mut, expect, fill, give, read, take_back};

/// A lost or damaged chunk ends decoding with LBIT_ERROR_LOST or LBIT_ERROR_FORMAT.
pub const LBIT_CONCEAL_OFF: u32 = 0;
/// Lost chunks are filled in as `latentbit decode` does.
pub const LBIT_CONCEAL_AUTO: u32 = 1;
/// In the place of lost chunks stands the last good frame before them.
pub const LBIT_CONCEAL_FREEZE: u32 = 2;
/// Frames are mixed of the good ones before and after the lost chunks.
pub const LBIT_CONCEAL_BLEND: u32 = 3;

/// All that a frame is made of came intact.
pub const LBIT_FRAME_EXACT: u32 = 0;
/// Its tokens came intact, but some before it in its group are lost.
pub const LBIT_FRAME_AFFECTED: u32 = 1;
/// Its tokens are lost, and it was filled in.
pub const LBIT_FRAME_CONCEALED: u32 = 2;

/// Gives the frames of a file, in order. One thread at a time may use it; it computes on threads of its own.
pub struct Decoder {
    place: String,
    frames: Output<DecodedFrame>,
    /// Why reading ended early.
    fault: Receiver<Failure>,
    wanted: Range<u64>,
    shown: Shown,
    frame_duration: u32,
    rgb: Vec<u8>,
}

/// How to decode. All zero but for the size is a good choice.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DecodeOptions {
    /// sizeof(lbit_decode_options), set by the caller.
    pub size: usize,
    /// Index of the first wanted frame.
    pub first_frame: u64,
    /// How many frames are wanted; 0 for all that follow.
    pub frames: u64,
    /// Most memory to take, in bytes, besides the model: large frames are then computed in tiles. 0 for no limit.
    pub max_memory: u64,
    /// Threads that compute; 0 for one on each core.
    pub threads: u32,
    /// What is done about lost chunks: one of LBIT_CONCEAL_.
    pub conceal: u32,
    /// Bits to look at of each token, the most important ones; 0 for all.
    pub bits: u32,
    /// Must be 0.
    pub reserved: u32,
}

// SAFETY: plain numbers in C's order, the size first.
unsafe impl Sized for DecodeOptions {
    const LEAST: usize = size_of::<Self>();
}

/// A frame.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Picture {
    /// sizeof(lbit_frame), set by the caller.
    pub size: usize,
    /// Its index in the video.
    pub index: u64,
    /// When it is shown, in ticks (`time_base` of lbit_info).
    pub time: i64,
    /// How many ticks it is shown.
    pub duration: u64,
    /// Red, green and blue of each pixel, from left to right and from top to bottom, without gaps: width * height * 3 bytes.
    /// Valid until the decoder is used again or freed.
    pub rgb: *const u8,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Whether it is what the encoder meant: one of LBIT_FRAME_.
    pub fidelity: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: plain numbers and a pointer in C's order, the size first.
unsafe impl Sized for Picture {
    const LEAST: usize = size_of::<Self>();
}

/// When frames are shown: noted where chunks are read, and asked where frames come out.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<VecDeque<Noted>>>);

/// The frames of a chunk, and when they are shown.
type Noted = (Range<u64>, Times);

impl Shown {
    fn note(&self, frames: Range<u64>, times: Times) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.push_back((frames, times));
    }

    /// When a frame begins and ends, in ticks; earlier ones are not asked for again.
    fn of(&self, index: u64, frame_duration: u32) -> (i64, i64) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while noted.front().is_some_and(|(frames, _)| frames.end <= index) {
            noted.pop_front();
        }
        let at = |index| {
            let (frames, times) = noted.front()?;
            Some(times.of(index - frames.start.min(index), frame_duration))
        };
        let begin = at(index).unwrap_or(0);
        (begin, at(index.saturating_add(1)).unwrap_or(begin))
    }
}

fn concealment(conceal: u32, bundle: &Bundle) -> Result<Conceal, Failure> {
    match conceal {
        LBIT_CONCEAL_OFF => Ok(Conceal::Off),
        LBIT_CONCEAL_FREEZE => Ok(Conceal::Freeze),
        LBIT_CONCEAL_BLEND => Ok(Conceal::Blend),
        LBIT_CONCEAL_AUTO => {
            let found = Predictor::embedded(bundle, bundle.dtype())
                .map_err(|error| Failure::codec(&error, "the built-in predictor"))?;
            Ok(found.map_or(Conceal::Freeze, |predictor| Conceal::MaskGit {
                predictor: Arc::new(predictor),
                fill: FillOptions::default(),
            }))
        }
        other => Err(Failure::argument(format!(
            "conceal: {other} is none of LBIT_CONCEAL_"
        ))),
    }
}

/// Pushes the chunks that are needed.
fn feed(
    mut input: ChunkInput,
    file: &Opened,
    needed: Needed,
    planes: u8,
    strict: bool,
    shown: &Shown,
) -> Result<(), Failure> {
    let failed = |error| Failure::container(&error, &file.place);
    let infos = file.chunks();
    let part = file.reading().part(needed).with_planes(planes);
    let mut part = if strict { part.strict() } else { part };
    // When the next frame is shown, should its chunk be lost.
    let mut next = None;
    while let Some(event) = part.next_event().map_err(failed)? {
        let coded = match event {
            Event::Chunk(chunk) => {
                let frames = chunk.first_frame.0..chunk.first_frame.0.saturating_add(chunk.frame_count.0);
                next = Some(chunk.times.of(chunk.frame_count.0, file.video.frame_duration));
                shown.note(frames, chunk.times.clone());
                Coded::Chunk(chunk)
            }
            Event::Missing { chunks, frames, .. } if strict => {
                let why = format!(
                    "{}: chunk {}: its tokens are lost, frames {} to {}; conceal them, or decode others",
                    file.place,
                    chunks.start,
                    frames.start,
                    frames.end.saturating_sub(1)
                );
                return Err(Failure::new(LBIT_ERROR_LOST, why));
            }
            Event::Missing { chunks, frames, .. } => {
                let info = usize::try_from(chunks.start).ok().and_then(|at| infos.get(at));
                let start = next.or(info.map(|info| info.start)).unwrap_or(0);
                let times = Times {
                    start,
                    durations: None,
                };
                let count = frames.end.saturating_sub(frames.start);
                next = Some(times.of(count, file.video.frame_duration));
                shown.note(frames.clone(), times);
                Coded::Lost { chunks, frames }
            }
            _ => continue,
        };
        match input.push(coded) {
            Ok(()) => {}
            // Nobody wants more, or the other half says why.
            Err(CodecError::Closed) => return Ok(()),
            Err(error) => return Err(Failure::codec(&error, &file.place)),
        }
    }
    match input.flush() {
        Ok(()) | Err(CodecError::Closed) => Ok(()),
        Err(error) => Err(Failure::codec(&error, &file.place)),
    }
}

impl Decoder {
    fn new(file: Arc<Opened>, bundle: &Arc<Bundle>, given: &DecodeOptions) -> Result<Self, Failure> {
        let failed = |error| Failure::codec(&error, &file.place);
        if given.reserved != 0 {
            return Err(Failure::argument("options: reserved must be 0"));
        }
        let most = u32::from(file.video.bits);
        if given.bits > most {
            return Err(Failure::argument(format!(
                "bits: {}: tokens of this file have {most}",
                given.bits
            )));
        }
        let planes = u8::try_from(given.bits).ok().filter(|&bits| bits > 0);
        let threads = usize::try_from(given.threads).unwrap_or(usize::MAX);
        let wanted = file.wanted(given.first_frame, given.frames)?;
        let needed = file.reading().chunks_for(file.stream, wanted.clone());
        let needed = needed.ok_or_else(|| Failure::argument("first_frame: there are no such frames"))?;
        let last = file.chunks().get(..needed.end).and_then(<[_]>::last);
        let end = last.map_or(PixelFrames(0), |last| last.end_frame());
        let decoded = end.saturating_sub(needed.decoded_from);
        let limit = (given.max_memory > 0).then_some(given.max_memory);
        let geometry = Geometry::from(&file.video);
        let plan = MemoryPlan::new(bundle, &geometry, Work::Decode, Some(decoded), limit).map_err(failed)?;
        let options = Options::default()
            .threads(threads)
            .decoder_plan(Some(plan))
            .conceal(concealment(given.conceal, bundle)?);
        let (input, frames) = pipeline::decoder(bundle, &file.video, &options).map_err(failed)?;
        let (sender, fault) = channel();
        let shown = Shown::default();
        let (fed, noted, strict) = (file.clone(), shown.clone(), given.conceal == LBIT_CONCEAL_OFF);
        let feeding = std::thread::Builder::new().name("latentbit-feed".to_owned());
        let started = feeding.spawn(move || {
            if let Err(failure) = feed(input, &fed, needed, planes.unwrap_or(u8::MAX), strict, &noted) {
                // The decoder may have been freed meanwhile.
                let _ = sender.send(failure);
            }
        });
        started.map_err(|error| {
            let why = format!("{}: cannot start a thread: {error}", file.place);
            Failure::new(LBIT_ERROR_OTHER, why)
        })?;
        Ok(Self {
            place: file.place.clone(),
            frames,
            fault,
            wanted: wanted.start.0..wanted.end.0,
            shown,
            frame_duration: file.video.frame_duration,
            rgb: Vec::new(),
        })
    }

    /// The next wanted frame.
    fn next(&mut self) -> Result<Option<(u64, Fidelity, Frame)>, Failure> {
        while !self.wanted.is_empty() {
            match self.frames.pull() {
                Ok(None) => break,
                Ok(Some(DecodedFrame {
                    index: PixelFrames(index),
                    fidelity,
                    frame,
                    ..
                })) => {
                    if index >= self.wanted.end {
                        break;
                    }
                    if index >= self.wanted.start {
                        self.wanted.start = index.saturating_add(1);
                        return Ok(Some((index, fidelity, frame)));
                    }
                }
                Err(error) => {
                    self.wanted = 0..0;
                    // If reading failed, the pipeline only knows that no more came.
                    let failed = self.fault.recv();
                    return Err(failed.unwrap_or_else(|_| Failure::codec(&error, &self.place)));
                }
            }
        }
        self.wanted = 0..0;
        Ok(None)
    }
}

/// Starts to decode a file with the model that it needs. `options` may be null; else `options->size` must be set. The
/// decoder is freed with lbit_decoder_free; file and model may be freed before it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lbit_decoder_open(
    file: *const File,
    model: *const Model,
    options: *const DecodeOptions,
    decoder: *mut *mut Decoder,
) -> c_int {
    run(|| {
        // SAFETY: as the header asks of the caller.
        unsafe { expect(decoder, "decoder")? };
        // SAFETY: as the header asks of the caller.
        let (file, model) = unsafe { (borrowed(file, "file")?, borrowed(model, "model")?) };
        let options = match options.is_null() {
            true => DecodeOptions {
                size: size_of::<DecodeOptions>(),
                first_frame: 0,
                frames: 0,
                max_memory: 0,
                threads: 0,
                conceal: LBIT_CONCEAL_OFF,
                bits: 0,
                reserved: 0,
            },
            // SAFETY: as the header asks of the caller.
            false => unsafe { read(options, "options")? },
        };
        let opened = Decoder::new(file.0.clone(), &model.bundle, &options)?;
        // SAFETY: as the header asks of the caller.
        unsafe { give(decoder, opened, "decoder")? };
        Ok(LBIT_OK)
    })
}

/// Waits for the next frame. `frame->size` must be set. LBIT_END after the last one; after a failure nothing comes any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lbit_decoder_next(decoder: *mut Decoder, frame: *mut Picture) -> c_int {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let decoder = unsafe { borrowed_mut(decoder, "decoder")? };
        // A frame that cannot be handed over is not taken.
        // SAFETY: as the header asks of the caller.
        unsafe { fill(frame, &NO_PICTURE, "frame")? };
        let Some((index, fidelity, picture)) = decoder.next()? else {
            return Ok(LBIT_END);
        };
        decoder.rgb.clear();
        let samples = picture.data.iter();
        decoder
            .rgb
            .extend(samples.map(|sample| (sample * 255.0).round().clamp(0.0, 255.0) as u8));
        let (begin, end) = decoder.shown.of(index, decoder.frame_duration);
        let given = Picture {
            index,
            time: begin,
            duration: end.saturating_sub(begin).unsigned_abs(),
            rgb: decoder.rgb.as_ptr(),
            width: u32::try_from(picture.width).unwrap_or(u32::MAX),
            height: u32::try_from(picture.height).unwrap_or(u32::MAX),
            fidelity: match fidelity {
                Fidelity::Exact => LBIT_FRAME_EXACT,
                Fidelity::Affected => LBIT_FRAME_AFFECTED,
                Fidelity::Concealed(_) => LBIT_FRAME_CONCEALED,
            },
            ..NO_PICTURE
        };
        // SAFETY: as the header asks of the caller.
        unsafe { fill(frame, &given, "frame")? };
        Ok(LBIT_OK)
    })
}

const NO_PICTURE: Picture = Picture {
    size: size_of::<Picture>(),
    index: 0,
    time: 0,
    duration: 0,
    rgb: std::ptr::null(),
    width: 0,
    height: 0,
    fidelity: LBIT_FRAME_EXACT,
    reserved: 0,
};

/// Frees a decoder, which stops what it is at. Null is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lbit_decoder_free(decoder: *mut Decoder) {
    run(|| {
        // SAFETY: as the header asks of the caller.
        unsafe { take_back(decoder) };
        Ok(LBIT_OK)
    });
}
