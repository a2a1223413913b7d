//! The list of tensors of a checkpoint: no panic, no deep recursion, bounded memory and steps.

pub fn run(data: &[u8]) {
    #[cfg(fuzzing)]
    crate::budget::within(data, 0, || latentbit_codec::bundle::fuzzing::pickled(data));
    #[cfg(not(fuzzing))]
    let _ = data;
}
