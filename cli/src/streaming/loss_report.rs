//! The loss report: which frames of an output are exact, and what was done about the others.

use std::io::Write;

use latentbit_codec::maskgit::Schedule;
use latentbit_codec::pipeline::{Conceal, Fidelity, MAX_CONCEALED_CHUNKS};
use latentbit_container::BundleId;
use serde::Serialize;

use crate::digest::hex;
use crate::report::BundleReport;
use latentbit_media::MediaError;
use latentbit_media::Target;

/// Most stretches of frames in messages; the report lists all.
const MAX_TOLD: usize = 10;

/// How many frames there are of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FrameTotals {
    /// As encoded.
    pub exact: u64,
    /// Intact, but after a lost chunk in their group.
    pub affected: u64,
    /// Lost, in whole or in part, and filled in.
    pub concealed: u64,
    /// Lost, and not in the output.
    pub left_out: u64,
}

impl FrameTotals {
    /// Frames in the output.
    pub const fn written(&self) -> u64 {
        self.exact + self.affected + self.concealed
    }

    fn count(&mut self, state: State, frames: u64) {
        *match state {
            State::Exact => &mut self.exact,
            State::Affected => &mut self.affected,
            State::Concealed => &mut self.concealed,
            State::LeftOut => &mut self.left_out,
        } += frames;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Exact,
    Affected,
    Concealed,
    LeftOut,
}

/// Consecutive frames of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Stretch {
    /// Index of the first one in the stream.
    first: u64,
    frames: u64,
    state: State,
    /// How they were concealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'static str>,
}

/// What a report says about the run as a whole.
pub struct LossReportHead<'a> {
    pub input: &'a str,
    pub output: &'a str,
    pub bundle: &'a BundleId,
    pub conceal: &'a Conceal,
    pub low_delay: bool,
    pub seconds: f64,
}

#[derive(Debug, Serialize)]
struct LossReport<'a> {
    schema: &'static str,
    input: &'a str,
    output: &'a str,
    bundle: BundleReport,
    method: &'static str,
    low_delay: bool,
    /// The predictor of maskgit.
    predictor: Option<PredictorReport>,
    settings: Option<Settings>,
    /// The method is used for at most this many lost chunks in a row.
    max_chunks: u64,
    totals: &'a FrameTotals,
    runs: &'a [Stretch],
    /// Of the whole run.
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct PredictorReport {
    name: String,
    sha256: String,
}

#[derive(Debug, Serialize)]
struct Settings {
    steps: u32,
    schedule: &'static str,
    temperature: f32,
    noise: f32,
    seed: u64,
}

/// The predictor and its settings, if the method is maskgit.
fn predictor_of(conceal: &Conceal) -> Option<(PredictorReport, Settings)> {
    let Conceal::MaskGit { predictor, fill } = conceal else {
        return None;
    };
    let about = PredictorReport {
        name: predictor.config().name.clone(),
        sha256: hex(&predictor.sha256()),
    };
    let settings = Settings {
        steps: fill.steps,
        schedule: match fill.schedule {
            Schedule::Cosine => "cosine",
            Schedule::Linear => "linear",
        },
        temperature: fill.temperature,
        noise: fill.noise,
        seed: fill.seed,
    };
    Some((about, settings))
}

/// Keeps track of the frames of an output.
#[derive(Debug, Default)]
pub struct Losses {
    /// Index of the frame that should come next, once it is known.
    next: Option<u64>,
    totals: FrameTotals,
    stretches: Vec<Stretch>,
}

impl Losses {
    /// Expects frame `first` to be the first.
    pub const fn begin(&mut self, first: u64) {
        self.next = Some(first);
    }

    /// The frames so far.
    pub const fn totals(&self) -> &FrameTotals {
        &self.totals
    }

    /// Counts a frame. Those between the last one and it were left out.
    pub fn take(&mut self, index: u64, fidelity: Fidelity) {
        self.end(index);
        let (state, method) = match fidelity {
            Fidelity::Exact => (State::Exact, None),
            Fidelity::Affected => (State::Affected, None),
            Fidelity::Concealed(method) => (State::Concealed, Some(method.name())),
        };
        self.add(index, 1, state, method);
        self.next = Some(index + 1);
    }

