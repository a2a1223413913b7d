//! What to type instead, for command lines that are nearly right.

use std::ffi::OsString;
use std::path::Path;

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// Options of ffmpeg that have other names here.
const OF_FFMPEG: &[(&str, &str)] = &[
    ("-ss", "--start"),
    ("-t", "--frames, with a number of frames"),
    ("-to", "--frames, with a number of frames"),
    ("-frames:v", "--frames"),
    ("-vframes", "--frames"),
    ("-r", "--fps"),
    ("-s", "--scale"),
    ("-threads", "--threads"),
];

/// What is wrong with `words` although they may parse: an option of ffmpeg that looks like a name here.
pub fn before(definition: &mut Command, words: &[OsString]) -> Option<Error> {
    let words = texts(words);
    let own = words.iter().take_while(|word| *word != "--");
    own.clone().find(|word| *word == "-i")?;
    let message = format!(
        "the input stands by itself, without -i; type: {}",
        line(&corrected(&words))
    );
    Some(definition.error(ErrorKind::UnknownArgument, message))
}

/// `error`, which `words` gave, with what was meant.
pub fn after(mut error: Error, words: &[OsString]) -> Error {
    let words = texts(words);
    let tip = match error.kind() {
        ErrorKind::InvalidSubcommand => of_no_command(&words),
        ErrorKind::UnknownArgument | ErrorKind::MissingRequiredArgument => of_arguments(&error, &words),
        _ => None,
    };
    if let Some(tip) = tip {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

fn texts(words: &[OsString]) -> Vec<String> {
    words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

/// A file where a command belongs.
fn of_no_command(words: &[String]) -> Option<String> {
    let file = words.get(1)?;
    let path = Path::new(file);
    if path.extension().is_none() && !path.exists() {
        return None;
    }
    let command = match path.extension().is_some_and(|extension| extension == "lbit") {
        true => "decode",
        false => "encode",
    };
    let with = [&words[..1], &[command.to_owned()], &words[1..]].concat();
    Some(format!(
        "say first what to do with it: {}",
        line(&corrected(&with))
    ))
}

fn of_arguments(error: &Error, words: &[String]) -> Option<String> {
    let better = corrected(words);
    if better != words {
        return Some(format!("the output comes after -o: {}", line(&better)));
    }
    // What ffmpeg has for its encoders stands for this option.
    let unknown = error.get(ContextKind::InvalidArg);
    if unknown
        .is_some_and(|unknown| matches!(unknown, ContextValue::String(name) if name == "--encoder-option"))
    {
        let way = "it has no encoder of ffmpeg; say how large or good the tokens are with --bitrate, --size or --crf";
        return Some(way.to_owned());
    }
    let is_given = |option: &str| words.iter().any(|word| word == option);
    let (theirs, ours) = OF_FFMPEG.iter().find(|(theirs, _)| is_given(theirs))?;
    Some(format!("ffmpeg's {theirs} is {ours} here"))
}

/// `words` without -i, and with -o before what must be the output.
fn corrected(words: &[String]) -> Vec<String> {
    let mut words: Vec<String> = words.iter().filter(|word| *word != "-i").cloned().collect();
    let writes = words
        .get(1)
        .is_some_and(|command| matches!(command.as_str(), "encode" | "decode" | "trim" | "cut" | "recover"));
    let said = words
        .iter()
        .any(|word| word.starts_with("-o") || word.starts_with("--output"));
    if let [_, _, between @ .., before, last] = words.as_slice()
        && writes
        && !said
        && ![before, last].iter().any(|word| word.starts_with('-') && *word != "-")
        // What stands before it may be the value of an option.
        && between.last().is_none_or(|word| !word.starts_with("--"))
    {
        words.insert(words.len() - 1, "-o".to_owned());
    }
    words
}

/// Words as a shell takes them.
fn line(words: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=%,+@".contains(c);
    let quoted =
        words
            .iter()
            .enumerate()
            .map(|(at, word)| match word.chars().all(plain) && !word.is_empty() {
                // However it was called.
                true if at == 0 => "latentbit".to_owned(),
                true => word.clone(),
                false if at == 0 => "latentbit".to_owned(),
                false => format!("'{}'", word.replace('\'', r"'\''")),
            });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn lines_are_corrected() {
        for (given, better) in [
            (
                "latentbit encode -i a.mp4 -o b.lbit",
                "latentbit encode a.mp4 -o b.lbit",
            ),
            (
                "latentbit encode -i a.mp4 b.lbit",
                "latentbit encode a.mp4 -o b.lbit",
            ),
            (
                "latentbit decode a.lbit b.mp4",
                "latentbit decode a.lbit -o b.mp4",
            ),
            ("latentbit decode - b.mp4", "latentbit decode - -o b.mp4"),
            (
                "latentbit encode --crf 6 a.mp4 b.lbit",
                "latentbit encode --crf 6 a.mp4 -o b.lbit",
            ),
            // Not every last word is an output.
            ("latentbit encode --crf 6 a.mp4", "latentbit encode --crf 6 a.mp4"),
            ("latentbit encode a.mp4 --crf 6", "latentbit encode a.mp4 --crf 6"),
            ("latentbit encode a.mp4", "latentbit encode a.mp4"),
            ("latentbit verify a.lbit b.lbit", "latentbit verify a.lbit b.lbit"),
            ("latentbit", "latentbit"),
        ] {
            assert_eq!(corrected(&words(given)), words(better), "{given}");
        }
    }

    #[test]
    fn lines_can_be_pasted() {
        let words = ["/usr/bin/latentbit", "encode", "my clip.mp4", "it's", ""].map(str::to_owned);
        assert_eq!(line(&words), r"latentbit encode 'my clip.mp4' 'it'\''s' ''");
    }
}
