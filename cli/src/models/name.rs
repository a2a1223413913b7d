//! Names that are safe as names of files and folders on every system.

use std::fmt;

use super::BUILT_IN;
use crate::exit::usage;

/// The name of a model in the cache, which is that of its folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

/// Long enough for every repository on the hub, short enough for every file system with a suffix.
const MAX_LENGTH: usize = 100;

const RULE: &str =
    "letters, digits, '.', '_' and '-' are allowed, at most 100, beginning with a letter or digit";

impl Name {
    /// Takes `text` if it can leave no folder and means the same on every system.
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

    /// Makes a name of what a file or folder is called.
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

/// Whether a file or folder may be called that.
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
}
