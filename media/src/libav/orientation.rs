//! Which way up pictures are shown.

/// How a decoded picture is turned, and mirrored, to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orientation {
    /// As it is coded.
    Upright,
    /// By these filters of libavfilter, which move pixels and change none.
    Moved(&'static str),
    /// By an angle or a shear that would mix pixels.
    Other,
}

impl Orientation {
    /// Of a display matrix: nine numbers of 32 bits in the order of this machine. The first, second, fourth and fifth say
    /// where the axes point.
    pub fn of_matrix(bytes: &[u8]) -> Self {
        let number = |index: usize| {
            let bytes = bytes.get(index * 4..index * 4 + 4)?;
            Some(i32::from_ne_bytes(bytes.try_into().ok()?))
        };
        let (Some(a), Some(b), Some(c), Some(d)) = (number(0), number(1), number(3), number(4)) else {
            return Self::Upright;
        };
        // Only directions matter: players do not scale by these matrices either.
        match (a.signum(), b.signum(), c.signum(), d.signum()) {
            (0, 0, 0, 0) | (1, 0, 0, 1) => Self::Upright,
            (-1, 0, 0, -1) => Self::Moved("hflip,vflip"),
            (-1, 0, 0, 1) => Self::Moved("hflip"),
            (1, 0, 0, -1) => Self::Moved("vflip"),
            (0, 1, -1, 0) => Self::Moved("transpose=clock"),
            (0, -1, 1, 0) => Self::Moved("transpose=cclock"),
            (0, 1, 1, 0) => Self::Moved("transpose=cclock_flip"),
            (0, -1, -1, 0) => Self::Moved("transpose=clock_flip"),
            _ => Self::Other,
        }
    }

    /// Of the field `Orientation` of Exif.
    pub fn of_exif(value: u32) -> Self {
        match value {
            2 => Self::Moved("hflip"),
            3 => Self::Moved("hflip,vflip"),
            4 => Self::Moved("vflip"),
            5 => Self::Moved("transpose=cclock_flip"),
            6 => Self::Moved("transpose=clock"),
            7 => Self::Moved("transpose=clock_flip"),
            8 => Self::Moved("transpose=cclock"),
            _ => Self::Upright,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_right_angle_and_mirror() {
        let one = 65536;
        let matrix = |a: i32, b: i32, c: i32, d: i32| {
            let numbers = [a, b, 0, c, d, 0, 96 << 16, 64 << 16, 1 << 30];
            Orientation::of_matrix(&numbers.map(i32::to_ne_bytes).concat())
        };
        assert_eq!(matrix(one, 0, 0, one), Orientation::Upright);
        // In the order of Exif, which names the same eight ways.
        let ways = [
            matrix(-one, 0, 0, one),
            matrix(-one, 0, 0, -one),
            matrix(one, 0, 0, -one),
            matrix(0, one, one, 0),
            matrix(0, one, -one, 0),
            matrix(0, -one, -one, 0),
            matrix(0, -one, one, 0),
        ];
        for (value, way) in (2..).zip(ways) {
            assert!(
                way != Orientation::Upright && way == Orientation::of_exif(value),
                "{value}"
            );
        }
        assert_eq!(matrix(46341, 46341, -46341, 46341), Orientation::Other);
        assert_eq!(Orientation::of_matrix(&[0; 7]), Orientation::Upright);
        assert_eq!(Orientation::of_exif(1), Orientation::Upright);
        assert_eq!(Orientation::of_exif(77), Orientation::Upright);
    }
}
