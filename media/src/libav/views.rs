//! Pictures of two views, and pictures that cover a sphere: between libav's side data and the tags of a `.lbit` file.

use super::ffi;
use crate::along::{Along, picture};
use av::codec::packet::side_data::Type as SideData;
use ffmpeg_next as av;

/// How two views share a picture: Matroska's name, libav's number, and whether the right view comes first. Matroska has
/// names for coloured glasses, too, and libav no numbers.
const STEREO_MODES: [(&str, i32, bool); 13] = [
    ("mono", 0, false),
    ("left_right", 1, false),
    ("right_left", 1, true),
    ("top_bottom", 2, false),
    ("bottom_top", 2, true),
    ("block_lr", 3, false),
    ("block_rl", 3, true),
    ("checkerboard_lr", 4, false),
    ("checkerboard_rl", 4, true),
    ("row_interleaved_lr", 6, false),
    ("row_interleaved_rl", 6, true),
    ("col_interleaved_lr", 7, false),
    ("col_interleaved_rl", 7, true),
];

/// The tag of the stereo mode of which libav gives these bytes; none for pictures of one view, and for a mode without a name.
pub fn stereo_of(bytes: &[u8]) -> Option<(String, String)> {
    let (mode, flags) = (number(bytes, 0)?, number(bytes, 1)?);
    let inverted = flags & av::ffi::AV_STEREO3D_FLAG_INVERT != 0;
    let found = STEREO_MODES
        .iter()
        .find(|known| (known.1, known.2) == (mode, inverted));
    let (name, ..) = found.filter(|_| mode > 0)?;
    Some((picture::STEREO_MODE.to_owned(), (*name).to_owned()))
}

fn stereo_to_libav(name: &str) -> Option<Vec<u8>> {
    let (_, mode, inverted) = STEREO_MODES.iter().find(|known| known.0 == name)?;
    // Newer versions of libav have more fields, which are zero if nothing is known.
    let mut bytes = vec![0; size_of::<av::ffi::AVStereo3D>()];
    put(&mut bytes, &[*mode, i32::from(*inverted)]);
    Some(bytes)
}

const PROJECTIONS: [&str; 3] = ["equirectangular", "cubemap", "equirectangular_tile"];
const ANGLES: [&str; 3] = ["yaw", "pitch", "roll"];
const PIXELS: [&str; 5] = ["left", "top", "right", "bottom", "padding"];
/// libav's angles are degrees of 16 bits before and 16 behind the point.
const DEGREE: f64 = 65536.0;

/// The tag of the mapping onto a sphere of which libav gives these bytes; none for one without a name.
pub fn spherical_of(bytes: &[u8]) -> Option<(String, String)> {
    let mut value = (*PROJECTIONS.get(usize::try_from(number(bytes, 0)?).ok()?)?).to_owned();
    for (index, name) in (1..).zip(ANGLES) {
        let angle = number(bytes, index)?;
        if angle != 0 {
            value.push_str(&format!(":{name}={}", f64::from(angle) / DEGREE));
        }
    }
    for (index, name) in (4..).zip(PIXELS) {
        let pixels = number(bytes, index)? as u32;
        if pixels != 0 {
            value.push_str(&format!(":{name}={pixels}"));
        }
    }
    Some((picture::SPHERICAL.to_owned(), value))
}

fn spherical_to_libav(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split(':');
    let name = parts.next()?;
    let mut numbers = [0i32; 9];
    numbers[0] = i32::try_from(PROJECTIONS.iter().position(|known| *known == name)?).ok()?;
    for part in parts {
        let (name, value) = part.split_once('=')?;
        let place = ANGLES.iter().chain(&PIXELS).position(|known| *known == name)?;
        *numbers.get_mut(place + 1)? = match place < ANGLES.len() {
            true => (value.parse::<f64>().ok()? * DEGREE).round() as i32,
            false => value.parse::<u32>().ok()? as i32,
        };
    }
    let mut bytes = vec![0; size_of::<av::ffi::AVSphericalMapping>()];
    put(&mut bytes, &numbers);
    Some(bytes)
}

/// Describes views and spheres to the muxer of a stream.
pub fn add_side_data(stream: &mut av::format::stream::StreamMut<'_>, along: &Along) {
    let stereo = along.picture(picture::STEREO_MODE).and_then(stereo_to_libav);
    let spherical = along.picture(picture::SPHERICAL).and_then(spherical_to_libav);
    for (kind, bytes) in [(SideData::Stereo3d, stereo), (SideData::DataSpherical, spherical)] {
        if let Some(bytes) = bytes {
            ffi::add_side_data(stream, kind, &bytes);
        }
    }
}

/// The number at a place in a structure of numbers of 32 bits.
fn number(bytes: &[u8], index: usize) -> Option<i32> {
    let bytes = bytes.get(index * 4..index * 4 + 4)?;
    Some(i32::from_ne_bytes(bytes.try_into().ok()?))
}

fn put(bytes: &mut [u8], numbers: &[i32]) {
    for (place, number) in bytes.chunks_exact_mut(4).zip(numbers) {
        place.copy_from_slice(&number.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stereo_modes_there_and_back() {
        for (name, mode, _) in STEREO_MODES {
            let bytes = stereo_to_libav(name).unwrap();
            let found = stereo_of(&bytes).map(|(_, value)| value);
            assert_eq!(found.as_deref(), (mode > 0).then_some(name));
        }
        assert_eq!(stereo_to_libav("anaglyph_cyan_red"), None);
        assert_eq!(stereo_of(&[0; 7]), None);
        assert_eq!(stereo_of(&[9; 12]), None);
    }

    #[test]
    fn spheres_there_and_back() {
        for text in [
            "equirectangular",
            "cubemap:yaw=-12.5:padding=3",
            "equirectangular_tile:yaw=0.0000152587890625:pitch=90:roll=-180:left=1:top=4294967295:right=3:bottom=4",
        ] {
            let bytes = spherical_to_libav(text).unwrap();
            assert_eq!(spherical_of(&bytes).unwrap().1, text);
        }
        for wrong in ["", "flat", "cubemap:yaw", "cubemap:yaw=x", "cubemap:pixels=3"] {
            assert_eq!(spherical_to_libav(wrong), None, "{wrong}");
        }
        assert_eq!(spherical_of(&[0; 35]), None);
    }
}
