//! Frames in tiles: one tile after the other, so that only one is held at a time.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use super::state::{Saved, State};
use super::tiling::Tiling;
use super::{DecoderState, EncoderState, WanVae};
use crate::error::{Error, Result};
use crate::volume::Volume;

/// Where the states of tiles wait for their turn.
#[derive(Debug)]
enum Store {
    Memory(Vec<Option<Saved>>),
    Disk {
        /// Made when there is something to write.
        file: Option<File>,
        places: Vec<Option<StoredAt>>,
        end: u64,
    },
}

/// What becomes of a group behind the frames at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Frames of it follow, so that it must be remembered.
    GoesOn,
    /// It ends: nothing need be remembered, and the next frame begins another one.
    Ends,
}

/// Where a tile's state is in the file.
#[derive(Clone, Debug)]
struct StoredAt {
    start: u64,
    /// For each convolution the lengths of its parts, and how many frames count.
    parts: Vec<(Vec<usize>, u32)>,
    size: Option<[usize; 2]>,
}

impl StoredAt {
    fn words(&self) -> usize {
        self.parts.iter().flat_map(|(lens, _)| lens).sum()
    }
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
    #[must_use]
    pub fn new(tiling: Tiling, on_disk: bool) -> Self {
        let [rows, columns] = tiling.counts();
        let count = rows * columns;
        let store = match on_disk {
            false => Store::Memory(vec![None; count]),
            true => Store::Disk {
                file: None,
                places: vec![None; count],
                end: 0,
            },
        };
        Self {
            tiling,
            store,
            state: State::default(),
            fresh: true,
        }
    }

    /// Whether the next frame is the first one of a group.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Forgets all frames: the next one is the first one of a group.
    pub fn reset(&mut self) {
        self.fresh = true;
        match &mut self.store {
            Store::Memory(saved) => saved.fill(None),
            Store::Disk { places, end, .. } => {
                places.fill(None);
                *end = 0;
            }
        }
    }

    /// Makes the working state that of a tile, which need not stay in its place if another one will take it.
    fn load(&mut self, index: usize, stays: bool) -> Result<()> {
        // What was not saved is not needed any more.
        self.state.forget();
        if self.fresh {
            self.state.reset();
            return Ok(());
        }
        match &mut self.store {
            Store::Memory(saved) => {
                let place = saved.get_mut(index).ok_or(Error::Stopped)?;
                let saved = if stays { place.clone() } else { place.take() };
                self.state.load(saved.ok_or(Error::Stopped)?);
            }
            Store::Disk { file, places, .. } => {
                let place = places.get(index).and_then(Option::as_ref).ok_or(Error::Stopped)?;
                let file = file.as_mut().ok_or(Error::Stopped)?;
                file.seek(SeekFrom::Start(place.start)).map_err(disk)?;
                let mut read = |&len: &usize| {
                    let mut words = vec![0; len];
                    file.read_exact(bytemuck::cast_slice_mut(&mut words))
                        .map_err(disk)?;
                    Ok(words)
                };
                let mut kept = Vec::with_capacity(place.parts.len());
                for (lens, known) in &place.parts {
                    kept.push((lens.iter().map(&mut read).collect::<Result<_>>()?, *known));
                }
                self.state.load(Saved {
                    kept,
                    size: place.size,
                });
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
                let parts = saved.kept.iter();
                let parts = parts.map(|(frames, known)| (frames.iter().map(Vec::len).collect(), *known));
                let mut place = StoredAt {
                    start: *end,
                    parts: parts.collect(),
                    size: saved.size,
                };
                let words = place.words();
                // A tile's state has the same size whenever it is saved, but for the first step of a group.
                let known = places.get(index).and_then(Option::as_ref);
                if let Some(known) = known.filter(|known| known.words() == words) {
                    place.start = known.start;
                }
                *end = (*end).max(place.start + 4 * words as u64);
                let file = match file {
                    Some(file) => file,
                    none => none.insert(tempfile::tempfile().map_err(disk)?),
                };
                file.seek(SeekFrom::Start(place.start)).map_err(disk)?;
                for frame in saved.kept.iter().flat_map(|(frames, _)| frames) {
                    file.write_all(bytemuck::cast_slice(frame)).map_err(disk)?;
                }
                if let Some(known) = places.get_mut(index) {
                    *known = Some(place);
                }
            }
        }
        Ok(())
    }
}

/// What a run of all tiles leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Group(Group),
    /// All states as they were.
    Nothing,
}

impl WanVae {
    /// As [`WanVae::encode`], tile by tile.
    ///
    /// # Errors
    /// As for [`WanVae::encode`], and [`Error::Io`] if states wait on disk and that fails. After an error, reset `tiles`.
    pub fn encode_tiled(&self, frames: &Volume, tiles: &mut TiledState, group: Group) -> Result<Volume> {
        let [time, height, width] = self.strides();
        let [t, h, w, channels] = frames.four_sides("frames")?;
        let steps = if tiles.is_fresh() {
            1 + t.saturating_sub(1) / time
        } else {
            t / time
        };
        let out = [h / height, w / width];
        let c = self.latent_channels();
        let mut latent = vec![0.0; steps * out[0] * out[1] * c];
        self.each_tile(tiles, Behind::Group(group), |tiling, tile, state| {
            let scaled = |range: &Range<usize>, by: usize| range.start * by..range.end * by;
            let region = [scaled(&tile.rows, height), scaled(&tile.columns, width)];
            let part = crop(frames, [h, w, channels], &region)?;
            let mut state_of = EncoderState(std::mem::take(state));
            let result = self.encode(&part, &mut state_of);
            *state = state_of.0;
            tiling.paste(tile, [1, 1], result?.data(), c, &mut latent, out);
            Ok(())
        })?;
        Volume::new(&[steps, out[0], out[1], c], latent)
    }

