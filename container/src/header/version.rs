//! Versions of the format (LBIT §4.2).

use crate::error::{Broken, Error, Result};
use crate::fields::Fields;

/// The version of the format that a file is written in (LBIT §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// A reader refuses majors that it does not know.
    pub major: u16,
    /// Counts additions that older readers may ignore.
    pub minor: u16,
    /// The least minor version that a reader must know.
    pub min_reader_minor: u16,
}

impl Version {
    /// What this crate writes, and the newest it reads.
    pub const CURRENT: Self = Self {
        major: 1,
        minor: 0,
        min_reader_minor: 0,
    };

    /// Reads a version and refuses it if this crate cannot read such files.
    pub(super) fn decode(fields: &mut Fields<'_>) -> Result<Self> {
        let offset = fields.offset();
        let version = Self {
            major: fields.u16("format version")?,
            minor: fields.u16("format version")?,
            min_reader_minor: fields.u16("format version")?,
        };
        let known = Self::CURRENT;
        if version.major != known.major {
            return Err(Error::Unsupported {
                offset,
                chunk: None,
                what: "major version of the format",
                expected: known.major.to_string(),
                found: version.major.to_string(),
            });
        }
        if version.min_reader_minor > version.minor {
            let expected = format!("a minimum reader version of at most {}", version.minor);
            return Err(
                Broken::new("format version", expected, version.min_reader_minor).in_file(offset, None)
            );
        }
        if version.min_reader_minor > known.minor {
            return Err(Error::Unsupported {
                offset,
                chunk: None,
                what: "minor version of the format",
                expected: format!("{}.0 to {}.{}", known.major, known.major, known.minor),
                found: format!("a file for {}.{} and up", version.major, version.min_reader_minor),
            });
        }
        Ok(version)
    }
}
