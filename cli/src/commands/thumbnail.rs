//! `latentbit thumbnail`.

use std::io::Write;
use std::ops::ControlFlow;

use anyhow::Context;
use clap::Args;
use latentbit_codec::bundle::Halves;
use latentbit_codec::pipeline::{Fidelity, Options};
use latentbit_container::{ReadMode, VideoStream};

use crate::args::{ConcealArgs, MemoryArgs, ModelArgs, OutputArgs};
use crate::exit::{Exit, usage};
use crate::model;
use crate::overwrite::{self, Decision};
use crate::streaming::decoding::{Decoding, Shown, concealment};
use crate::streaming::lbit_input::{self, AFTER_THE_END, LbitInput, WantedFrames};
use latentbit_media::{MediaError, MediaErrorKind, Rational, Resize, Start, Target, png};

/// Names of pictures that are no PNG.
const OTHERS: [&str; 9] = ["jpg", "jpeg", "webp", "avif", "gif", "bmp", "tif", "tiff", "heic"];

/// Options of `thumbnail`.
#[derive(Debug, Args)]
pub struct ThumbnailArgs {
    /// .lbit file, or - for stdin.
    #[arg(allow_hyphen_values = true)]
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    /// The longer side in pixels; smaller pictures are not made larger. 0 for the size of the video.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(0..=16384))]
    pub size: u32,

    /// Where the picture is: seconds (12.5), HH:MM:SS.ms or a number of frames (40f). By default near a tenth of the video,
    /// where one chunk is enough.
    #[arg(long, value_name = "TIME")]
    pub at: Option<Start>,

    #[command(flatten)]
    pub conceal: ConcealArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,
}

/// Runs the command.
pub fn run(args: &ThumbnailArgs) -> anyhow::Result<Exit> {
    let name = &args.output.output;
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    if let Some(other) = extension.filter(|extension| OTHERS.contains(&extension.as_str())) {
        return usage(format!(
            "{name}: a thumbnail is a PNG, and no {other}; name it .png"
        ));
    }
    if overwrite::check(&args.output)? == Decision::Skip {
        return Ok(Exit::Success);
    }
    let input = lbit_input::open(&args.input, ReadMode::Resync)?;
    let place = input.place.clone();
    let video = input.video.clone();
    let bundle = model::load_for(&args.model, Halves::Decoder, &video, &place)?;
    let wanted = WantedFrames {
        start: Some(args.at.unwrap_or_else(|| Start::Frames(near_a_tenth(&input)))),
        frames: Some(1),
    };
    let mut decoding = Decoding::new(&bundle, input, wanted, Vec::new())?;
    decoding.keep_going = true;
    decoding.options = Options::default()
        .threads(args.model.threads)
        .conceal(concealment(&args.conceal, &bundle)?)
        .low_delay(args.conceal.low_delay);
    decoding.plan_memory(&args.memory, true)?;
    let mut picture = None;
    let decoded = decoding.run(|shown| {
        if let Shown::Frame { frame, fidelity, .. } = shown {
            picture = Some((frame, fidelity));
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let damage = &decoded.feed.damage;
    damage.iter().for_each(|damage| tracing::error!("{damage}"));
    let Some((frame, fidelity)) = picture else {
        if decoded.losses.totals().left_out == 0 {
            return usage(format!("{place}: {AFTER_THE_END}"));
        }
        let message = "the picture is lost; choose another one with --at";
        return Err(MediaError::new(MediaErrorKind::Invalid, &place, message).into());
    };
    let [width, height] = shown_size(&video, args.size);
    let size = Resize::To([Some(width), Some(height)]);
    let bytes = png(&size.picture(&frame))?;
    let (target, mut file) = Target::open(name)?;
    file.write_all(&bytes)
        .and_then(|()| file.flush())
        .map_err(|error| MediaError::io(&target.place, "write", error))?;
    drop(file);
    target.commit().context("the thumbnail")?;
    Ok(match fidelity {
        // What else is wrong with the file does not show.
        Fidelity::Exact => Exit::Success,
        Fidelity::Affected | Fidelity::Concealed(_) => Exit::Concealed,
    })
}

/// The frame nearest to a tenth of the video for which the first chunk of a group is enough.
fn near_a_tenth(input: &LbitInput) -> u64 {
    let tenth = input.frames.unwrap_or(0) / 10;
    let starts = input.key_frames().unwrap_or_default();
    let before = starts.iter().rev().find(|start| start.0 <= tenth);
    let latent_frames = u64::from(input.video.chunk_latent_frames).max(1);
    let in_first_chunk = u64::from(input.video.strides[0]).saturating_mul(latent_frames - 1);
    tenth.min(before.map_or(0, |start| start.0).saturating_add(in_first_chunk))
}

/// The size of a picture with square pixels whose longer side is `longest`, or that of the video if this is smaller.
fn shown_size(video: &VideoStream, longest: u32) -> [u32; 2] {
    let (mut width, mut height) = (f64::from(video.width), f64::from(video.height));
    // Shrinking loses what is there rather than inventing what is not.
    match video.pixel_aspect {
        Rational { num: 0, .. } | Rational { den: 0, .. } => {}
        Rational { num, den } if num > den => height *= f64::from(den) / f64::from(num),
        Rational { num, den } => width *= f64::from(num) / f64::from(den),
    }
    let scale = match longest {
        0 => 1.0,
        longest => (f64::from(longest) / width.max(height)).min(1.0),
    };
    [width, height].map(|side| (side * scale).round().max(1.0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streaming::testing::video;

    #[test]
    fn thumbnails_have_square_pixels_and_fit() {
        let sized = |width, height, aspect: (u32, u32), longest| {
            let mut video = video();
            (video.width, video.height) = (width, height);
            video.pixel_aspect = Rational {
                num: aspect.0,
                den: aspect.1,
            };
            shown_size(&video, longest)
        };
        assert_eq!(sized(1920, 1080, (1, 1), 256), [256, 144]);
        assert_eq!(sized(1080, 1920, (1, 1), 256), [144, 256]);
        assert_eq!(sized(64, 48, (1, 1), 256), [64, 48]);
        assert_eq!(sized(1920, 1080, (0, 1), 0), [1920, 1080]);
        // Anamorphic PAL: 720x576 is shown as 16:9.
        assert_eq!(sized(720, 576, (64, 45), 0), [720, 405]);
        assert_eq!(sized(720, 576, (64, 45), 160), [160, 90]);
        assert_eq!(sized(720, 480, (8, 9), 0), [640, 480]);
        assert_eq!(sized(16384, 1, (1, 1), 16), [16, 1]);
    }
}
