//! The first stage of a decoder: finds out what is lost, and what is to be done about it.

use latentbit_container::{Chunk, VideoStream};

use super::fill::{Filler, MadeUp};
use super::plan::Groups;
use super::{Conceal, Cover, Gap, LostRun, MAX_CONCEALED_CHUNKS, Part, Wait};
use crate::error::Result;
use crate::pipeline::stage::{Context, Stage};
use crate::pipeline::{Coded, Options};

/// Passes chunks on, and says what covers the gaps between them.
pub(in crate::pipeline) struct Concealer {
    conceal: Conceal,
    low_delay: bool,
    groups: Groups,
    /// What predicts tokens, if that is what is done.
    filler: Option<Filler>,
    /// Lost chunks that wait for the chunk after them.
    waiting: Option<LostRun>,
    /// Chunks that were lost since the last one that came.
    in_a_row: u64,
}

impl Concealer {
    pub(in crate::pipeline) fn new(video: &VideoStream, options: &Options) -> Self {
        let filler = match &options.conceal {
            Conceal::MaskGit { predictor, fill } => {
                Some(Filler::new(predictor, fill, video, options.kept_bits))
            }
            _ => None,
        };
        Self {
            conceal: options.conceal.clone(),
            low_delay: options.low_delay,
            groups: Groups::new(video),
            filler,
            waiting: None,
            in_a_row: 0,
        }
    }

    /// Whether what covers a gap depends on what comes after it.
    fn looks_ahead(&self) -> bool {
        !self.low_delay && !matches!(self.conceal, Conceal::Off | Conceal::Freeze)
    }

    fn lost(&mut self, run: LostRun, context: &Context<Part>) -> Result<()> {
        let before = self.in_a_row;
        self.in_a_row = before.saturating_add(run.chunk_count());
        let run = match self.waiting.take() {
            Some(earlier) => LostRun {
                chunks: earlier.chunks.start..run.chunks.end,
                frames: earlier.frames.start..run.frames.end,
            },
            None => run,
        };
        let limited = !matches!(self.conceal, Conceal::Off | Conceal::Freeze);
        if limited && self.in_a_row > MAX_CONCEALED_CHUNKS {
            if before <= MAX_CONCEALED_CHUNKS {
                tracing::warn!(
                    "more than {MAX_CONCEALED_CHUNKS} chunks in a row are lost: from chunk {} on the last frame is held",
                    run.chunks.start
                );
            }
            self.groups.lose();
            self.filler.iter_mut().for_each(Filler::forget);
            return self.gap(run, Cover::Freeze, context);
        }
        if self.looks_ahead() {
            self.waiting = Some(run);
            return Ok(());
        }
        self.cover(run, None, context)
    }

    /// Fills a run of lost chunks; `next` is the chunk after it, if it has come.
    fn cover(&mut self, run: LostRun, next: Option<&Chunk>, context: &Context<Part>) -> Result<()> {
        let next_is_key = next.map(|next| next.key);
        let cover = match &self.conceal {
            Conceal::Off => Cover::Nothing,
            Conceal::Blend if !self.low_delay => Cover::Blend,
            Conceal::Freeze | Conceal::Blend => Cover::Freeze,
            Conceal::Latent => {
                let wait = match next {
                    Some(_) => Wait::ForNext,
                    None => Wait::No,
                };
                Cover::Latent(self.groups.plan(&run, next_is_key), wait)
            }
            Conceal::MaskGit { .. } => {
                let lost = self.groups.plan(&run, next_is_key);
                let filled = match &mut self.filler {
                    Some(filler) => context.compute(|| filler.fill(&lost, next))?,
                    None => None,
                };
                let Some(filled) = filled else {
                    tracing::warn!(
                        "there is nothing to predict chunk {} from: the last frame before it is held",
                        run.chunks.start
                    );
                    return self.gap(run, Cover::Freeze, context);
                };
                return filled
                    .into_iter()
                    .try_for_each(|made_up| context.send(Part::MadeUp(made_up)));
            }
        };
        self.gap(run, cover, context)
    }

    fn gap(&self, run: LostRun, cover: Cover, context: &Context<Part>) -> Result<()> {
        context.send(Part::Gap(Gap {
            frames: run.frames,
            cover,
        }))
    }
}

impl Stage for Concealer {
    type In = Coded;
    type Out = Part;

    fn take(&mut self, item: Coded, context: &Context<Part>) -> Result<()> {
        match item {
            Coded::Lost { chunks, frames } => self.lost(LostRun { chunks, frames }, context),
            Coded::Chunk(mut chunk) => {
                if let Some(run) = self.waiting.take() {
                    self.cover(run, Some(&chunk), context)?;
                }
                self.in_a_row = 0;
                self.groups.pass(&chunk);
                let draws = match &mut self.filler {
                    Some(filler) => context.compute(|| filler.pass(&mut chunk))?,
                    None => None,
                };
                context.send(match draws {
                    Some(draws) => Part::MadeUp(MadeUp {
                        chunk,
                        draws,
                        before: false,
                        after: false,
                    }),
                    None => Part::Chunk(chunk),
                })
            }
        }
    }

    fn finish(&mut self, context: &Context<Part>) -> Result<()> {
        match self.waiting.take() {
            Some(run) => self.cover(run, None, context),
            None => Ok(()),
        }
    }
}
