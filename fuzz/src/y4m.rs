//! A y4m stream: frames of the size that its header says, or an error.

pub fn run(data: &[u8]) {
    #[cfg(fuzzing)]
    crate::budget::within(data, 0, || latentbit_media::fuzzing::y4m(data));
    #[cfg(not(fuzzing))]
    let _ = data;
}
