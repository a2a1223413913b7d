//! What goes along with pictures and packets: names, chapters, colour profiles.

use latentbit_container::{Attachment, Chapter};

/// Names and values, in the order in which a file has them.
pub type Tags = Vec<(String, String)>;

/// Keys of [`Along::video_tags`] that say what pictures are, in a form that every container's own can be made of.
pub mod picture {
    /// The display that the pictures were mastered on, as x265 writes it: `G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)`, chromaticities
    /// in 0.00002 and luminances in 0.0001 cd/m².
    pub const MASTERING_DISPLAY: &str = "mastering_display";
    /// The brightest pixel and the brightest frame on average, in cd/m²: `MaxCLL,MaxFALL`.
    pub const CONTENT_LIGHT: &str = "content_light";
    /// The ICC profile, as base64.
    pub const ICC_PROFILE: &str = "icc_profile";
    /// What transparent pictures were laid over: `#rrggbb`.
    pub const BACKGROUND: &str = "background";
    /// That pictures consist of two fields: `top` or `bottom`, whichever is first.
    pub const FIELDS: &str = "fields";
    /// How two views share a picture, by the names that Matroska's StereoMode has in libav: `left_right`, `top_bottom`, ….
    pub const STEREO_MODE: &str = "stereo_mode";
    /// How a picture covers a sphere: `equirectangular`, `cubemap` or `equirectangular_tile`, then what applies of
    /// `yaw=`, `pitch=`, `roll=` (degrees), `left=`, `top=`, `right=`, `bottom=` (hidden pixels) and `padding=`, with `:` between.
    pub const SPHERICAL: &str = "spherical";
    /// What a stream is for: libav's names joined by `+`, such as `default+forced`.
    pub const DISPOSITION: &str = "disposition";
}

/// What goes along with a video.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Along {
    /// What the file says of itself: its title and the like.
    pub tags: Tags,
    /// What is said of the pictures, with the keys of [`picture`] among others.
    pub video_tags: Tags,
    /// What is said of each stream of packets, apart from its language and title.
    pub packet_tags: Vec<Tags>,
    /// Parts of the video that have names. Their times count from the first frame.
    pub chapters: Vec<Chapter>,
    /// Files that go along: fonts, cover pictures.
    pub attachments: Vec<Attachment>,
}

impl Along {
    /// The value of a key of the pictures.
    pub fn picture(&self, key: &str) -> Option<&str> {
        let found = self.video_tags.iter().rev().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }
}

/// A colour from 0 to 1, as `#rrggbb`.
pub(crate) fn color_name(color: [f32; 3]) -> String {
    let [r, g, b] = color.map(|value| (value * 255.0).round() as u8);
    format!("#{r:02x}{g:02x}{b:02x}")
}
