//! Frames in tiles: one tile after the other, so that only one is held at a time.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use candle_core::Tensor;

use super::state::{Saved, State};
use super::tiling::Tiling;
use super::{DecoderState, EncoderState, WanVae};
use crate::error::{Error, Result};
use crate::tensor::with_values;

/// Where the states of tiles wait for their turn.
#[derive(Debug)]
enum Store {
    Memory(Vec<Option<Saved>>),
    Disk {
        file: File,
        places: Vec<Option<Place>>,
        end: u64,
    },
}

/// Where a tile's state is in the file.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u64,
    words: usize,
    parts: usize,
    size: Option<[usize; 2]>,
}

/// What a network remembers of each tile between chunks of a group, and the memory that it works in.
#[derive(Debug)]
pub struct TiledState {
    tiling: Tiling,
    store: Store,
    state: State,
    fresh: bool,
}

fn disk(source: io::Error) -> Error {
    Error::Io {
        path: std::env::temp_dir(),
        source,
    }
}

impl TiledState {
    /// For frames in these tiles. With `on_disk` the states of tiles wait in a temporary file.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be made.
    pub fn new(tiling: Tiling, on_disk: bool) -> Result<Self> {
        let [rows, columns] = tiling.counts();
        let count = rows * columns;
        let store = match on_disk {
            false => Store::Memory(vec![None; count]),
            true => Store::Disk {
                file: tempfile::tempfile().map_err(disk)?,
                places: vec![None; count],
                end: 0,
            },
        };
        Ok(Self {
            tiling,
            store,
            state: State::default(),
            fresh: true,
        })
    }

    /// Whether the next frame is the first one of a group.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Forgets all frames: the next one is the first one of a group.
    pub fn reset(&mut self) {
        self.fresh = true;
    }

    /// Makes the working state that of a tile, which need not stay in its place if another one will take it.
    fn load(&mut self, index: usize, stays: bool) -> Result<()> {
        if self.fresh {
            self.state.reset();
            return Ok(());
        }
        match &mut self.store {
            Store::Memory(saved) => {
                let place = saved.get_mut(index).ok_or(Error::Stopped)?;
                self.state.load(place.as_ref().ok_or(Error::Stopped)?)?;
                if !stays {
                    *place = None;
                }
            }
            Store::Disk { file, places, .. } => {
                let place = places.get(index).copied().flatten().ok_or(Error::Stopped)?;
                let mut saved = Saved {
                    words: vec![0; place.words],
                    parts: vec![[0; 2]; place.parts],
                    size: place.size,
                };
                file.seek(SeekFrom::Start(place.start)).map_err(disk)?;
                file.read_exact(bytemuck::cast_slice_mut(&mut saved.words))
                    .and_then(|()| file.read_exact(bytemuck::cast_slice_mut(&mut saved.parts)))
                    .map_err(disk)?;
                self.state.load(&saved)?;
            }
        }
        Ok(())
    }

    /// Puts the working state away as that of a tile.
    fn save(&mut self, index: usize) -> Result<()> {
        let saved = self.state.save()?;
        match &mut self.store {
            Store::Memory(all) => {
                if let Some(place) = all.get_mut(index) {
                    *place = Some(saved);
                }
            }
            Store::Disk { file, places, end } => {
                let (words, parts) = (saved.words.len(), saved.parts.len());
                let known = places.get(index).copied().flatten();
                // A tile's state has the same size whenever it is saved, but for the first step of a group.
                let start = match known.filter(|known| (known.words, known.parts) == (words, parts)) {
                    Some(known) => known.start,
                    None => *end,
                };
                *end = (*end).max(start + 4 * words as u64 + 8 * parts as u64);
                if let Some(place) = places.get_mut(index) {
                    *place = Some(Place {
                        start,
                        words,
                        parts,
                        size: saved.size,
                    });
                }
                file.seek(SeekFrom::Start(start)).map_err(disk)?;
                file.write_all(bytemuck::cast_slice(&saved.words))
                    .and_then(|()| file.write_all(bytemuck::cast_slice(&saved.parts)))
                    .map_err(disk)?;
            }
        }
        Ok(())
    }
}