    /// As [`WanVae::decode`], tile by tile.
    ///
    /// # Errors
    /// As for [`WanVae::decode`], and [`Error::Io`] if states wait on disk and that fails. After an error, reset `tiles`.
    pub fn decode_tiled(&self, latent: &Volume, tiles: &mut TiledState, group: Group) -> Result<Volume> {
        self.decode_tiles(latent, tiles, Behind::Group(group))
    }

    /// As [`WanVae::decode_ahead`], tile by tile.
    ///
    /// # Errors
    /// As for [`WanVae::decode_tiled`].
    pub fn decode_tiled_ahead(&self, latent: &Volume, key: bool, tiles: &mut TiledState) -> Result<Volume> {
        let fresh = tiles.fresh;
        tiles.fresh |= key;
        let frames = self.decode_tiles(latent, tiles, Behind::Nothing);
        tiles.fresh = fresh;
        frames
    }

    fn decode_tiles(&self, latent: &Volume, tiles: &mut TiledState, behind: Behind) -> Result<Volume> {
        let [time, height, width] = self.strides();
        let [t, h, w, channels] = latent.four_sides("latent")?;
        let count = if tiles.is_fresh() {
            1 + t.saturating_sub(1) * time
        } else {
            t * time
        };
        let out = [h * height, w * width];
        let mut frames = vec![0.0; count * out[0] * out[1] * 3];
        self.each_tile(tiles, behind, |tiling, tile, state| {
            let region = [tile.rows.clone(), tile.columns.clone()];
            let part = crop(latent, [h, w, channels], &region)?;
            let mut state_of = DecoderState(std::mem::take(state));
            let result = self.decode(&part, &mut state_of);
            *state = state_of.0;
            tiling.paste(tile, [height, width], result?.data(), 3, &mut frames, out);
            Ok(())
        })?;
        Volume::new(&[count, out[0], out[1], 3], frames)
    }

    /// Runs every tile.
    fn each_tile(
        &self,
        tiles: &mut TiledState,
        behind: Behind,
        mut run: impl FnMut(&Tiling, &super::tiling::Tile, &mut State) -> Result<()>,
    ) -> Result<()> {
        let tiling = tiles.tiling.clone();
        for (index, tile) in tiling.tiles().enumerate() {
            tiles.load(index, behind == Behind::Nothing)?;
            run(&tiling, &tile, &mut tiles.state)?;
            if behind == Behind::Group(Group::GoesOn) {
                tiles.save(index)?;
            }
        }
        match behind {
            Behind::Group(Group::GoesOn) => tiles.fresh = false,
            Behind::Group(Group::Ends) => tiles.reset(),
            Behind::Nothing => {}
        }
        Ok(())
    }
}

/// A region of (T, H, W, C).
fn crop(x: &Volume, [height, width, channels]: [usize; 3], region: &[Range<usize>; 2]) -> Result<Volume> {
    let [rows, columns] = region;
    let t = x.count();
    if rows.end > height || columns.end > width {
        return Err(Error::shape("tile", &[rows.end, columns.end], "within the frame"));
    }
    let mut values = Vec::with_capacity(t * rows.len() * columns.len() * channels);
    for frame in x.data().chunks_exact((height * width * channels).max(1)) {
        for row in rows.clone() {
            let at = (row * width + columns.start) * channels;
            values.extend_from_slice(&frame[at..at + columns.len() * channels]);
        }
    }
    Volume::new(&[t, rows.len(), columns.len(), channels], values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bundle, Device, Dtype};

    /// Bytes that were written, if anything was.
    fn written(tiles: &TiledState) -> Option<u64> {
        let Store::Disk { file, .. } = &tiles.store else {
            panic!("not on disk")
        };
        file.as_ref().map(|file| file.metadata().unwrap().len())
    }

    #[test]
    fn states_wait_on_disk_only_within_a_group() {
        let path = format!(
            "{}/../testdata/golden/vae-tiny.safetensors",
            env!("CARGO_MANIFEST_DIR")
        );
        let vae = Bundle::open(path, &Device::Cpu, Dtype::F32).unwrap().vae;
        let [time, rows, columns] = vae.strides();
        let (h, w) = (6 * rows, 8 * columns);
        let frames = |count: usize| {
            let values = (0..count * h * w * 3).map(|i| (i as f32 * 0.37).sin()).collect();
            Volume::new(&[count, h, w, 3], values).unwrap()
        };
        let mut tiles = TiledState::new(Tiling::new([6, 8], [2, 2], 2, true), true);
        let mut encode = |count: usize, group: Group| {
            let latent = vae.encode_tiled(&frames(count), &mut tiles, group).unwrap();
            (latent, tiles.is_fresh(), written(&tiles))
        };
        let (alone, fresh, file) = encode(1 + time, Group::Ends);
        assert!(fresh && file.is_none());
        let mut sizes = Vec::new();
        for _ in 0..3 {
            let (first, fresh, file) = encode(1, Group::GoesOn);
            assert!(!fresh && file.is_some());
            // With the second step every convolution knows all frames that it ever does.
            let (_, _, file) = encode(time, Group::GoesOn);
            let (second, fresh, again) = encode(time, Group::Ends);
            assert!(fresh && file == again);
            sizes.push(file);
            let start = alone.part(0..1).unwrap();
            assert_eq!(first, start);
            assert!(second.data().iter().all(|v| v.is_finite()));
        }
        assert!(sizes.iter().all(|size| *size == sizes[0]), "{sizes:?}");
    }
}
