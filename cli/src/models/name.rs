//! Names of models: in the cache, where they must be safe as folders on every system, and for pulling.

use std::fmt;

use crate::exit::usage;

/// The name that stands for the bundle inside the program.
pub const BUILT_IN: &str = "built-in";

/// The name of a model in the cache, which is that of its folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

/// Long enough for every repository on the hub, short enough for every file system with a suffix.
const MAX_LENGTH: usize = 100;

const RULE: &str =
    "letters, digits, '.', '_' and '-' are allowed, at most 100, beginning with a letter or digit";

impl Name {
    /// Takes `text` if it cannot leave its folder and means the same on every system.
    ///
    /// # Errors
    /// Wrong usage, with the rule.
    pub fn new(text: &str) -> anyhow::Result<Self> {
        if text.eq_ignore_ascii_case(BUILT_IN) {
            return usage(format!(
                "'{text}' is the name of the model inside the program; choose another one"
            ));
        }
        if !is_safe(text) {
            return usage(format!(
                "'{}' cannot be the name of a model: {RULE}",
                text.escape_debug()
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// Derives a name from that of a file or folder.
    ///
    /// # Errors
    /// Wrong usage if nothing is left of it.
    pub fn derived(text: &str) -> anyhow::Result<Self> {
        Self::new(&cleaned(text)).map_err(|error| error.context("name the model with --name"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a file or folder may have this name.
pub fn is_safe(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.len() <= MAX_LENGTH
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !text.ends_with('.')
        && text.chars().all(allowed)
        && !is_device(text)
}

/// Replaces what is not allowed.
pub fn cleaned(text: &str) -> String {
    let replaced: String = text
        .chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => c,
            _ => '-',
        })
        .take(MAX_LENGTH)
        .collect();
    let trimmed = replaced.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    trimmed.trim_end_matches(['.', '-']).to_owned()
}

/// Windows opens a device for these names, whatever follows the first dot.
fn is_device(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        let rest = stem.strip_prefix(prefix).unwrap_or_default();
        rest.len() == 1 && rest.chars().all(|c| c.is_ascii_digit())
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
}

/// A model that has a name here.
#[derive(Debug)]
pub struct KnownModel {
    /// The name.
    pub name: &'static str,
    /// Where it is on the hub.
    pub repo: &'static str,
    /// Its files there.
    pub files: &'static [&'static str],
}

/// The models that have a name here.
pub const KNOWN: [KnownModel; 3] = [
    KnownModel {
        name: "wan2.1-vae",
        repo: "Wan-AI/Wan2.1-T2V-1.3B",
        files: &["Wan2.1_VAE.pth"],
    },
    KnownModel {
        name: "wan2.1-vae-diffusers",
        repo: "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        files: &["vae/config.json", "vae/diffusion_pytorch_model.safetensors"],
    },
    KnownModel {
        name: "wan2.2-vae",
        repo: "Wan-AI/Wan2.2-TI2V-5B",
        files: &["Wan2.2_VAE.pth"],
    },
];

/// What to fetch.
#[derive(Debug, PartialEq, Eq)]
pub struct PullTarget {
    /// Name of the model unless another one is given.
    pub name: String,
    /// Owner and repository.
    pub repo: String,
    /// Files in it; none if the list of the repository decides.
    pub files: Vec<String>,
}

impl KnownModel {
    /// The model of that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        KNOWN.iter().find(|known| known.name == name)
    }
}

impl PullTarget {
    /// Reads a name, OWNER/REPO or OWNER/REPO/FILE.
    ///
    /// # Errors
    /// Wrong usage, with the names that are known.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        if let Some(known) = KnownModel::find(text) {
            return Ok(Self {
                name: known.name.to_owned(),
                repo: known.repo.to_owned(),
                files: known.files.iter().map(|file| (*file).to_owned()).collect(),
            });
        }
        let mut parts = text.splitn(3, '/');
        let (Some(owner), Some(repo)) = (parts.next(), parts.next()) else {
            let names = KNOWN.map(|known| known.name).join(", ");
            return usage(format!(
                "'{}' is no model that is known here; give {names}, OWNER/REPO or OWNER/REPO/FILE",
                text.escape_debug()
            ));
        };
        let file = parts.next();
        if !is_safe(owner) || !is_safe(repo) || !file.is_none_or(is_path) {
            return usage(format!(
                "'{}' is no file in a repository of the hub; expected OWNER/REPO or OWNER/REPO/FILE",
                text.escape_debug()
            ));
        }
        let files: Vec<_> = file.into_iter().map(str::to_owned).collect();
        let name = match &files[..] {
            [file] => stem(file_name(file)),
            _ => repo,
        };
        Ok(Self {
            name: name.to_owned(),
            repo: format!("{owner}/{repo}"),
            files,
        })
    }

    /// The name for the cache: the one given, else its own.
    ///
    /// # Errors
    /// Wrong usage, if it cannot be one.
    pub fn cache_name(&self, given: Option<&str>) -> anyhow::Result<Name> {
        match given {
            Some(name) => Name::new(name),
            None => Name::derived(&self.name),
        }
    }
}

/// Whether a file of the hub can be fetched, and kept under the last part of its path.
pub fn is_path(path: &str) -> bool {
    let fine = |part: &str| {
        !matches!(part, "" | "." | "..") && !part.contains('\\') && !part.contains(char::is_control)
    };
    path.len() <= 1000 && path.split('/').all(fine) && is_safe(file_name(path))
}

/// The last part of a path on the hub.
pub fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        for good in ["wan2.1-vae", "a", "0", "Wan2.1_VAE.pth", "COMET", "com10"] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        let long = "a".repeat(MAX_LENGTH + 1);
        let bad = [
            "", ".", "..", "a/b", "/a", "a\\b", "../a", ".hidden", "-a", "a.", "a b", "a\0", "ä", "C:",
            "nul", "com1.txt", "LPT9", "built-in", "Built-In", &long,
        ];
        for bad in bad {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_are_made_of_others() {
        assert_eq!(Name::derived("my model (2)").unwrap().as_str(), "my-model--2");
        assert_eq!(Name::derived("..weird").unwrap().as_str(), "weird");
        assert!(Name::derived("...").is_err());
        assert!(Name::derived("nul").is_err());
    }

    #[test]
    fn targets_are_names_and_repositories() {
        for known in &KNOWN {
            let target = PullTarget::parse(known.name).unwrap();
            assert_eq!(target.repo, known.repo);
            assert_eq!(target.cache_name(None).unwrap().as_str(), known.name);
            assert!(target.files.iter().all(|file| is_path(file)));
            // The rules for repositories hold for the known ones, too.
            assert!(PullTarget::parse(&format!("{}/{}", known.repo, known.files[0])).is_ok());
        }
        let target = PullTarget::parse("owner/repo/sub folder/a.b.pth").unwrap();
        assert_eq!(target.repo, "owner/repo");
        assert_eq!(target.files, ["sub folder/a.b.pth"]);
        assert_eq!(target.cache_name(None).unwrap().as_str(), "a.b");
        assert_eq!(target.cache_name(Some("x")).unwrap().as_str(), "x");
        let target = PullTarget::parse("owner/repo").unwrap();
        assert_eq!(target.files, [""; 0]);
        assert_eq!(target.cache_name(None).unwrap().as_str(), "repo");
    }

    #[test]
    fn what_leaves_the_repository_is_refused() {
        for bad in [
            "", "wan", "/", "a/", "/b", "../b", "a/..", "a/b/", "a/b/../c", "a/b//c", "a/b/./c", "a/b/c\\d",
            "a/b/c\nd", "a b/c", "a/b?c=d", "a/b/nul", "a/b/.c",
        ] {
            assert!(PullTarget::parse(bad).is_err(), "{bad:?}");
        }
        assert!(
            PullTarget::parse("a/b")
                .unwrap()
                .cache_name(Some("../x"))
                .is_err()
        );
    }
}
