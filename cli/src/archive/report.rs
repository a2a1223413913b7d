//! What a run made, for programs and for people.

use latentbit_media::text_of;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::folder::Folder;
use super::plan::ListPart;
use super::run::Ended;
use super::tally::{Histogram, Tally};
use crate::report::beside_pictures;
use latentbit_media::MediaError;

/// What a run made.
#[derive(Debug, Serialize)]
pub struct ArchiveReport {
    schema: &'static str,
    /// Whether the run got to the end of its list, or of its part of it.
    complete: bool,
    part: String,
    bundle_sha256: String,
    clips: u64,
    done: u64,
    duplicates: u64,
    skipped: u64,
    failed: u64,
    frames: u64,
    tokens: u64,
    bytes: u64,
    /// Bits per pixel of the video, and of whole files, with their sound and subtitles.
    bpp: f64,
    file_bpp: f64,
    /// Duration of this run.
    seconds: f64,
    /// Clips that this run processed.
    clips_of_this_run: u64,
    clips_per_second: f64,
    /// Clips by the length of their files in bytes.
    sizes: Vec<Bin>,
    /// Clips by their frames.
    lengths: Vec<Bin>,
    /// Clips by their PSNR in dB, of those that were measured.
    qualities: Vec<Bin>,
    worst: Vec<Worst>,
    /// The first ones; the manifest has all.
    failures: Vec<Failure>,
}

/// A bar of a histogram, for values of `from..to`.
#[derive(Debug, Serialize)]
struct Bin {
    from: u64,
    to: u64,
    clips: u64,
}

#[derive(Debug, Serialize)]
struct Worst {
    psnr: f64,
    key: String,
    source: String,
}

#[derive(Debug, Serialize)]
struct Failure {
    source: String,
    error: String,
}

fn powers(histogram: &Histogram) -> Vec<Bin> {
    let power = |bin: usize| 1u64.checked_shl(bin as u32).unwrap_or(u64::MAX);
    let bins = histogram.bins().map(|(bin, clips)| Bin {
        from: power(bin),
        to: power(bin + 1),
        clips,
    });
    bins.collect()
}

fn units(histogram: &Histogram) -> Vec<Bin> {
    let bins = histogram.bins().map(|(bin, clips)| Bin {
        from: bin as u64,
        to: bin as u64 + 1,
        clips,
    });
    bins.collect()
}

impl ArchiveReport {
    /// Report of a run that began at `started`, after `before` clips of earlier runs.
    pub fn new(
        tally: &Tally,
        bundle: &str,
        part: ListPart,
        ended: Ended,
        started: Instant,
        before: u64,
    ) -> Self {
        let seconds = started.elapsed().as_secs_f64();
        let bpp = |bytes: u64| match tally.pixels > 0.0 {
            true => bytes as f64 * 8.0 / tally.pixels,
            false => 0.0,
        };
        let of_this_run = tally.clips - before;
        let worst = tally.worst.iter().map(|(psnr, key, source)| Worst {
            psnr: *psnr,
            key: key.clone(),
            source: source.clone(),
        });
        let failures = tally.failures.iter().map(|(source, error)| Failure {
            source: source.clone(),
            error: error.clone(),
        });
        Self {
            schema: "latentbit.archive/1",
            complete: ended == Ended::Complete,
            part: part.to_string(),
            bundle_sha256: bundle.to_owned(),
            clips: tally.clips,
            done: tally.done,
            duplicates: tally.duplicates,
            skipped: tally.skipped,
            failed: tally.failed,
            frames: tally.frames,
            tokens: tally.tokens,
            bytes: tally.bytes,
            bpp: bpp(tally.bytes.saturating_sub(tally.bytes_beside)),
            file_bpp: bpp(tally.bytes),
            seconds,
            clips_of_this_run: of_this_run,
            clips_per_second: of_this_run as f64 / seconds.max(1e-9),
            sizes: powers(&tally.sizes),
            lengths: powers(&tally.lengths),
            qualities: units(&tally.qualities),
            worst: worst.collect(),
            failures: failures.collect(),
        }
    }

