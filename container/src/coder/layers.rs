//! Layers: how the planes of a chunk whose tokens have depths are stored (LBIT §5.8 and §6.3).
//!
//! A layer holds as many planes as the step of the depths. It says which of the tokens that have the layer before go on
//! in it, then their bits. So dropping the last layers needs no unpacking.

use std::ops::Range;

use super::{Coder, Compression, StoredPlane, settle};
use crate::bits::{pack_plane, padding_is_zero, plane_len, unpack_plane};
use crate::chunk::Tokens;
use crate::cm;
use crate::depths::{DepthMap, check_step};
use crate::error::{Broken, Result};
use crate::ground::TokenGrid;

/// The planes of each layer of a chunk with `bits` planes, in steps of `step`.
pub(crate) fn layers(step: u8, bits: u8) -> impl Iterator<Item = Range<u8>> {
    let step = step.max(1);
    (0..bits)
        .step_by(usize::from(step))
        .map(move |from| from..from.saturating_add(step).min(bits))
}

/// Appends `bits`, eight to a byte; zeros fill the last byte.
fn put_bits(bits: impl Iterator<Item = bool>, out: &mut Vec<u8>) {
    let (mut byte, mut used) = (0u8, 0);
    for bit in bits {
        byte |= u8::from(bit) << used;
        used += 1;
        if used == 8 {
            out.push(byte);
            (byte, used) = (0, 0);
        }
    }
    if used > 0 {
        out.push(byte);
    }
}

/// Packs a layer: a bit for each of `tokens`, whether it goes on, then plane by plane the bits of those that do.
fn pack(tokens: &[u32], planes: &Range<u8>, depths: &[u8], values: &[u64]) -> Vec<u8> {
    let goes_on = |token: u32| {
        depths
            .get(token as usize)
            .is_some_and(|&depth| depth > planes.start)
    };
    let mut out = Vec::new();
    put_bits(tokens.iter().map(|&token| goes_on(token)), &mut out);
    let here: Vec<u64> = tokens
        .iter()
        .filter(|&&token| goes_on(token))
        .map(|&token| values.get(token as usize).copied().unwrap_or(0))
        .collect();
    for plane in planes.clone() {
        pack_plane(&here, u32::from(plane), &mut out);
    }
    out
}

/// The longest that a layer of `tokens` tokens can be when packed.
fn most_bytes(tokens: usize, planes: &Range<u8>) -> usize {
    plane_len(tokens).saturating_mul(1 + planes.len())
}

/// Reads what [`pack`] made.
fn unpack(
    packed: &[u8],
    tokens: &[u32],
    planes: &Range<u8>,
    depths: &mut [u8],
    values: &mut [u64],
) -> Result<(), Broken> {
    let short = |expected: usize| {
        let expected = format!("{expected} bytes");
        Broken::new("length of a layer", expected, packed.len())
    };
    let first = plane_len(tokens.len());
    let (goes_on, bits) = packed.split_at_checked(first).ok_or_else(|| short(first))?;
    let spare = || Broken::new("layer", "zero bits after the last token", "others");
    if !padding_is_zero(goes_on, tokens.len()) {
        return Err(spare());
    }
    let here: Vec<usize> = (tokens.iter().enumerate())
        .filter(|&(at, _)| goes_on.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1))
        .map(|(_, &token)| token as usize)
        .collect();
    let len = plane_len(here.len());
    let expected = len.saturating_mul(planes.len());
    if bits.len() != expected {
        return Err(short(first + expected));
    }
    let mut found = vec![0; here.len()];
    for (plane, packed) in planes.clone().zip(bits.chunks_exact(len.max(1))) {
        if !padding_is_zero(packed, here.len()) {
            return Err(spare());
        }
        unpack_plane(packed, u32::from(plane), &mut found);
    }
    for (token, found) in here.into_iter().zip(found) {
        if let (Some(depth), Some(value)) = (depths.get_mut(token), values.get_mut(token)) {
            *depth = planes.end;
            *value |= found;
        }
    }
    Ok(())
}

/// All tokens that a first layer is about.
fn all_tokens(grid: TokenGrid) -> Vec<u32> {
    (0..u32::try_from(grid.len()).unwrap_or(u32::MAX)).collect()
}

