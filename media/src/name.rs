//! Names of files as text, and back.
//!
//! On Unix a name is bytes, and not always UTF-8. Lists, manifests, reports and messages are text, though. So each byte that is
//! no part of UTF-8 stands in text as a character from U+EF80 to U+EFFF, the byte's own value in its lower eight bits, as in
//! MirBSD's OPTU and Cygwin. These characters are for private use; one that is in a name itself is taken apart into its bytes.
//! What comes out names the same file again, wherever it is written down.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The character that stands for byte 0; those of bytes below 0x80 are never used.
const FIRST: u32 = 0xef00;

/// The byte that a character stands for.
fn byte_of(character: char) -> Option<u8> {
    let byte = u8::try_from(u32::from(character).checked_sub(FIRST)?).ok()?;
    (byte >= 0x80).then_some(byte)
}

/// A name as text.
#[must_use]
pub fn text_of(name: impl AsRef<OsStr>) -> String {
    match cfg!(unix) {
        true => text_of_bytes(name.as_ref().as_encoded_bytes()),
        false => name.as_ref().to_string_lossy().into_owned(),
    }
}

/// The same of a name that is there as bytes, such as in a list.
#[must_use]
pub fn text_of_bytes(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    let stand_in = |bytes: &[u8], text: &mut String| {
        let characters = bytes
            .iter()
            .filter_map(|&byte| char::from_u32(FIRST + u32::from(byte)));
        text.extend(characters);
    };
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            match byte_of(character) {
                None => text.push(character),
                Some(_) => stand_in(character.encode_utf8(&mut [0; 4]).as_bytes(), &mut text),
            }
        }
        stand_in(chunk.invalid(), &mut text);
    }
    text
}

/// The path that [`text_of`] gives as `text`.
#[must_use]
pub fn path_of(text: &str) -> PathBuf {
    #[cfg(unix)]
    if !is_utf8(text) {
        use std::os::unix::ffi::OsStringExt;
        let mut bytes = Vec::with_capacity(text.len());
        for character in text.chars() {
            match byte_of(character) {
                Some(byte) => bytes.push(byte),
                None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        return PathBuf::from(std::ffi::OsString::from_vec(bytes));
    }
    Path::new(text).to_owned()
}

/// Whether the name that [`text_of`] gives as `text` is that text.
#[must_use]
pub fn is_utf8(text: &str) -> bool {
    !text.chars().any(|character| byte_of(character).is_some())
}

/// A text with names in it, for people: `\xff` where a byte of a name is no part of UTF-8.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match byte_of(character) {
            Some(byte) => out.push_str(&format!("\\x{byte:02x}")),
            None => out.push(character),
        }
    }
    out
}

#[cfg(all(test, unix))]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn name(bytes: &[u8]) -> &OsStr {
        OsStr::from_bytes(bytes)
    }

    #[test]
    fn names_come_back() {
        let all: Vec<u8> = (1..=255).collect();
        let own = "a\u{ef85}b\u{efff}\u{ef7f}\u{f000}ü漢".as_bytes();
        let names: [&[u8]; 6] = [
            b"plain.mp4",
            b"caf\xe9.mp4",
            b"\xff\xfe/\x80",
            &all,
            own,
            b"\xe2\x82",
        ];
        for bytes in names {
            let text = text_of(name(bytes));
            assert_eq!(path_of(&text).as_os_str(), name(bytes), "{text:?}");
        }
        // In lists and reports such a text may be an argument again.
        let text = text_of(name(b"\xff"));
        assert_eq!(text, "\u{efff}");
        assert!(!is_utf8(&text) && is_utf8("ü"));
        assert_eq!(path_of("ü\u{efe9}").as_os_str(), name(b"\xc3\xbc\xe9"));
    }

    #[test]
    fn people_see_bytes() {
        let text = text_of(name(b"caf\xe9 ber\xc3\xbchmt"));
        assert_eq!(shown(&text), "caf\\xe9 berühmt");
    }
}
