//! Which frames of an output are right, what was done about the others, and the report of that.

use std::io::Write;

use latentbit_codec::maskgit::Schedule;
use latentbit_codec::pipeline::{Conceal, Fidelity, MAX_CONCEALED_CHUNKS};
use latentbit_container::BundleId;
use serde::Serialize;

use crate::report::BundleReport;
use latentbit_media::MediaError;
use latentbit_media::Target;

/// Runs of frames that messages name; the report has them all.
const MAX_TOLD: usize = 10;

/// Frames, by what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FrameTotals {
    /// What the encoder meant.
    pub exact: u64,
    /// Intact, but a chunk before them in their group is lost.
    pub affected: u64,
    /// Lost, all or in part, and filled in.
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

/// Neighbouring frames of one kind.
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
    /// What maskgit works with.
    predictor: Option<PredictorReport>,
    settings: Option<Settings>,
    /// Lost chunks in a row up to which the method is used.
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

/// The predictor, and how it fills, if that is the method.
fn predictor_of(conceal: &Conceal) -> Option<(PredictorReport, Settings)> {
    let Conceal::MaskGit { predictor, fill } = conceal else {
        return None;
    };
    let about = PredictorReport {
        name: predictor.config().name.clone(),
        sha256: predictor
            .sha256()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
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

/// Follows the frames of an output.
#[derive(Debug)]
pub struct Losses {
    /// Index of the frame that should come next, once it is known.
    next: Option<u64>,
    totals: FrameTotals,
    runs: Vec<Stretch>,
}

impl Losses {
    /// `next` is the index of the frame that should come first, if anybody knows.
    pub const fn new(next: Option<u64>) -> Self {
        Self {
            next,
            totals: FrameTotals {
                exact: 0,
                affected: 0,
                concealed: 0,
                left_out: 0,
            },
            runs: Vec::new(),
        }
    }

    /// What there was so far.
    pub const fn totals(&self) -> &FrameTotals {
        &self.totals
    }

    /// Takes a frame in; those between the last one and it are left out.
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

    /// Says that the frames up to `end` are all.
    pub fn end(&mut self, end: u64) {
        if let Some(next) = self.next.filter(|&next| next < end) {
            self.add(next, end - next, State::LeftOut, None);
            self.next = Some(end);
        }
    }

    fn add(&mut self, first: u64, frames: u64, state: State, method: Option<&'static str>) {
        self.totals.count(state, frames);
        match self.runs.last_mut() {
            Some(run) if (run.state, run.method, run.first + run.frames) == (state, method, first) => {
                run.frames += frames;
            }
            _ => self.runs.push(Stretch {
                first,
                frames,
                state,
                method,
            }),
        }
    }

    /// Says which frames of `output` are lost and what was done about it.
    pub fn log(&self, output: &str) {
        let lost = self
            .runs
            .iter()
            .filter(|run| matches!(run.state, State::Concealed | State::LeftOut));
        for run in lost.clone().take(MAX_TOLD) {
            let what = match run.method {
                Some(method) => format!("concealed ({method})"),
                None => "left out".to_owned(),
            };
            let last = run.first + run.frames - 1;
            tracing::error!("{output}: frames {} to {last} are {what}", run.first);
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
            runs: &self.runs,
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
    fn runs_cover_every_frame() {
        let mut losses = Losses::new(Some(2));
        for index in [3, 4, 7, 8] {
            losses.take(index, Fidelity::Exact);
        }
        for index in 9..12 {
            losses.take(index, Fidelity::Concealed(Method::Blend));
        }
        losses.take(12, Fidelity::Concealed(Method::Freeze));
        losses.take(13, Fidelity::Affected);
        losses.end(16);
        let runs: Vec<_> = losses
            .runs
            .iter()
            .map(|run| (run.first, run.frames, run.state))
            .collect();
        assert_eq!(
            runs,
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
        let mut losses = Losses::new(None);
        losses.take(40, Fidelity::Exact);
        losses.end(41);
        assert_eq!(losses.totals().left_out, 0);
    }
}
