//! Memory of this process, as Linux counts it.

/// A line of `/proc/self/status`, in MB (10⁶ bytes): `VmHWM`, the most that was ever resident, or `VmRSS`, what is now.
pub fn megabytes(line: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let text = status
        .lines()
        .find_map(|l| l.strip_prefix(line)?.strip_prefix(':'))?;
    let kibibytes: f64 = text.trim().strip_suffix(" kB")?.parse().ok()?;
    Some((kibibytes * 1024.0 / 1e5).round() / 10.0)
}
