//! A PNG or JPEG picture, with what it says of its orientation and colours.

pub fn run(data: &[u8]) {
    #[cfg(fuzzing)]
    latentbit_media::fuzzing::still(data);
    #[cfg(not(fuzzing))]
    let _ = data;
}
