//! Makes files with ffmpeg, and reads them.

use std::process::Command;

use latentbit_media::{Frame, InputOptions, MediaError, VideoInfo, open_source};
use tempfile::TempDir;

/// A picture that tells left from right and top from bottom: red top left, green top right, blue bottom left, grey else.
pub const PATTERN: &str = "-f lavfi -i color=gray:s=96x64:r=25:d=1,drawbox=0:0:32:24:red:fill,drawbox=72:0:24:24:lime:fill,drawbox=0:48:24:16:blue:fill";

/// x264, good and quick.
pub const X264: &str = "-c:v libx264 -preset veryfast -crf 12 -pix_fmt yuv420p";

/// A folder for files.
pub struct Files(TempDir);

impl Files {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Runs ffmpeg here with words of `line`, and gives what it prints.
    #[track_caller]
    pub fn ffmpeg(&self, line: &str) -> Vec<u8> {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.ffmpeg_with(&words)
    }

    /// As [`ffmpeg`](Self::ffmpeg), for arguments with spaces.
    #[track_caller]
    pub fn ffmpeg_with(&self, arguments: &[&str]) -> Vec<u8> {
        let output = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-y"])
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .expect("ffmpeg is installed");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ffmpeg {arguments:?}: {said}");
        output.stdout
    }

    /// Reads a file to its end.
    #[track_caller]
    pub fn open(&self, name: &str, options: &InputOptions) -> Seen {
        seen(&self.path(name), options).unwrap_or_else(|e| panic!("{e}"))
    }
}

/// What a reader gave.
pub struct Seen {
    pub info: VideoInfo,
    pub frames: Vec<Frame>,
    /// Seconds at which frames are shown, if the reader says so.
    pub times: Vec<f64>,
    /// Seconds that the last frame lasts, if the reader says so.
    pub last: Option<f64>,
    /// Packets of other streams: number of the stream, seconds, seconds that it lasts, bytes.
    pub packets: Vec<(usize, f64, f64, Vec<u8>)>,
    /// What ended reading before the end.
    pub error: Option<MediaError>,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} frames, {:?}", self.frames.len(), self.error)
    }
}

pub fn seen(path: &str, options: &InputOptions) -> Result<Seen, MediaError> {
    let mut source = open_source(path, options)?;
    let info = source.info().clone();
    let base = info
        .time_base
        .map_or(0.0, |base| f64::from(base.num) / f64::from(base.den));
    let mut seen = Seen {
        info,
        frames: Vec::new(),
        times: Vec::new(),
        last: None,
        packets: Vec::new(),
        error: None,
    };
    loop {
        let frame = source.next_frame();
        let extras = source.take_extras();
        for (number, packet) in extras.packets {
            let base = seen.info.packet_streams[number].time_base;
            let tick = f64::from(base.num) / f64::from(base.den);
            let (time, length) = (packet.pts as f64 * tick, packet.duration as f64 * tick);
            seen.packets.push((number, time, length, packet.data));
        }
        match frame {
            Ok(Some(frame)) => {
                seen.frames.push(frame);
                seen.times.extend(extras.time.map(|time| time as f64 * base));
                seen.last = extras.duration.map(|ticks| ticks as f64 * base);
            }
            Ok(None) => return Ok(seen),
            Err(error) => {
                seen.error = Some(error);
                return Ok(seen);
            }
        }
    }
}

/// The colour of a pixel, by the name of what it is nearest to.
pub fn color(frame: &Frame, x: usize, y: usize) -> &'static str {
    let at = (y * frame.width + x) * 3;
    let pixel = &frame.data[at..at + 3];
    let known = [
        ("red", [1.0, 0.0, 0.0]),
        ("green", [0.0, 1.0, 0.0]),
        ("blue", [0.0, 0.0, 1.0]),
        ("gray", [0.5; 3]),
        ("black", [0.0; 3]),
        ("white", [1.0; 3]),
        ("magenta", [1.0, 0.0, 1.0]),
    ];
    let off = |color: &[f32; 3]| {
        color
            .iter()
            .zip(pixel)
            .map(|(a, b)| (a - b) * (a - b))
            .sum::<f32>()
    };
    known
        .iter()
        .min_by(|a, b| off(&a.1).total_cmp(&off(&b.1)))
        .unwrap()
        .0
}

/// The colours of the corners: top left, top right, bottom left, bottom right.
pub fn corners(frame: &Frame) -> [&'static str; 4] {
    let (w, h) = (frame.width, frame.height);
    [(4, 4), (w - 5, 4), (4, h - 5), (w - 5, h - 5)].map(|(x, y)| color(frame, x, y))
}
