//! What `latentbit eval` tells of each frame.

use latentbit_codec::metrics::Quality;
use latentbit_codec::pipeline::Fidelity;
use latentbit_container::ChunkInfo;
use latentbit_media::set_replace;

use super::EvalArgs;
use super::frame_table::FrameTable;
use super::plot::Plot;
use crate::exit::usage;
use crate::overwrite;

/// What was measured of a frame.
pub(super) struct Measured<'a> {
    /// Its number among those compared, from 0.
    pub frame: u64,
    /// Its index in a stream of tokens.
    pub index: Option<u64>,
    /// None where nothing is known of it.
    pub fidelity: Option<Fidelity>,
    pub quality: &'a Quality,
}

impl Measured<'_> {
    /// How it is called in tables.
    pub const fn fidelity_name(&self) -> &'static str {
        match self.fidelity {
            Some(Fidelity::Exact) => "exact",
            Some(Fidelity::Affected) => "affected",
            Some(Fidelity::Concealed(_)) => "concealed",
            None => "",
        }
    }
}

/// Where it goes.
pub(super) struct Frames {
    table: Option<FrameTable>,
    plot: Option<Plot>,
}

impl Frames {
    /// Opens the files that are asked for. `chunks` are those of the video, where they are listed.
    ///
    /// # Errors
    /// If one of them is there already and may not be overwritten, or cannot be written.
    pub fn open(args: &EvalArgs, chunks: Option<Vec<ChunkInfo>>) -> anyhow::Result<Self> {
        let files = [("--frames-csv", &args.frames_csv), ("--plot", &args.plot)];
        for (option, path) in files {
            match path.as_deref() {
                Some("-") => return usage(format!("{option}: stdout has the summary; name a file")),
                Some(path) => overwrite::check_file(path, args.overwrite)?,
                None => {}
            }
        }
        if args.frames_csv.is_some() && args.frames_csv == args.plot {
            return usage("--frames-csv and --plot name the same file");
        }
        set_replace(args.overwrite);
        let plot = args.plot.as_deref().map(|path| Plot::open(path, chunks));
        Ok(Self {
            plot: plot.transpose()?,
            table: args.frames_csv.as_deref().map(FrameTable::open).transpose()?,
        })
    }

    /// Takes note of a frame.
    pub fn add(&mut self, measured: &Measured<'_>) -> anyhow::Result<()> {
        if let Some(table) = &mut self.table {
            table.add(measured)?;
        }
        if let Some(plot) = &mut self.plot {
            plot.add(measured);
        }
        Ok(())
    }

    /// Finishes the files; `name` is the file that was measured.
    pub fn finish(self, name: &str) -> anyhow::Result<()> {
        self.table.map_or(Ok(()), FrameTable::finish)?;
        self.plot.map_or(Ok(()), |plot| plot.finish(name))
    }
}