/// Stores `tokens`, which have `depths`. A layer that does not get smaller stays packed.
pub(crate) fn encode(
    compression: Compression,
    tokens: &Tokens,
    depths: &DepthMap,
) -> Result<(Coder, Vec<StoredPlane>)> {
    let coder = compression.coder();
    let mut cm = (coder == Coder::Cm).then(|| cm::Layers::new(tokens.grid));
    let (mut values, mut at) = (tokens.values.clone(), depths.values.clone());
    let mut open = all_tokens(tokens.grid);
    let mut stored = Vec::new();
    for planes in layers(depths.step, tokens.bits) {
        let packed = pack(&open, &planes, &at, &values);
        let coded = match (&mut cm, compression) {
            (Some(cm), _) => Some(cm.encode(&open, planes.clone(), &mut at, &mut values)),
            (None, Compression::Zstd { level }) if !packed.is_empty() => {
                super::one_zstd_frame(level, &packed)?
            }
            _ => None,
        };
        let smaller = coded.filter(|bytes| bytes.len() < packed.len());
        stored.push(StoredPlane {
            coded: smaller.is_some(),
            bytes: smaller.unwrap_or(packed),
        });
        open.retain(|&token| at.get(token as usize).is_some_and(|&depth| depth > planes.start));
    }
    Ok(settle(coder, stored))
}

/// What the coder `cm` takes for each layer of each token, in bits, if all tokens have all layers of `step` planes: the price
/// of a depth, for whoever chooses depths. The answer is an estimate: what tokens leave out changes what others take.
///
/// Gives a list for each layer, in the order of the tokens.
///
/// # Errors
/// [`Error::Parameter`](crate::Error::Parameter) if the tokens break a rule, or for a step that is not 1 to 64.
pub fn layer_costs(tokens: &Tokens, step: u8) -> Result<Vec<Vec<f32>>> {
    tokens.validate()?;
    check_step(step).map_err(Broken::by_caller)?;
    let mut cm = cm::Layers::new(tokens.grid);
    let (mut values, mut depths) = (tokens.values.clone(), vec![tokens.bits; tokens.values.len()]);
    let all = all_tokens(tokens.grid);
    let costs = layers(step, tokens.bits).map(|planes| cm.costs(&all, planes, &mut depths, &mut values));
    Ok(costs.collect())
}

/// Reads the tokens of a chunk of `bits` planes with depths in steps of `step`.
pub(crate) fn decode(
    coder: Coder,
    grid: TokenGrid,
    step: u8,
    bits: u8,
    stored: &[StoredPlane],
) -> Result<(Vec<u64>, DepthMap), Broken> {
    let (mut values, mut depths) = (vec![0; grid.len()], vec![0; grid.len()]);
    let mut cm = (coder == Coder::Cm).then(|| cm::Layers::new(grid));
    let mut zstd = super::ZstdFrames::default();
    let mut open = all_tokens(grid);
    for (planes, layer) in layers(step, bits).zip(stored) {
        let bytes = &layer.bytes[..];
        match (coder, &mut cm, layer.coded) {
            (_, _, true) if open.is_empty() => {
                let found = format!("a code of {} bytes", bytes.len());
                return Err(Broken::new("layer", "nothing, as no token goes on", found));
            }
            (_, Some(cm), true) => cm.decode(bytes, &open, planes.clone(), &mut depths, &mut values)?,
            (Coder::Zstd, _, true) => {
                let packed = zstd.unpack(bytes, most_bytes(open.len(), &planes))?;
                unpack(&packed, &open, &planes, &mut depths, &mut values)?;
            }
            (_, _, true) => return Err(Broken::new("coder", "one that this build has", coder.name())),
            (_, cm, false) => {
                unpack(bytes, &open, &planes, &mut depths, &mut values)?;
                if let Some(cm) = cm {
                    cm.learn(&open, planes.clone(), &mut depths, &mut values);
                }
            }
        }
        open.retain(|&token| {
            depths
                .get(token as usize)
                .is_some_and(|&depth| depth > planes.start)
        });
    }
    Ok((values, DepthMap { step, values: depths }))
}
