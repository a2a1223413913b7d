//! LatentBit for GStreamer.
//!
//! | element | from | to |
//! |---|---|---|
//! | `lbitdemux` | `video/vnd.latentbit`, a file | `video/x-lbit`, and sound and subtitles |
//! | `lbitdec` | `video/x-lbit`, chunks of tokens | `video/x-raw`, RGB |
//! | `lbitenc` | `video/x-raw`, RGB | `video/vnd.latentbit` |
//!
//! A buffer of `video/x-lbit` is the record of a chunk as a file has it (LBIT §5), and `codec_data` is the record of a
//! header that describes the video alone.
#![forbid(unsafe_code)]

mod codecs;
mod decoder;
mod demuxer;
mod encoder;
mod ground;

use gst::glib;
use gst::prelude::*;
use latentbit_container::MAGIC;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::TypeFind::register(
        Some(plugin),
        ground::FILE,
        gst::Rank::PRIMARY,
        Some("lbit"),
        Some(&gst::Caps::new_empty_simple(ground::FILE)),
        |found| {
            let magic = found.peek(0, MAGIC.len() as u32);
            if magic.is_some_and(|magic| magic == MAGIC) {
                let caps = gst::Caps::new_empty_simple(ground::FILE);
                found.suggest(gst::TypeFindProbability::Maximum, &caps);
            }
        },
    )?;
    for (name, rank, class) in [
        ("lbitdemux", gst::Rank::PRIMARY, demuxer::Demuxer::static_type()),
        ("lbitdec", gst::Rank::PRIMARY, decoder::Decoder::static_type()),
        // Nobody gets it who did not ask for it.
        ("lbitenc", gst::Rank::NONE, encoder::Encoder::static_type()),
    ] {
        gst::Element::register(Some(plugin), name, rank, class)?;
    }
    Ok(())
}

gst::plugin_define!(
    latentbit,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    "MIT/X11",
    "latentbit",
    "latentbit",
    env!("CARGO_PKG_REPOSITORY"),
    env!("BUILD_REL_DATE")
);
