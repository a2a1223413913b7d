//! What is printed of files and names that nobody here wrote: characters that move the cursor, recolour or reorder text are
//! shown by their numbers.

use std::io::{self, Write};

/// Whether a character does something else than to be seen.
fn acts(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        // Direction of text, and what is not seen at all.
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}' => true,
        // Bytes of names that are no UTF-8.
        '\u{ef80}'..='\u{efff}' => true,
        other => other.is_control(),
    }
}

/// A text for people: `\u202e` and the like for characters that act, and `\xff` for bytes of names that are no UTF-8.
pub fn shown(text: &str) -> String {
    escaped(&latentbit_media::shown(text))
}

/// The text with `\u202e` and the like for characters that act. Inside of JSON it means the same as before.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match acts(character) {
            false => out.push(character),
            true => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out
}

/// Escapes all that is written to it; each call must hold whole characters, as those of a logger do.
pub struct Escaping<W> {
    inner: W,
    /// Whether colours are written to it as well, of which the writer of messages takes care.
    colours: bool,
}

impl<W: Write> Escaping<W> {
    pub const fn new(inner: W, colours: bool) -> Self {
        Self { inner, colours }
    }
}

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let parts = text.split('\x1b').map(shown);
        let text = parts.collect::<Vec<_>>().join(match self.colours {
            true => "\x1b",
            false => "\\u001b",
        });
        self.inner.write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_act_are_shown() {
        let text = "a\x1b]0;b\x07\u{202e}gpj\u{2066}\u{9b}2J\r\nä é 漢\t\u{e0001}";
        let shown = "a\\u001b]0;b\\u0007\\u202egpj\\u2066\\u009b2J\\u000d\nä é 漢\t\\udb40\\udc01";
        assert_eq!(escaped(text), shown);
        let json = serde_json::json!({ "a": text.replace('\n', "") }).to_string();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&escaped(&json)).unwrap()["a"],
            text.replace('\n', "")
        );
        let mut out = Vec::new();
        Escaping::new(&mut out, true)
            .write_all("\x1b[31mERROR\x1b[0m \u{202e}x".as_bytes())
            .unwrap();
        assert_eq!(out, b"\x1b[31mERROR\x1b[0m \\u202ex");
        out.clear();
        let name = latentbit_media::text_of("caf\u{ef80}");
        Escaping::new(&mut out, false).write_all(name.as_bytes()).unwrap();
        assert_eq!(out, br"caf\xee\xbe\x80");
        out.clear();
        Escaping::new(&mut out, false).write_all(b"\x1b[31m").unwrap();
        assert_eq!(out, b"\\u001b[31m");
    }
}
