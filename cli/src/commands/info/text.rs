//! `info` for people.

use super::report::{ChunkReport, Report, StreamReport};

pub fn text(r: &Report<'_>) -> String {
    let mut lines = vec![format!("{}: LBIT {}, {}", r.file, r.version, r.state)];
    let mut video = format!("{}x{}, {} frames", r.width, r.height, r.frames);
    if let Some(seconds) = r.seconds {
        let rate = f64::from(r.frame_rate[0]) / f64::from(r.frame_rate[1].max(1));
        let about = if r.variable_frame_rate { "about " } else { "" };
        video.push_str(&format!(", {about}{rate:.5} frames/s").replace(".00000", ""));
        video.push_str(&format!(", {seconds:.2} s"));
    }
    lines.push(format!(
        "  video    {video}, {} of {} bits",
        r.chroma, r.bit_depth
    ));
    lines.extend(r.streams.iter().map(stream));
    let mut size = format!("{} bytes, {:.4} bits per pixel", r.bytes, r.bpp);
    if let Some(rate) = r.bits_per_second {
        size.push_str(&format!(", {:.1} kbit/s", rate / 1000.0));
    }
    lines.push(format!("  size     {size}"));
    lines.push(format!(
        "  tokens   {} of {} bits, patch {}, strides {}",
        r.bits,
        r.bundle_bits,
        join(r.patch),
        join(r.strides)
    ));
    let coders: Vec<String> = r
        .coders
        .iter()
        .map(|(name, chunks)| format!("{name} {chunks}"))
        .collect();
    lines.push(format!(
        "  chunks   {} ({} key, {} lost) of {} latent frames in {} segment{}, {}; coders: {}",
        r.chunks,
        r.key_chunks,
        r.lost_chunks,
        r.chunk_latent_frames,
        r.segments,
        if r.segments == 1 { "" } else { "s" },
        if r.index { "with index" } else { "without index" },
        coders.join(", ")
    ));
    lines.push(format!("  bundle   {} {}", r.bundle.name, r.bundle.sha256));
    lines.extend(r.metadata.iter().map(|entry| {
        let stream = entry
            .stream
            .map_or_else(String::new, |id| format!(" (stream {id})"));
        let (key, value) = (entry.key.escape_debug(), entry.value.escape_debug());
        format!("  metadata {key}{stream}: {value}")
    }));
    lines.extend(r.chapters.iter().map(|chapter| {
        let title = chapter.title.escape_debug();
        format!(
            "  chapter  {:.3} to {:.3} s: {title}",
            chapter.start_seconds, chapter.end_seconds
        )
    }));
    lines.extend(r.problems.iter().map(|problem| format!("  problem  {problem}")));
    if let Some(chunks) = &r.chunk_table {
        lines.push(String::new());
        lines.push(format!(
            "{:>7} {:>10} {:>8} {:>8} {:>6} {:>3} {:>4} {:>7} {:>9} {:>4} {:<5}",
            "chunk",
            "offset",
            "bytes",
            "frame",
            "frames",
            "lat",
            "key",
            "segment",
            "start/s",
            "bits",
            "coder"
        ));
        lines.extend(chunks.iter().map(row));
    }
    lines.join("\n")
}

fn stream(stream: &StreamReport) -> String {
    let mut parts = vec![stream.codec.clone().unwrap_or_else(|| "tokens".to_owned())];
    parts.extend(stream.sample_rate.map(|rate| format!("{rate} Hz")));
    parts.extend(stream.channels.map(|channels| format!("{channels} channels")));
    parts.extend(stream.language.clone());
    parts.extend(stream.title.as_ref().map(|title| format!("\"{title}\"")));
    parts.push(format!("{} packets, {} bytes", stream.packets, stream.bytes));
    format!("  {:<8} {}", stream.kind, parts.join(", "))
}

fn row(chunk: &ChunkReport) -> String {
    format!(
        "{:>7} {:>10} {:>8} {:>8} {:>6} {:>3} {:>4} {:>7} {:>9.3} {:>4} {:<5}",
        chunk.number,
        chunk.offset,
        chunk.bytes,
        chunk.first_frame,
        chunk.frames,
        chunk.latent_frames,
        if chunk.lost {
            "lost"
        } else if chunk.key {
            "key"
        } else {
            ""
        },
        chunk.segment,
        chunk.start_seconds,
        chunk.bits,
        chunk.coder
    )
}

fn join(sides: [u8; 3]) -> String {
    sides.map(|side| side.to_string()).join("x")
}