impl WanVae {
    /// As [`WanVae::encode`], tile by tile.
    ///
    /// # Errors
    /// As for [`WanVae::encode`], and [`Error::Io`] if states wait on disk and that fails. After an error, reset `tiles`.
    pub fn encode_tiled(&self, frames: &Tensor, tiles: &mut TiledState) -> Result<Tensor> {
        let [time, height, width] = self.strides();
        let (t, h, w, channels) = frames.dims4()?;
        let steps = if tiles.is_fresh() {
            1 + t.saturating_sub(1) / time
        } else {
            t / time
        };
        let out = [h / height, w / width];
        let c = self.latent_channels();
        let mut latent = vec![0.0; steps * out[0] * out[1] * c];
        self.each_tile(tiles, false, |tiling, tile, state| {
            let scaled = |range: &Range<usize>, by: usize| range.start * by..range.end * by;
            let region = [scaled(&tile.rows, height), scaled(&tile.columns, width)];
            let part = crop(frames, [h, w, channels], &region)?;
            let mut state_of = EncoderState(std::mem::take(state));
            let result = self.encode(&part, &mut state_of);
            *state = state_of.0;
            with_values(&result?, |values| {
                tiling.paste(tile, [1, 1], values, c, &mut latent, out)
            })
        })?;
        Ok(Tensor::from_vec(
            latent,
            (steps, out[0], out[1], c),
            frames.device(),
        )?)
    }

    /// As [`WanVae::decode`], tile by tile.
    ///
    /// # Errors
    /// As for [`WanVae::decode`], and [`Error::Io`] if states wait on disk and that fails. After an error, reset `tiles`.
    pub fn decode_tiled(&self, latent: &Tensor, tiles: &mut TiledState) -> Result<Tensor> {
        self.decode_tiles(latent, tiles, false)
    }

    /// As [`WanVae::decode_ahead`], tile by tile.
    ///
    /// # Errors
    /// As for [`WanVae::decode_tiled`].
    pub fn decode_tiled_ahead(&self, latent: &Tensor, key: bool, tiles: &mut TiledState) -> Result<Tensor> {
        let fresh = tiles.fresh;
        tiles.fresh |= key;
        let frames = self.decode_tiles(latent, tiles, true);
        tiles.fresh = fresh;
        frames
    }

    fn decode_tiles(&self, latent: &Tensor, tiles: &mut TiledState, stay: bool) -> Result<Tensor> {
        let [time, height, width] = self.strides();
        let (t, h, w, channels) = latent.dims4()?;
        let count = if tiles.is_fresh() {
            1 + t.saturating_sub(1) * time
        } else {
            t * time
        };
        let out = [h * height, w * width];
        let mut frames = vec![0.0; count * out[0] * out[1] * 3];
        self.each_tile(tiles, stay, |tiling, tile, state| {
            let region = [tile.rows.clone(), tile.columns.clone()];
            let part = crop(latent, [h, w, channels], &region)?;
            let mut state_of = DecoderState(std::mem::take(state));
            let result = self.decode(&part, &mut state_of);
            *state = state_of.0;
            with_values(&result?, |values| {
                tiling.paste(tile, [height, width], values, 3, &mut frames, out);
            })
        })?;
        Ok(Tensor::from_vec(
            frames,
            (count, out[0], out[1], 3),
            latent.device(),
        )?)
    }

    /// Runs every tile. With `stay` the states of all stay as they are.
    fn each_tile(
        &self,
        tiles: &mut TiledState,
        stay: bool,
        mut run: impl FnMut(&Tiling, &super::tiling::Tile, &mut State) -> Result<()>,
    ) -> Result<()> {
        let tiling = tiles.tiling.clone();
        for (index, tile) in tiling.tiles().enumerate() {
            tiles.load(index, stay)?;
            run(&tiling, &tile, &mut tiles.state)?;
            if !stay {
                tiles.save(index)?;
            }
        }
        tiles.fresh = false;
        Ok(())
    }
}

/// A region of (T, H, W, C).
fn crop(x: &Tensor, [height, width, channels]: [usize; 3], region: &[Range<usize>; 2]) -> Result<Tensor> {
    let [rows, columns] = region;
    let t = x.dims().first().copied().unwrap_or(0);
    if rows.end > height || columns.end > width {
        return Err(Error::shape("tile", &[rows.end, columns.end], "within the frame"));
    }
    let mut values = Vec::with_capacity(t * rows.len() * columns.len() * channels);
    with_values(x, |all| {
        for frame in all.chunks_exact((height * width * channels).max(1)) {
            for row in rows.clone() {
                let at = (row * width + columns.start) * channels;
                values.extend_from_slice(&frame[at..at + columns.len() * channels]);
            }
        }
    })?;
    Ok(Tensor::from_vec(
        values,
        (t, rows.len(), columns.len(), channels),
        x.device(),
    )?)
}
