//! Steps on a GPU. Those of several clips are computed together: a small picture does not fill it.

use super::network::Network;
use super::program::Values;
use super::state::{Done, Job, State};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::{Gpu, Input, Later, Operand, fill_clip, unpatchify_clip};

/// Values of a step's frames, of all clips, at most: what four frames of 480×832 have. Larger ones fill a GPU by
/// themselves.
const VALUES: usize = 4 * 480 * 832 * 3;

impl Network {
    /// As [`Network::begin`], along with steps of other clips that wait meanwhile. States are alike where as many frames
    /// passed by; each keeps what is its own.
    pub(super) fn begin_on(
        &self,
        gpu: &Gpu,
        state: &mut State,
        size: [usize; 3],
        values: &[f32],
    ) -> Result<Later> {
        let most = VALUES / values.len().max(self.output_len(state, size)).max(1);
        state.input.write(gpu, values)?;
        let job = Job {
            state: std::mem::take(state),
            size,
            len: values.len(),
        };
        let alike = |a: &Job, b: &Job| a.size == b.size && a.state.is_like(&b.state);
        let run = |all: &mut State, jobs: Vec<Job>| self.run_jobs(gpu, all, jobs);
        let done = self
            .steps
            .run(job, most.clamp(1, Device::CLIPS_TOGETHER), alike, run);
        let done = done.ok_or_else(|| Error::device("a step was lost to an error before"))?;
        *state = done.state;
        done.later
    }

    fn run_jobs(&self, gpu: &Gpu, all: &mut State, mut jobs: Vec<Job>) -> Vec<Done> {
        let results: Vec<Result<Later>> = match self.run_together(gpu, all, &mut jobs) {
            Ok(laters) => laters.into_iter().map(Ok).collect(),
            Err(error) => error.for_each(jobs.len()),
        };
        let jobs = jobs.into_iter().zip(results);
        jobs.map(|(Job { state, .. }, later)| Done { state, later })
            .collect()
    }

    fn run_together(&self, gpu: &Gpu, all: &mut State, jobs: &mut [Job]) -> Result<Vec<Later>> {
        let Some(&Job {
            ref state, size, len, ..
        }) = jobs.first()
        else {
            return Ok(Vec::new());
        };
        let [before, after] = self.patches;
        let output = self.passes(state).output(&self.parts, size);
        let read = |state: &State, turn| {
            let values = &state.streams[Values::Output as usize];
            unpatchify_clip(values, output, self.outputs, after, turn)
        };
        if let [Job { state, .. }] = jobs {
            // Nothing to gather.
            let values = std::mem::take(&mut state.input);
            let fill = |_, operand: &mut Operand| fill_clip(&values, len, before, [1, 0], operand);
            self.step(state, size.into(), fill, |_, _| Ok(()))?;
            state.input = values;
            return Ok(vec![read(state, [1, 0])?]);
        }
        let clips = jobs.len();
        let mut states: Vec<&mut State> = jobs.iter_mut().map(|job| &mut job.state).collect();
        let lead = |conv: usize| self.parts.convs[conv].spec().lead();
        all.gather(gpu, lead, &mut states)?;
        let fill = |_, operand: &mut Operand| {
            let mut states = states.iter().enumerate();
            states.try_for_each(|(clip, state)| fill_clip(&state.input, len, before, [clips, clip], operand))
        };
        self.step(all, Input { clips, size }, fill, |_, _| Ok(()))?;
        all.scatter(gpu, lead, &mut states)?;
        (0..clips).map(|clip| read(all, [clips, clip])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Backend;
    use crate::kernels::cpu::tests::Random;
    use crate::vae::WanVae;
    use crate::{Bundle, Dtype};

    fn vae(name: &str) -> WanVae {
        let path = format!(
            "{}/../testdata/golden/{name}.safetensors",
            env!("CARGO_MANIFEST_DIR")
        );
        Bundle::open(path, &Device::emulated(), Dtype::F32).unwrap().vae
    }

    /// Steps of some clips, in one go or one by one.
    fn step(
        network: &Network,
        all: &mut State,
        clips: &mut [State],
        size: [usize; 3],
        inputs: &[Vec<f32>],
        together: bool,
    ) -> Vec<Vec<f32>> {
        let Backend::Gpu(gpu) = network.parts.backend() else {
            panic!("not on a GPU")
        };
        let len = network.output_len(&clips[0], size);
        if !together {
            let each = clips.iter_mut().zip(inputs);
            let run = |(state, values): (&mut State, &Vec<f32>)| {
                let mut out = vec![0.0; len];
                let later = network.begin_on(gpu, state, size, values).unwrap();
                later.wait(&mut out).unwrap();
                out
            };
            return each.map(run).collect();
        }
        let each = clips.iter_mut().zip(inputs);
        let job = |(state, values): (&mut State, &Vec<f32>)| {
            state.input.write(gpu, values).unwrap();
            Job {
                state: std::mem::take(state),
                size,
                len: values.len(),
            }
        };
        let mut jobs: Vec<Job> = each.map(job).collect();
        assert!(jobs.iter().all(|job| job.state.is_like(&jobs[0].state)));
        let laters = network.run_together(gpu, all, &mut jobs).unwrap();
        for (state, job) in clips.iter_mut().zip(jobs) {
            *state = job.state;
        }
        let wait = |later: Later| {
            let mut out = vec![0.0; len];
            later.wait(&mut out).unwrap();
            out
        };
        laters.into_iter().map(wait).collect()
    }

    fn check(network: &Network, [time, height, width]: [usize; 3], channels: usize, name: &str) {
        let mut random = Random::new(23);
        let mut all = State::default();
        let fresh = || (0..3).map(|_| State::default()).collect::<Vec<_>>();
        let (mut alone, mut clips) = (fresh(), fresh());
        // One of them leaves, another one takes its place at the end; some steps are taken alone.
        for (index, (together, count)) in [(true, 3), (true, 3), (false, 3), (true, 2), (true, 2)]
            .into_iter()
            .enumerate()
        {
            if index == 4 {
                let saved = clips[1].save().unwrap();
                clips[1].reset();
                clips[1].load(saved);
            }
            let size = [if index == 0 { 1 } else { time }, height, width];
            let patch = network.patches[0];
            let len = size.iter().product::<usize>() * channels * patch * patch;
            let inputs: Vec<_> = (0..count).map(|_| random.values_f32(len)).collect();
            let expected = step(network, &mut all, &mut alone[..count], size, &inputs, false);
            let found = step(network, &mut all, &mut clips[..count], size, &inputs, together);
            assert!(found == expected, "{name}, step {index}");
            assert_ne!(found[0], found[1]);
        }
        alone[2].reset();
        assert!(!alone[2].is_like(&alone[0]));
    }

    #[test]
    fn clips_together_give_what_they_give_alone() {
        for name in ["vae-tiny", "vae-tiny22", "vae-small-wan", "storage-int8"] {
            let vae = vae(name);
            let ([time, ..], patch) = (vae.strides(), vae.config().patch);
            let encoder = format!("encoder of {name}");
            let [_, rows, columns] = vae.strides();
            check(
                &vae.encoder,
                [time, 2 * rows / patch, 3 * columns / patch],
                3,
                &encoder,
            );
            check(
                &vae.decoder,
                [1, 2, 3],
                vae.latent_channels(),
                &format!("decoder of {name}"),
            );
        }
    }
}
