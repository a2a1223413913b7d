//! Frames to steps: the frames of one latent frame, padded to whole latent positions.

use latentbit_container::PixelFrames;

use super::geometry::Geometry;
use super::keys::{KeyFrames, Keys};
use super::queue::Outlet;
use crate::error::Result;
use crate::frame::Frame;

/// Where a chunk begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkStart {
    pub(super) sequence: u64,
    pub(super) first_frame: PixelFrames,
    /// Whether a group begins with it.
    pub(super) key: bool,
}

/// The frames of one latent frame.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// Set when a chunk begins here.
    pub(super) start: Option<ChunkStart>,
    /// (time, height, width) of `pixels`.
    pub(super) size: [usize; 3],
    /// (time, height, width, 3) values in -1…1; past the picture and past the last frame they repeat its edge.
    pub(super) pixels: Vec<f32>,
    /// Frames of the video among them.
    pub(super) frames: usize,
}

/// Cuts a video of unknown length into steps, chunks and groups (LBIT §6.2).
#[derive(Debug)]
pub(super) struct Collector {
    width: usize,
    height: usize,
    /// Height and width of a step.
    padded: [usize; 2],
    time_stride: usize,
    chunk_latent_frames: u16,
    chunks_per_group: u32,
    /// Chunks of the group before this one.
    in_group: u32,
    /// Steps of the chunk before this one.
    in_chunk: u16,
    sequence: u64,
    next_frame: PixelFrames,
    step: Option<Step>,
}

impl Collector {
    pub(super) fn new(geometry: &Geometry, chunks_per_group: u32) -> Self {
        let [time, rows, columns] = geometry.strides;
        let (width, height) = (geometry.width as usize, geometry.height as usize);
        Self {
            width,
            height,
            padded: [height.next_multiple_of(rows), width.next_multiple_of(columns)],
            time_stride: time,
            chunk_latent_frames: geometry.chunk_latent_frames,
            chunks_per_group,
            in_group: 0,
            in_chunk: 0,
            sequence: 0,
            next_frame: PixelFrames(0),
            step: None,
        }
    }

    /// Takes a frame of the right size; gives the step that it completes.
    fn push(&mut self, frame: &Frame) -> Option<Step> {
        let mut step = self.step.take().unwrap_or_else(|| self.begin());
        self.append(frame, &mut step.pixels);
        step.frames += 1;
        self.next_frame += PixelFrames(1);
        if step.frames < step.size[0] {
            self.step = Some(step);
            return None;
        }
        Some(self.complete(step))
    }

    /// Ends the group, so that the next frame begins a key chunk; gives the step that is not full, padded.
    fn end_group(&mut self) -> Option<Step> {
        let step = self.flush();
        if self.in_chunk > 0 {
            self.in_chunk = 0;
            self.sequence += 1;
        }
        self.in_group = 0;
        step
    }

    /// The step that is not full at the end of the video.
    fn flush(&mut self) -> Option<Step> {
        let mut step = self.step.take()?;
        let [time, height, width] = step.size;
        let last = step.pixels.len() - height * width * 3;
        for _ in step.frames..time {
            step.pixels.extend_from_within(last..last + height * width * 3);
        }
        Some(self.complete(step))
    }

    fn begin(&self) -> Step {
        let key = self.in_group == 0;
        let time = if key && self.in_chunk == 0 {
            1
        } else {
            self.time_stride
        };
        let [height, width] = self.padded;
        Step {
            start: (self.in_chunk == 0).then_some(ChunkStart {
                sequence: self.sequence,
                first_frame: self.next_frame,
                key,
            }),
            size: [time, height, width],
            pixels: Vec::with_capacity(time * height * width * 3),
            frames: 0,
        }
    }

    fn complete(&mut self, step: Step) -> Step {
        self.in_chunk += 1;
        if self.in_chunk >= self.chunk_latent_frames {
            self.in_chunk = 0;
            self.sequence += 1;
            // With one group for the whole stream the counter only has to stay away from zero.
            self.in_group = match self.chunks_per_group {
                0 => 1,
                n => (self.in_group + 1) % n,
            };
        }
        step
    }

    fn append(&self, frame: &Frame, pixels: &mut Vec<f32>) {
        let row_values = self.width * 3;
        let [height, width] = self.padded;
        let mut row_start = pixels.len();
        for row in frame.data.chunks_exact(row_values) {
            row_start = pixels.len();
            pixels.extend(row.iter().map(|v| v * 2.0 - 1.0));
            for _ in self.width..width {
                pixels.extend_from_within(pixels.len() - 3..);
            }
        }
        for _ in self.height..height {
            pixels.extend_from_within(row_start..row_start + width * 3);
        }
    }
}

/// The input of a pipeline that takes frames.
#[derive(Debug)]
pub struct FrameInput {
    collector: Collector,
    keys: Keys,
    steps: Outlet<Step>,
}

impl FrameInput {
    pub(super) fn new(collector: Collector, key_frames: &KeyFrames, steps: Outlet<Step>) -> Self {
        Self {
            collector,
            keys: Keys::new(key_frames),
            steps,
        }
    }

