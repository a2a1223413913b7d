//! Counts and statistics of the clips so far.

use std::collections::HashMap;

use super::row::{Outcome, Row};

/// How many clips with the lowest PSNR are kept.
pub const WORST: usize = 8;

/// How many failed clips are kept; the manifest has all.
const FAILURES: usize = 100;

/// What identifies a clip's contents: SHA-256 of the source, and the range.
pub type Contents = (String, Option<u64>, Option<u64>);

/// Statistics, and the contents that are already archived. It takes memory for each clip: 64 digits and its key.
#[derive(Debug, Default)]
pub struct Tally {
    /// Clips of any outcome.
    pub clips: u64,
    pub done: u64,
    pub duplicates: u64,
    pub skipped: u64,
    pub failed: u64,
    pub frames: u64,
    pub pixels: f64,
    pub bytes: u64,
    pub bytes_beside: u64,
    pub tokens: u64,
    /// Keys of the archived clips.
    known: HashMap<Contents, String>,
    pub sizes: Histogram,
    pub lengths: Histogram,
    pub qualities: Histogram,
    /// PSNR in dB, key and source of the worst clips, the worst first.
    pub worst: Vec<(f64, String, String)>,
    pub failures: Vec<(String, String)>,
}

/// How many values fall into each bin.
#[derive(Debug, Default, Clone)]
pub struct Histogram(Vec<u64>);

impl Histogram {
    fn add(&mut self, bin: usize) {
        // A byte count has 64 binary digits, a PSNR at most 100 dB.
        let bin = bin.min(100);
        if self.0.len() <= bin {
            self.0.resize(bin + 1, 0);
        }
        self.0[bin] += 1;
    }

    /// All bins from the first to the last that is not empty, with their counts.
    pub fn bins(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let first = self.0.iter().position(|&count| count > 0).unwrap_or(0);
        self.0.iter().copied().enumerate().skip(first)
    }
}

/// The bin of a value: bin n holds the values of 2^n..2^(n+1).
fn power(value: u64) -> usize {
    value.max(1).ilog2() as usize
}

/// What identifies the contents of a clip.
pub fn contents(sha256: &str, start: Option<f64>, end: Option<f64>) -> Contents {
    (sha256.to_owned(), start.map(f64::to_bits), end.map(f64::to_bits))
}

impl Tally {
    /// Adds a row.
    pub fn take(&mut self, row: &Row) {
        self.clips += 1;
        match &row.outcome {
            Outcome::Done(stored) => {
                let made = &stored.made;
                self.done += 1;
                self.frames += made.frames;
                self.pixels += made.frames as f64 * f64::from(made.width) * f64::from(made.height);
                self.bytes += made.bytes;
                self.bytes_beside += made.bytes_beside;
                self.tokens += made.tokens_shape.iter().product::<u64>();
                self.sizes.add(power(made.bytes));
                self.lengths.add(power(made.frames));
                if let Some(psnr) = made.psnr {
                    self.qualities.add(psnr.max(0.0) as usize);
                    let at = self.worst.partition_point(|(known, ..)| *known <= psnr);
                    self.worst.insert(at, (psnr, row.key.clone(), row.source.clone()));
                    self.worst.truncate(WORST);
                }
                if let Some(sha256) = &row.source_sha256 {
                    self.known
                        .insert(contents(sha256, row.start, row.end), row.key.clone());
                }
            }
            Outcome::Duplicate(_) => self.duplicates += 1,
            Outcome::Skipped(_) => self.skipped += 1,
            Outcome::Failed(reason) => {
                self.failed += 1;
                if self.failures.len() < FAILURES {
                    self.failures.push((row.source.clone(), reason.clone()));
                }
            }
        }
    }

    /// The key of an archived clip with these contents.
    pub fn known(&self, contents: &Contents) -> Option<&String> {
        self.known.get(contents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_histogram() {
        let mut histogram = Histogram::default();
        for value in [5, 7, 8, 100] {
            histogram.add(power(value));
        }
        let bins: Vec<_> = histogram.bins().collect();
        assert_eq!(bins, [(2, 2), (3, 1), (4, 0), (5, 0), (6, 1)]);
        assert_eq!(power(0), 0);
    }
}
