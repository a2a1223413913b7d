//! What a command line says about lost chunks.

use latentbit_codec::Bundle;
use latentbit_codec::maskgit::FillOptions;
use latentbit_codec::pipeline::Conceal;
use latentbit_container::{LatentFrames, TokenGrid, VideoStream};

use crate::args::{ConcealArgs, ConcealChoice};
use crate::model;

/// What the decoder is told. Loads the predictor, if it is needed.
pub fn choose(args: &ConcealArgs, bundle: &Bundle) -> anyhow::Result<Conceal> {
    let path = args.predictor.as_deref();
    let predictor = match args.conceal {
        Some(ConcealChoice::Off) => return Ok(Conceal::Off),
        Some(ConcealChoice::Freeze) => return Ok(Conceal::Freeze),
        Some(ConcealChoice::Blend) => return Ok(Conceal::Blend),
        Some(ConcealChoice::Latent) => return Ok(Conceal::Latent),
        Some(ConcealChoice::Maskgit) => Some(model::load_predictor(path, bundle)?),
        None => model::find_predictor(path, bundle)?,
    };
    Ok(predictor.map_or(Conceal::Freeze, |predictor| Conceal::MaskGit {
        predictor,
        fill: FillOptions {
            steps: args.conceal_steps,
            ..FillOptions::default()
        },
    }))
}

/// Memory in bytes that it takes, besides the predictor's weights.
pub fn memory(conceal: &Conceal, video: &VideoStream) -> u64 {
    match conceal {
        Conceal::MaskGit { predictor, .. } => {
            let step = video.grid(LatentFrames(1));
            predictor.size(TokenGrid {
                t: u32::try_from(predictor.steps()).unwrap_or(u32::MAX),
                ..step
            })
        }
        _ => 0,
    }
}