    /// A line for people.
    pub fn text(&self) -> String {
        format!(
            "{} clips, {} of them archived ({} frames, {} bytes, {:.4} bits per pixel{}), {} duplicates, {} skipped, {} failed; \
             {:.1} clips/s",
            self.clips,
            self.done,
            self.frames,
            self.bytes,
            self.bpp,
            match self.file_bpp > self.bpp {
                true => beside_pictures(self.file_bpp),
                false => String::new(),
            },
            self.duplicates,
            self.skipped,
            self.failed,
            self.clips_per_second
        )
    }

    /// Writes `report.json` and `report.html`, with pictures that runs of `parts` kept: into the archive, or for a part of
    /// the list beside its journal.
    pub fn write(&self, folder: &Folder, parts: &[ListPart], tally: &Tally) -> anyhow::Result<()> {
        let pictures = tally.worst.iter().map(|(_, key, _)| {
            let paths = parts
                .iter()
                .map(|&part| folder.part(part).join("pictures").join(format!("{key}.png")));
            paths.into_iter().find_map(|path| std::fs::read(path).ok())
        });
        let html = page(self, &pictures.collect::<Vec<_>>());
        let json = serde_json::to_string_pretty(self)? + "\n";
        let to = match parts {
            [part] if *part != ListPart::WHOLE => folder.part(*part),
            _ => folder.path().to_owned(),
        };
        let part = parts.first().copied().unwrap_or(ListPart::WHOLE);
        for (name, text) in [("report.json", json), ("report.html", html)] {
            let target = to.join(name);
            let place = text_of(&target);
            folder.replace(part, &target, |mut file| {
                let written = std::io::Write::write_all(&mut file, text.as_bytes());
                Ok(written.map_err(|error| MediaError::io(&place, "write", error))?)
            })?;
        }
        Ok(())
    }
}

const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}\
td.n{text-align:right;font-variant-numeric:tabular-nums}\
figure{margin:1rem 0}figcaption{color:#555}img{max-width:100%;image-rendering:pixelated}\
svg text{font:11px system-ui,sans-serif;fill:#444}code{word-break:break-all}";

/// Width of a bar and height of the highest one, in pixels.
const BAR: usize = 44;
const HIGH: u64 = 140;

/// The HTML page; `pictures` are PNGs of the worst clips, where there are any.
fn page(report: &ArchiveReport, pictures: &[Option<Vec<u8>>]) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>LatentBit archive</title>\
         <style>{STYLE}</style></head><body>\n<h1>LatentBit archive</h1>\n"
    );
    out.push_str(&facts(report));
    for (title, unit, bins) in [
        ("Sizes of files", "bytes", &report.sizes),
        ("Lengths of clips", "frames", &report.lengths),
        ("PSNR of clips that were measured", "dB", &report.qualities),
    ] {
        if !bins.is_empty() {
            out.push_str(&format!("<h2>{title}</h2>\n{}\n", histogram(bins, unit)));
        }
    }
    if !report.worst.is_empty() {
        out.push_str("<h2>Lowest quality</h2>\n<p>The worst frame of each clip: as it was, and as the tokens give it.</p>\n");
    }
    for (clip, picture) in report.worst.iter().zip(pictures) {
        let image = picture.as_ref().map_or_else(
            || "<p>There is no picture of it.</p>".to_owned(),
            |png| {
                format!(
                    "<img alt=\"source and decode\" src=\"data:image/png;base64,{}\">",
                    STANDARD.encode(png)
                )
            },
        );
        out.push_str(&format!(
            "<figure>{image}<figcaption>{:.2} dB, <code>{}</code></figcaption></figure>\n",
            clip.psnr,
            escaped(&clip.source)
        ));
    }
    if !report.failures.is_empty() {
        let shown = match report.failures.len() as u64 {
            shown if shown < report.failed => format!(" (the first {shown} of {})", report.failed),
            _ => String::new(),
        };
        out.push_str(&format!("<h2>Clips that failed{shown}</h2>\n<table>"));
        for failure in &report.failures {
            out.push_str(&format!(
                "<tr><td><code>{}</code></td><td>{}</td></tr>\n",
                escaped(&failure.source),
                escaped(&failure.error)
            ));
        }
        out.push_str("</table>\n");
    }
    out.push_str("</body></html>\n");
    out
}

