//! Which clips a run makes, and their keys.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::digest::hex;

/// A clip that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// File of the clip.
    pub path: String,
    /// Its name in the list.
    pub id: Option<String>,
    /// Seconds at which it begins in the file.
    pub start: Option<f64>,
    /// Seconds at which it ends in the file.
    pub end: Option<f64>,
    /// A class or the like.
    pub label: Option<String>,
    /// A sentence about it.
    pub caption: Option<String>,
}

impl Item {
    /// A whole file.
    pub fn of_path(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            id: None,
            start: None,
            end: None,
            label: None,
            caption: None,
        }
    }
}

/// A clip of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// Its place in the whole list, from 0.
    pub index: u64,
    /// Its name in the archive: letters, digits, `_` and `-`.
    pub key: String,
    pub item: Item,
}

/// The clips of a run, in order.
#[derive(Clone, Debug)]
pub struct ArchivePlan {
    pub clips: Vec<Clip>,
    /// SHA-256 of the whole list as hexadecimal digits; another list has another one.
    pub digest: String,
    /// Clips of the whole list.
    pub total: u64,
    /// Lines of the list that repeat another one.
    pub repeated: u64,
}

/// Longest part of a name that goes into a key.
const MAX_STEM: usize = 60;

/// Hexadecimal digits at the end of a key.
const KEY_DIGITS: usize = 16;

impl ArchivePlan {
    /// Names the clips of the whole list, then takes every n-th one for the part, so that parts of a sorted list take equally
    /// long.
    ///
    /// # Errors
    /// Fails if two clips would have the same key.
    pub fn new(items: Vec<Item>, part: ListPart) -> anyhow::Result<Self> {
        let mut whole = Sha256::new();
        let mut known: HashMap<String, Item> = HashMap::new();
        let (mut clips, mut total, mut repeated) = (Vec::new(), 0, 0);
        for item in items {
            let key = key(&item);
            match known.get(&key) {
                Some(other) if *other == item => {
                    repeated += 1;
                    continue;
                }
                Some(other) if identity(other) == identity(&item) => anyhow::bail!(
                    "{}: the list has it twice, with different labels or captions; leave one of them out",
                    item.path
                ),
                Some(other) => anyhow::bail!(
                    "{} and {}: both would have the key {key}; rename one of them",
                    other.path,
                    item.path
                ),
                None => {}
            }
            whole.update(serde_json::to_vec(&(
                &item.path,
                &item.id,
                item.start,
                item.end,
                &item.label,
                &item.caption,
            ))?);
            known.insert(key.clone(), item.clone());
            if part.holds(total) {
                clips.push(Clip {
                    index: total,
                    key,
                    item,
                });
            }
            total += 1;
        }
        Ok(Self {
            clips,
            digest: hex(&whole.finalize()),
            total,
            repeated,
        })
    }
}

/// What distinguishes a clip from others.
fn identity(item: &Item) -> (&str, Option<&str>, Option<u64>, Option<u64>) {
    let bits = |seconds: Option<f64>| seconds.map(f64::to_bits);
    (&item.path, item.id.as_deref(), bits(item.start), bits(item.end))
}

/// A key that depends only on the clip's path or id and its range, so that it is the same in every list: the name, for
/// people, then digits that distinguish clips of the same name. It has no dot, because WebDataset readers take what
/// follows a dot for the kind of file.
fn key(item: &Item) -> String {
    let file = item.path.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let name = item.id.as_deref().unwrap_or(stem);
    let safe = name.chars().map(|letter| match letter {
        letter if letter.is_ascii_alphanumeric() || "_-".contains(letter) => letter,
        _ => '_',
    });
    let safe: String = safe.take(MAX_STEM).collect();
    let mut digest = Sha256::new();
    digest.update(item.id.as_deref().unwrap_or(&item.path));
    for time in [item.start, item.end] {
        digest.update([0]);
        digest.update(time.map_or_else(String::new, |time| time.to_string()));
    }
    let digits = hex(&digest.finalize());
    let safe = if safe.is_empty() { "clip" } else { &safe };
    format!("{safe}-{}", &digits[..KEY_DIGITS])
}

/// Part `number` of `of` of a list, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPart {
    pub number: u64,
    pub of: u64,
}

impl ListPart {
    /// The whole list.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    /// Whether the clip at `index` of the list, from 0, is in this part.
    pub const fn holds(self, index: u64) -> bool {
        index % self.of == self.number - 1
    }
}

impl fmt::Display for ListPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for ListPart {
    type Err = String;

    /// Reads `1/4` to `4/4`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no part of a list; write 1/4 for the first of four");
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        match (number.parse(), of.parse()) {
            (Ok(number), Ok(of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(path: &str, start: Option<f64>) -> Item {
        Item {
            path: path.to_owned(),
            id: None,
            start,
            end: None,
            label: None,
            caption: None,
        }
    }

    fn keys(items: &[Item]) -> Vec<String> {
        let plan = ArchivePlan::new(items.to_vec(), ListPart::WHOLE).unwrap();
        plan.clips.into_iter().map(|clip| clip.key).collect()
    }

    #[test]
    fn keys_are_safe_stable_and_different() {
        let items = [
            item("a/clip.1 ü.mp4", None),
            item("b/clip.1 ü.mp4", None),
            item("a/clip.1 ü.mp4", Some(2.0)),
        ];
        let all = keys(&items);
        assert!(
            all.iter()
                .all(|key| key.starts_with("clip_1__-") && !key.contains('.'))
        );
        assert_eq!(keys(&items[1..2]), all[1..2]);
        assert!(all[0] != all[1] && all[0] != all[2] && all[1] != all[2]);
        assert_eq!(keys(&[item(".mp4", None)])[0].len(), "clip-".len() + KEY_DIGITS);
        let long = "x".repeat(300) + ".mp4";
        assert_eq!(keys(&[item(&long, None)])[0].len(), MAX_STEM + 1 + KEY_DIGITS);
    }

    #[test]
    fn what_is_listed_twice_is_made_once() {
        let same = [item("a.mp4", None), item("b.mp4", None), item("a.mp4", None)];
        let plan = ArchivePlan::new(same.to_vec(), ListPart::WHOLE).unwrap();
        assert_eq!((plan.clips.len(), plan.total, plan.repeated), (2, 2, 1));
        let mut other = same.to_vec();
        other[2].label = Some("cat".to_owned());
        assert!(ArchivePlan::new(other, ListPart::WHOLE).is_err());
    }

    #[test]
    fn parts_make_the_whole() {
        let items: Vec<Item> = (0..10).map(|n| item(&format!("{n}.mp4"), None)).collect();
        let whole = ArchivePlan::new(items.clone(), ListPart::WHOLE).unwrap();
        let mut clips = Vec::new();
        for number in 1..=3 {
            let plan = ArchivePlan::new(items.clone(), ListPart { number, of: 3 }).unwrap();
            assert_eq!((&plan.digest, plan.total), (&whole.digest, 10));
            clips.extend(plan.clips);
        }
        clips.sort_by_key(|clip| clip.index);
        assert_eq!(clips, whole.clips);
    }

    #[test]
    fn forms() {
        assert_eq!("2/4".parse(), Ok(ListPart { number: 2, of: 4 }));
        for bad in ["", "1", "0/4", "5/4", "1/0", "a/b", "1/2/3", "-1/2"] {
            assert!(bad.parse::<ListPart>().is_err(), "{bad}");
        }
    }
}