    /// Gives the next frame to the pipeline; waits while the queues are full.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for a frame of another size than the stream's;
    /// [`Error::Closed`](crate::Error::Closed) when the pipeline has ended early, and
    /// [`Output::pull`](super::Output::pull) says why.
    pub fn push(&mut self, frame: &Frame) -> Result<()> {
        frame.check_size(self.collector.width, self.collector.height)?;
        if self.keys.is_key(frame)
            && let Some(step) = self.collector.end_group()
        {
            self.steps.send(step)?;
        }
        match self.collector.push(frame) {
            Some(step) => self.steps.send(step),
            None => Ok(()),
        }
    }

    /// Says that there are no more frames. Without this call the output ends with
    /// [`Error::Stopped`](crate::Error::Stopped).
    ///
    /// # Errors
    /// As for [`push`](Self::push).
    pub fn flush(mut self) -> Result<()> {
        if let Some(step) = self.collector.flush() {
            self.steps.send(step)?;
        }
        self.steps.end()
    }
}

#[cfg(test)]
mod tests {
    use latentbit_container::ChunkPlan;

    use super::*;

    fn geometry(width: u32, height: u32) -> Geometry {
        Geometry {
            width,
            height,
            strides: [4, 8, 8],
            chunk_latent_frames: 4,
        }
    }

    fn frame(width: usize, height: usize, value: impl Fn(usize) -> f32) -> Frame {
        Frame {
            width,
            height,
            data: (0..width * height * 3).map(value).collect(),
        }
    }

    #[test]
    fn steps_make_the_chunks_of_the_plan() {
        for (frames, group) in [(1, 8), (2, 8), (13, 8), (14, 0), (60, 2), (97, 1), (200, 3)] {
            let mut collector = Collector::new(&geometry(8, 8), group);
            let mut steps: Vec<Step> = (0..frames)
                .filter_map(|_| collector.push(&frame(8, 8, |_| 0.5)))
                .collect();
            steps.extend(collector.flush());
            assert_eq!(collector.flush(), None);
            let mut steps = steps.into_iter().peekable();
            for planned in ChunkPlan::new(PixelFrames(frames), 4, group, 4) {
                let (mut latent, mut real) = (0, 0);
                let first = steps.peek().unwrap().start.unwrap();
                let expected = ChunkStart {
                    sequence: planned.sequence,
                    first_frame: planned.first_frame,
                    key: planned.key,
                };
                assert_eq!(first, expected, "{frames} {group}");
                while let Some(step) = steps.next_if(|s| latent == 0 || s.start.is_none()) {
                    assert_eq!(step.pixels.len(), step.size.iter().product::<usize>() * 3);
                    assert_eq!(step.size[0], if latent == 0 && planned.key { 1 } else { 4 });
                    latent += 1;
                    real += step.frames as u64;
                }
                assert_eq!(
                    (latent, real),
                    (planned.latent_frames.0, planned.frames.0),
                    "{frames} {group}"
                );
            }
            assert_eq!(steps.next(), None);
        }
    }

    #[test]
    fn a_group_ends_anywhere() {
        let mut collector = Collector::new(&geometry(8, 8), 8);
        let mut steps = Vec::new();
        for index in 0..40 {
            // In the middle of a step, after a whole step, after a whole chunk, and with nothing before.
            if [0, 3, 8, 21].contains(&index) {
                steps.extend(collector.end_group());
                assert_eq!(collector.end_group(), None);
            }
            steps.extend(collector.push(&frame(8, 8, |_| 0.5)));
        }
        steps.extend(collector.flush());
        let sizes: Vec<(usize, usize)> = steps.iter().map(|step| (step.size[0], step.frames)).collect();
        let cut = [(1, 1), (4, 2)];
        let whole_step = [(1, 1), (4, 4)];
        let whole_chunk = [(1, 1), (4, 4), (4, 4), (4, 4)];
        let rest = [(1, 1), (4, 4), (4, 4), (4, 4), (4, 4), (4, 2)];
        assert_eq!(sizes, [&cut[..], &whole_step, &whole_chunk, &rest].concat());
        let starts: Vec<ChunkStart> = steps.iter().filter_map(|step| step.start).collect();
        let expected = [(0, true), (3, true), (8, true), (21, true), (34, false)];
        for (sequence, (start, (first, key))) in starts.iter().zip(expected).enumerate() {
            let first_frame = PixelFrames(first);
            let sequence = sequence as u64;
            assert_eq!(
                *start,
                ChunkStart {
                    sequence,
                    first_frame,
                    key
                }
            );
        }
        assert_eq!(starts.len(), expected.len());
    }

    #[test]
    fn edges_are_repeated() {
        let mut collector = Collector::new(&geometry(9, 3), 8);
        let step = collector.push(&frame(9, 3, |i| (i / 3) as f32 / 26.0)).unwrap();
        assert_eq!(step.size, [1, 8, 16]);
        let at = |row: usize, column: usize| step.pixels[(row * 16 + column) * 3];
        assert_eq!(at(0, 0), -1.0);
        assert_eq!(at(2, 8), 1.0);
        for column in 9..16 {
            assert_eq!(at(1, column), at(1, 8));
        }
        for row in 3..8 {
            assert_eq!(at(row, 4), at(2, 4));
            assert_eq!(at(row, 15), 1.0);
        }
        collector.push(&frame(9, 3, |_| 0.25));
        let step = collector.flush().unwrap();
        assert_eq!((step.size, step.frames), ([4, 8, 16], 1));
        assert!(step.pixels.iter().all(|&v| v == -0.5));
    }
}
