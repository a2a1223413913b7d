//! A file of safetensors, in memory and on disk: both find the same tensors.

pub fn run(data: &[u8]) {
    let file = crate::on_disk(data);
    #[cfg(fuzzing)]
    latentbit_codec::bundle::fuzzing::safetensors(data, file.path());
    #[cfg(not(fuzzing))]
    drop(file);
}
