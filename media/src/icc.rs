//! ICC profiles, as far as it matters here whether one says more than colour tags do.

/// Whether a profile is that of sRGB, which the tags of a picture say in four bytes instead of three thousand: it is called
/// so, and has these primaries.
pub fn is_srgb(profile: &[u8]) -> bool {
    const PRIMARIES: [(&[u8; 4], [f64; 3]); 3] = [
        (b"rXYZ", [0.4361, 0.2225, 0.0139]),
        (b"gXYZ", [0.3851, 0.7169, 0.0971]),
        (b"bXYZ", [0.1431, 0.0606, 0.7141]),
    ];
    const SLACK: f64 = 0.002;
    let named = profile.windows(4).any(|text| text == b"sRGB");
    let wide = profile
        .windows(8)
        .any(|text| text == b"s\0R\0G\0B\0" || text == b"\0s\0R\0G\0B");
    let has = |(name, expected): &(&[u8; 4], [f64; 3])| {
        let at = tag(profile, name)?;
        let numbers: Option<Vec<f64>> = (0..3)
            .map(|n| Some(f64::from(number(profile, at + 8 + n * 4)? as i32) / 65536.0))
            .collect();
        let near = |(found, wanted): (&f64, &f64)| (found - wanted).abs() < SLACK;
        Some(numbers?.iter().zip(expected).all(near))
    };
    (named || wide) && PRIMARIES.iter().all(|primary| has(primary) == Some(true))
}

fn number(profile: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(profile.get(at..at + 4)?.try_into().ok()?))
}

/// Where the data of a tag begins.
fn tag(profile: &[u8], name: &[u8; 4]) -> Option<usize> {
    const LIST: usize = 128;
    let count = number(profile, LIST)?.min(1000) as usize;
    let mut entries = (0..count).map(|n| LIST + 4 + n * 12);
    let entry = entries.find(|&at| profile.get(at..at + 4) == Some(name.as_slice()))?;
    usize::try_from(number(profile, entry + 4)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A profile of these primaries and nothing else.
    fn profile(name: &[u8], primaries: [[f64; 3]; 3]) -> Vec<u8> {
        let mut bytes = vec![0; 128];
        bytes.extend(3u32.to_be_bytes());
        for (n, tag) in (0u32..).zip([b"rXYZ", b"gXYZ", b"bXYZ"]) {
            bytes.extend_from_slice(tag);
            bytes.extend((168 + n * 20).to_be_bytes());
            bytes.extend(20u32.to_be_bytes());
        }
        for primary in primaries {
            bytes.extend_from_slice(b"XYZ \0\0\0\0");
            bytes.extend(
                primary
                    .iter()
                    .flat_map(|v| ((v * 65536.0).round() as i32).to_be_bytes()),
            );
        }
        bytes.extend_from_slice(name);
        bytes
    }

    #[test]
    fn only_srgb_is_srgb() {
        let srgb = [
            [0.43607, 0.22249, 0.01392],
            [0.38515, 0.71687, 0.09708],
            [0.14307, 0.06061, 0.7141],
        ];
        let p3 = [
            [0.51512, 0.2412, -0.00105],
            [0.29198, 0.69225, 0.04189],
            [0.1571, 0.06657, 0.78407],
        ];
        assert!(is_srgb(&profile(b"sRGB IEC61966-2.1", srgb)));
        assert!(is_srgb(&profile(b"\0s\0R\0G\0B\0 \0b", srgb)));
        assert!(!is_srgb(&profile(b"sRGB built-in", p3)));
        assert!(!is_srgb(&profile(b"Gamma 2.2", srgb)));
        let whole = profile(b"sRGB", srgb);
        for len in 0..whole.len() - 4 {
            assert!(!is_srgb(&whole[..len]));
        }
    }
}
