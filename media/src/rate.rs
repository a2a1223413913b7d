//! Frame rates as people write them.

use super::types::Rational;

/// Reads `25`, `30000/1001`, `30000:1001`, `29.97` or `12.5`.
///
/// The decimals that stand for NTSC rates (23.976, 29.97, 59.94 and so on) become the exact n/1001 fraction, because
/// nobody who writes 29.97 means 2997/100.
pub fn parse_rate(text: &str) -> Option<Rational> {
    if let Some((num, den)) = text.split_once(['/', ':']) {
        let rate = Rational {
            num: num.parse().ok()?,
            den: den.parse().ok()?,
        };
        return (rate.num > 0 && rate.den > 0).then_some(rate);
    }
    if !text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    if !(0.001..=100_000.0).contains(&value) {
        return None;
    }
    if value.fract() == 0.0 {
        return Some(Rational {
            num: value as u32,
            den: 1,
        });
    }
    let ntsc = value.ceil() * 1000.0 / 1001.0;
    if (value - ntsc).abs() < 0.006 && value > 20.0 {
        return Some(Rational {
            num: value.ceil() as u32 * 1000,
            den: 1001,
        });
    }
    let (num, den) = ((value * 1000.0).round() as u32, 1000);
    let g = gcd(num, den);
    Some(Rational {
        num: num / g,
        den: den / g,
    })
}

/// Greatest common divisor, at least 1.
pub(super) fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_rates() {
        for (text, num, den) in [
            ("25", 25, 1),
            ("25.0", 25, 1),
            ("30000/1001", 30000, 1001),
            ("30000:1001", 30000, 1001),
            ("29.97", 30000, 1001),
            ("23.976", 24000, 1001),
            ("23.98", 24000, 1001),
            ("59.94", 60000, 1001),
            ("12.5", 25, 2),
        ] {
            assert_eq!(parse_rate(text), Some(Rational { num, den }), "{text}");
        }
        for text in ["", "0", "-1", "x", "1/0", "0/1", "1e3", "NaN", "inf", "."] {
            assert_eq!(parse_rate(text), None, "{text}");
        }
    }
}
