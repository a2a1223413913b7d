//! A file of safetensors, in memory and on disk: both find the same tensors.

pub fn run(data: &[u8]) {
    let file = crate::on_disk(data);
    #[cfg(fuzzing)]
    crate::budget::within(data, 0, || {
        latentbit_codec::bundle::fuzzing::safetensors(data, file.path())
    });
    #[cfg(not(fuzzing))]
    drop(file);
}
