//! What a command line says about lost chunks.

use latentbit_codec::pipeline::Conceal;

use crate::args::{ConcealArgs, ConcealChoice};

/// What the decoder is told.
pub fn choose(args: &ConcealArgs) -> Conceal {
    match args.conceal {
        Some(ConcealChoice::Off) => Conceal::Off,
        None | Some(ConcealChoice::Freeze) => Conceal::Freeze,
        Some(ConcealChoice::Blend) => Conceal::Blend,
        Some(ConcealChoice::Latent) => Conceal::Latent,
    }
}
