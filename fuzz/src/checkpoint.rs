//! A checkpoint of PyTorch, which is a zip archive: what it lists is read, or refused.

pub fn run(data: &[u8]) {
    let file = crate::on_disk(data);
    #[cfg(fuzzing)]
    crate::budget::within(data, 0, || {
        latentbit_codec::bundle::fuzzing::checkpoint(file.path())
    });
    #[cfg(not(fuzzing))]
    drop(file);
}
