//! The little of EBML (RFC 8794) that a list of tracks takes.

/// Elements inside of one another are followed no deeper than this.
const MOST_ELEMENTS: usize = 10_000;

/// An element's identifier, with its marker bits, and its content.
pub type Element<'a> = (u32, &'a [u8]);

/// The elements that lie in `bytes`, up to the first that is not whole.
pub fn elements(bytes: &[u8]) -> impl Iterator<Item = Element<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (id, after) = identifier(rest)?;
        let (len, after) = length(after)?;
        // Of a length that is not known, which only outermost elements have, all the rest is the content.
        let len = len.map_or(after.len(), |len| usize::try_from(len).unwrap_or(usize::MAX));
        let (content, after) = after.split_at_checked(len)?;
        rest = after;
        Some((id, content))
    })
    .take(MOST_ELEMENTS)
}

/// The content of the first element with this identifier.
pub fn find(bytes: &[u8], id: u32) -> Option<&[u8]> {
    elements(bytes)
        .find(|(found, _)| *found == id)
        .map(|(_, content)| content)
}

fn identifier(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let len = bytes.first()?.leading_zeros() as usize + 1;
    let (id, rest) = bytes.split_at_checked(len).filter(|_| len <= 4)?;
    Some((id.iter().fold(0, |id, &byte| id << 8 | u32::from(byte)), rest))
}

fn length(bytes: &[u8]) -> Option<(Option<u64>, &[u8])> {
    let first = *bytes.first()?;
    let len = first.leading_zeros() as usize + 1;
    let (field, rest) = bytes.split_at_checked(len).filter(|_| len <= 8)?;
    let value = field
        .iter()
        .fold(0u64, |value, &byte| value << 8 | u64::from(byte));
    let bits = 7 * len as u32;
    let value = value & ((1 << bits) - 1);
    Some(((value != (1 << bits) - 1).then_some(value), rest))
}

/// A number without a sign.
pub fn unsigned(content: &[u8]) -> u64 {
    content
        .iter()
        .take(8)
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// A number of 4 or 8 bytes in floating point.
pub fn float(content: &[u8]) -> f64 {
    match content {
        [a, b, c, d] => f64::from(f32::from_be_bytes([*a, *b, *c, *d])),
        _ => content
            .first_chunk::<8>()
            .map_or(0.0, |bytes| f64::from_be_bytes(*bytes)),
    }
}

/// A text, up to its first zero byte.
pub fn text(content: &[u8]) -> String {
    let end = content
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(content.len());
    String::from_utf8_lossy(&content[..end]).into_owned()
}

/// Appends an element.
pub fn put(out: &mut Vec<u8>, id: u32, content: &[u8]) {
    let bytes = id.to_be_bytes();
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    out.extend_from_slice(&bytes[zeros..]);
    // Always in eight bytes, which holds any length.
    out.extend_from_slice(&((content.len() as u64) | 1 << 56).to_be_bytes());
    out.extend_from_slice(content);
}

/// Appends a number without a sign.
pub fn put_unsigned(out: &mut Vec<u8>, id: u32, value: u64) {
    put(out, id, &value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_elements_are_read() {
        let mut out = Vec::new();
        put(&mut out, 0x86, b"A_OPUS");
        put_unsigned(&mut out, 0x22_b5_9c, 48_000);
        put(&mut out, 0x1a45_dfa3, &[0; 300]);
        let found: Vec<Element<'_>> = elements(&out).collect();
        assert_eq!(found[0], (0x86, &b"A_OPUS"[..]));
        assert_eq!((found[1].0, unsigned(found[1].1)), (0x22_b5_9c, 48_000));
        assert_eq!(found[2].1.len(), 300);
        assert_eq!(find(&out, 0x86), Some(&b"A_OPUS"[..]));
        assert_eq!(find(&out, 0x87), None);
        for len in 0..out.len() {
            assert!(elements(&out[..len]).count() < 3);
        }
    }

    #[test]
    fn lengths_of_all_sizes() {
        assert_eq!(elements(&[0x86, 0x81, 7]).next(), Some((0x86, &[7][..])));
        assert_eq!(elements(&[0x86, 0x40, 0x01, 7]).next(), Some((0x86, &[7][..])));
        assert_eq!(
            elements(&[0x86, 0xff, 7, 8]).next(),
            Some((0x86, &[7, 8][..])),
            "length not known"
        );
        assert_eq!(elements(&[0x86, 0x82, 7]).next(), None);
        assert_eq!(elements(&[0x00, 0x81, 7]).next(), None);
        assert_eq!(elements(&[0x86, 0x00, 7]).next(), None);
        assert_eq!(float(&1.5f32.to_be_bytes()), 1.5);
        assert_eq!(float(&48000f64.to_be_bytes()), 48000.0);
        assert_eq!(float(&[]), 0.0);
        assert_eq!(text(b"ger\0\0"), "ger");
    }

    #[test]
    fn noise_is_no_danger() {
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for _ in 0..2000 {
            let bytes: Vec<u8> = (0..40).map(|_| noise()).collect();
            for (_, content) in elements(&bytes) {
                let _ = (
                    unsigned(content),
                    float(content),
                    text(content),
                    elements(content).count(),
                );
            }
        }
    }
}
