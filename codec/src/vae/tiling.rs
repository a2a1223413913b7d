//! How frames are cut into tiles, and how tiles become frames again.

use std::ops::Range;

/// A part of an axis, in latent positions.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    /// The positions that are its own.
    core: Range<usize>,
    /// Those that its network sees: with a margin on either side, where there is something.
    seen: Range<usize>,
}

/// Frames in tiles, each of which the network sees with a margin around it.
///
/// Where the margin is as wide as the network can see, tiles are cut at their borders, and the result is that of whole
/// frames. Else neighbours are blended over both margins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiling {
    rows: Vec<Span>,
    columns: Vec<Span>,
    blend: bool,
}

/// One tile: its part of the rows and of the columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    place: [usize; 2],
}

impl Tiling {
    /// Cuts a latent of (height, width) positions into as many rows and columns of tiles, with a margin in positions.
    #[must_use]
    pub fn new(latent: [usize; 2], tiles: [usize; 2], margin: usize, blend: bool) -> Self {
        let spans = |axis: usize| {
            let (length, count) = (latent[axis], tiles[axis].clamp(1, latent[axis].max(1)));
            let spans = (0..count).map(|index| {
                let core = length * index / count..length * (index + 1) / count;
                let seen = core.start.saturating_sub(margin)..(core.end + margin).min(length);
                Span { core, seen }
            });
            spans.collect()
        };
        Self {
            rows: spans(0),
            columns: spans(1),
            blend,
        }
    }

    /// Rows and columns of tiles.
    #[must_use]
    pub fn counts(&self) -> [usize; 2] {
        [self.rows.len(), self.columns.len()]
    }

    /// Whether neighbours are blended, so that the result is not quite that of whole frames.
    #[must_use]
    pub fn blends(&self) -> bool {
        self.blend
    }

    /// Height and width of the largest tile with its margins, in latent positions.
    #[must_use]
    pub fn largest(&self) -> [usize; 2] {
        let largest = |spans: &[Span]| spans.iter().map(|span| span.seen.len()).max().unwrap_or(0);
        [largest(&self.rows), largest(&self.columns)]
    }

    /// Latent positions that the network computes in all: those of the frame, and the margins.
    #[must_use]
    pub fn positions(&self) -> u64 {
        let all = |spans: &[Span]| spans.iter().map(|span| span.seen.len() as u64).sum::<u64>();
        all(&self.rows) * all(&self.columns)
    }

    /// All tiles with their margins, in latent positions.
    pub(super) fn tiles(&self) -> impl Iterator<Item = Tile> {
        self.rows.iter().enumerate().flat_map(move |(y, rows)| {
            self.columns.iter().enumerate().map(move |(x, columns)| Tile {
                rows: rows.seen.clone(),
                columns: columns.seen.clone(),
                place: [y, x],
            })
        })
    }

    /// Adds a tile's (T, rows, columns, C) values to those of whole frames of (height, width), which were zeros before the
    /// first tile. Frames may be finer than the latent by `scale` along height and width.
    pub(super) fn paste(
        &self,
        tile: &Tile,
        scale: [usize; 2],
        values: &[f32],
        channels: usize,
        frames: &mut [f32],
        [height, width]: [usize; 2],
    ) {
        let rows = self.weights(&self.rows, tile.place[0], scale[0]);
        let columns = self.weights(&self.columns, tile.place[1], scale[1]);
        let (top, left) = (tile.rows.start * scale[0], tile.columns.start * scale[1]);
        let row_len = columns.len() * channels;
        if row_len == 0 || rows.is_empty() {
            return;
        }
        let tiles = values.chunks_exact(rows.len() * row_len);
        let frames = frames.chunks_exact_mut(height * width * channels);
        for (tile, frame) in tiles.zip(frames) {
            for (y, (row, &down)) in tile.chunks_exact(row_len).zip(&rows).enumerate() {
                if down == 0.0 {
                    continue;
                }
                let at = ((top + y) * width + left) * channels;
                let into = frame[at..at + row_len].chunks_exact_mut(channels);
                for ((into, from), &across) in into.zip(row.chunks_exact(channels)).zip(&columns) {
                    let weight = down * across;
                    // Where a tile stands alone its values stay as they are, to the last bit.
                    if weight == 1.0 {
                        into.copy_from_slice(from);
                    } else if weight > 0.0 {
                        for (into, from) in into.iter_mut().zip(from) {
                            *into += weight * from;
                        }
                    }
                }
            }
        }
    }

    /// How much a tile counts at each of the positions that it sees.
    fn weights(&self, spans: &[Span], index: usize, scale: usize) -> Vec<f32> {
        let span = &spans[index];
        let seen = span.seen.start * scale..span.seen.end * scale;
        if !self.blend {
            let core = span.core.start * scale..span.core.end * scale;
            return seen
                .map(|at| if core.contains(&at) { 1.0 } else { 0.0 })
                .collect();
        }
        // At each border the later of two neighbours rises from zero to one over what both see.
        let rise = |border: usize, at: usize| -> f32 {
            let (Some(before), Some(after)) = (spans.get(border.wrapping_sub(1)), spans.get(border)) else {
                return 1.0;
            };
            let from = after.seen.start * scale;
            let to = before.seen.end * scale;
            ((at as f32 + 0.5 - from as f32) / (to - from) as f32).clamp(0.0, 1.0)
        };
        seen.map(|at| {
            let fall = if index + 1 < spans.len() {
                rise(index + 1, at)
            } else {
                0.0
            };
            rise(index, at) * (1.0 - fall)
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_a_frame_once() {
        for (size, tiles, margin, blend) in [
            ([7, 9], [2, 3], 1, false),
            ([7, 9], [2, 3], 1, true),
            ([16, 5], [3, 1], 2, true),
            ([4, 4], [1, 1], 3, true),
            ([5, 5], [9, 9], 0, false),
        ] {
            let tiling = Tiling::new(size, tiles, margin, blend);
            let scale = [2, 3];
            let whole = [size[0] * scale[0], size[1] * scale[1]];
            let mut frames = vec![0.0; 2 * whole[0] * whole[1] * 2];
            for tile in tiling.tiles() {
                let len = 2 * tile.rows.len() * scale[0] * tile.columns.len() * scale[1] * 2;
                tiling.paste(&tile, scale, &vec![5.0; len], 2, &mut frames, whole);
            }
            assert!(
                frames.iter().all(|&value| (value - 5.0).abs() < 1e-5),
                "{tiling:?}"
            );
        }
    }

    #[test]
    fn margins_end_at_the_frame() {
        let tiling = Tiling::new([10, 4], [2, 1], 3, false);
        assert_eq!(tiling.counts(), [2, 1]);
        assert_eq!(tiling.largest(), [8, 4]);
        let rows: Vec<Range<usize>> = tiling.tiles().map(|tile| tile.rows).collect();
        assert_eq!(rows, [0..8, 2..10]);
    }
}