    /// Ends the output before frame `end`. Those that did not come were left out.
    pub fn end(&mut self, end: u64) {
        if let Some(next) = self.next.filter(|&next| next < end) {
            self.add(next, end - next, State::LeftOut, None);
            self.next = Some(end);
        }
    }

    fn add(&mut self, first: u64, frames: u64, state: State, method: Option<&'static str>) {
        self.totals.count(state, frames);
        match self.stretches.last_mut() {
            Some(last) if (last.state, last.method, last.first + last.frames) == (state, method, first) => {
                last.frames += frames;
            }
            _ => self.stretches.push(Stretch {
                first,
                frames,
                state,
                method,
            }),
        }
    }

    /// Logs which frames of `output` are lost, and what was done about them.
    pub fn log(&self, output: &str) {
        let lost = self
            .stretches
            .iter()
            .filter(|stretch| matches!(stretch.state, State::Concealed | State::LeftOut));
        for stretch in lost.clone().take(MAX_TOLD) {
            let what = match stretch.method {
                Some(method) => format!("concealed ({method})"),
                None => "left out".to_owned(),
            };
            let last = stretch.first + stretch.frames - 1;
            tracing::error!("{output}: frames {} to {last} are {what}", stretch.first);
        }
        let more = lost.count().saturating_sub(MAX_TOLD);
        if more > 0 {
            tracing::error!("{output}: and {more} more of such stretches; --loss-report lists all");
        }
        let FrameTotals {
            affected,
            concealed,
            left_out,
            ..
        } = self.totals;
        if affected + concealed + left_out > 0 {
            tracing::error!(
                "{output}: {} frames, of them {concealed} concealed and {affected} affected by what is lost before them; \
                 {left_out} left out",
                self.totals.written()
            );
        }
    }

    /// Writes the report to a file, or to stdout for `-`.
    pub fn write(&self, path_or_dash: &str, about: &LossReportHead<'_>) -> anyhow::Result<()> {
        let (predictor, settings) = predictor_of(about.conceal).unzip();
        let report = LossReport {
            schema: "latentbit.loss/1",
            input: about.input,
            output: about.output,
            bundle: about.bundle.into(),
            method: about.conceal.method().map_or("off", |method| method.name()),
            low_delay: about.low_delay,
            predictor,
            settings,
            max_chunks: MAX_CONCEALED_CHUNKS,
            totals: &self.totals,
            runs: &self.stretches,
            seconds: about.seconds,
        };
        let (target, mut file) = Target::open(path_or_dash)?;
        let text = serde_json::to_string(&report)?;
        writeln!(file, "{text}")
            .and_then(|()| file.flush())
            .map_err(|error| MediaError::io(&target.place, "write", error))?;
        drop(file);
        Ok(target.commit()?)
    }
}

#[cfg(test)]
mod tests {
    use latentbit_codec::pipeline::Method;

    use super::*;

    #[test]
    fn stretches_cover_every_frame() {
        let mut losses = Losses::default();
        losses.begin(2);
        for index in [3, 4, 7, 8] {
            losses.take(index, Fidelity::Exact);
        }
        for index in 9..12 {
            losses.take(index, Fidelity::Concealed(Method::Blend));
        }
        losses.take(12, Fidelity::Concealed(Method::Freeze));
        losses.take(13, Fidelity::Affected);
        losses.end(16);
        let stretches: Vec<_> = losses
            .stretches
            .iter()
            .map(|stretch| (stretch.first, stretch.frames, stretch.state))
            .collect();
        assert_eq!(
            stretches,
            [
                (2, 1, State::LeftOut),
                (3, 2, State::Exact),
                (5, 2, State::LeftOut),
                (7, 2, State::Exact),
                (9, 3, State::Concealed),
                (12, 1, State::Concealed),
                (13, 1, State::Affected),
                (14, 2, State::LeftOut),
            ]
        );
        let totals = losses.totals();
        assert_eq!((totals.exact, totals.affected), (4, 1));
        assert_eq!((totals.concealed, totals.left_out), (4, 5));
        assert_eq!(totals.written(), 9);
    }

    #[test]
    fn a_stream_that_is_joined_lost_nothing_before() {
        let mut losses = Losses::default();
        losses.take(40, Fidelity::Exact);
        losses.end(41);
        assert_eq!(losses.totals().left_out, 0);
    }
}