fn facts(report: &ArchiveReport) -> String {
    let rows = [
        ("clips", report.clips.to_string()),
        ("archived", report.done.to_string()),
        ("duplicates", report.duplicates.to_string()),
        ("skipped", report.skipped.to_string()),
        ("failed", report.failed.to_string()),
        ("frames", report.frames.to_string()),
        ("tokens", report.tokens.to_string()),
        ("bytes", report.bytes.to_string()),
        ("bits per pixel", format!("{:.4}", report.bpp)),
        ("bits per pixel of files", format!("{:.4}", report.file_bpp)),
        ("seconds of this run", format!("{:.1}", report.seconds)),
        ("clips per second", format!("{:.2}", report.clips_per_second)),
    ];
    let rows = rows
        .iter()
        .map(|(name, value)| format!("<tr><td>{name}</td><td class=\"n\">{value}</td></tr>"));
    format!(
        "<table>{}</table>\n<p>Bundle <code>{}</code></p>\n",
        rows.collect::<String>(),
        escaped(&report.bundle_sha256)
    )
}

fn histogram(bins: &[Bin], unit: &str) -> String {
    let most = bins.iter().map(|bin| bin.clips).max().unwrap_or(1).max(1);
    let (width, height) = (bins.len() * BAR + 60, HIGH + 50);
    let mut out = format!("<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">");
    for (place, bin) in bins.iter().enumerate() {
        let (x, high) = (place * BAR, (bin.clips * HIGH).div_ceil(most));
        let y = HIGH + 18 - high;
        let middle = x + BAR / 2;
        out.push_str(&format!(
            "<rect x=\"{}\" y=\"{y}\" width=\"{}\" height=\"{high}\" fill=\"#4a7ab5\"/>\
             <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x + 2,
            BAR - 4,
            y - 4,
            bin.clips,
            HIGH + 34,
            short(bin.from)
        ));
    }
    let end = bins.len() * BAR;
    let last = bins.last().map_or(0, |bin| bin.to);
    out.push_str(&format!(
        "<text x=\"{end}\" y=\"{0}\" text-anchor=\"middle\">{1}</text><text x=\"{2}\" y=\"{0}\">{unit}</text></svg>",
        HIGH + 34,
        short(last),
        end + 20
    ));
    out.replace("<svg ", "<svg overflow=\"visible\" ")
}

/// A short form of a number.
fn short(value: u64) -> String {
    match value {
        0..1024 => value.to_string(),
        1024..0x10_0000 => format!("{}Ki", value >> 10),
        0x10_0000..0x4000_0000 => format!("{}Mi", value >> 20),
        _ => format!("{}Gi", value >> 30),
    }
}

/// Escapes text for HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_tags() {
        assert_eq!(escaped("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }

    #[test]
    fn bars_have_the_heights_of_their_counts() {
        let bin = |from, clips| Bin {
            from,
            to: from * 2,
            clips,
        };
        let svg = histogram(&[bin(1024, 1), bin(2048, 4)], "bytes");
        assert!(
            svg.contains("height=\"35\"") && svg.contains("height=\"140\""),
            "{svg}"
        );
        assert!(svg.contains(">1Ki<") && svg.contains(">4Ki<"), "{svg}");
    }
}
