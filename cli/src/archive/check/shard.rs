//! The members of a shard.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::BufReader;

use sha2::{Digest, Sha256};

use super::super::shard::{BLOCK, JSON, LBIT, NPY, TRAILER};
use super::{Check, Expected, number};
use latentbit_media::{MediaError, MediaErrorKind};

impl Check<'_> {
    /// Checks a shard: every member belongs to a clip of the manifest, and every clip has its members.
    pub fn shard(&mut self, name: &str, clips: Vec<Expected>) -> anyhow::Result<()> {
        let path = self.folder.file(name);
        let place = path.display().to_string();
        let failed = |error| MediaError::io(&place, "read", error);
        let file = File::open(&path).map_err(|error| MediaError::io(&place, "open", error))?;
        let length = file.metadata().map_err(failed)?.len();
        self.report.bytes += length;
        let clips: HashMap<String, Expected> =
            clips.into_iter().map(|clip| (clip.key.clone(), clip)).collect();
        let mut found: BTreeSet<String> = BTreeSet::new();
        // Digests of arrays that are to come.
        let mut arrays: HashMap<String, [u8; 32]> = HashMap::new();
        let mut end = 0;
        let mut members = tar::Archive::new(BufReader::new(file));
        let broken = |error: std::io::Error| {
            let message = format!("expected a tar file of clips: {error}");
            MediaError::new(MediaErrorKind::Invalid, name, message)
        };
        for member in members.entries_with_seek().map_err(broken)? {
            let mut member = member.map_err(broken)?;
            let path = member.path().map_err(broken)?.to_string_lossy().into_owned();
            let (offset, len) = (member.raw_file_position(), member.size());
            end = offset + len.next_multiple_of(BLOCK);
            let Some((key, extension)) = path.split_once('.') else {
                self.problem(name, &format!("{path:?} is no member of a clip"));
                continue;
            };
            let Some(clip) = clips.get(key) else {
                self.problem(
                    name,
                    &format!("no row of the manifest has {path:?} in this shard"),
                );
                continue;
            };
            if !found.insert(path.clone()) {
                self.problem(name, &format!("{path:?} is there twice"));
                continue;
            }
            match extension {
                LBIT => {
                    let told = (number(&clip.cells, "offset"), number(&clip.cells, "bytes"));
                    if told != (Some(offset), Some(len)) {
                        self.problem(
                            name,
                            &format!("{path:?} has {len} bytes from byte {offset} on, and the manifest says {told:?}"),
                        );
                    }
                    self.lbit(name, clip, &mut member, len)?;
                }
                JSON => {
                    let array = self.member_json(name, clip, member)?;
                    arrays.extend(array.map(|digest| (key.to_owned(), digest)));
                }
                NPY => {
                    let mut digest = Sha256::new();
                    std::io::copy(&mut member, &mut digest).map_err(failed)?;
                    if arrays.remove(key) != Some(digest.finalize().into()) {
                        self.problem(name, &format!("{path:?} is not the array of the clip's tokens"));
                    }
                }
                _ => self.problem(name, &format!("{path:?} is no member of a clip")),
            }
        }
        if length != end + TRAILER {
            self.problem(
                name,
                &format!("it has {length} bytes, and its members end at byte {end}"),
            );
        }
        for key in clips.keys().collect::<BTreeSet<_>>() {
            let array = arrays.contains_key(key).then_some(NPY);
            for extension in [LBIT, JSON].into_iter().chain(array) {
                let member = format!("{key}.{extension}");
                if !found.contains(&member) {
                    self.problem(name, &format!("{member:?} is missing"));
                }
            }
        }
        Ok(())
    }
}
