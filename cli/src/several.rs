//! Several inputs, whose outputs go to a folder.

use std::collections::HashMap;
use std::path::{MAIN_SEPARATOR, Path};

use crate::args::OutputArgs;
use crate::exit::{Exit, message, usage};
use crate::interrupt;
use latentbit_media::{path_of, text_of};

/// An input, and where its output goes.
#[derive(Debug)]
pub struct Job<'a> {
    pub input: &'a str,
    pub output: OutputArgs,
}

/// One job for each of `inputs`. Where `output` names a folder, outputs are called as their inputs, with what `extension`
/// says of each.
///
/// # Errors
/// A wrong usage for several inputs and a single file, and for two outputs of the same name; if the folder cannot be made.
pub fn jobs<'a>(
    inputs: &'a [String],
    output: &OutputArgs,
    extension: impl Fn(&str) -> &'static str,
) -> anyhow::Result<Vec<Job<'a>>> {
    let folder = &path_of(&output.output);
    let named = output.output.ends_with(['/', MAIN_SEPARATOR]);
    if let [input] = inputs
        && !named
        && !folder.is_dir()
    {
        let output = output.clone();
        return Ok(vec![Job { input, output }]);
    }
    if output.output == "-" || folder.is_file() {
        return usage(format!(
            "{}: {} inputs go to a folder, which is made if there is none; name it with -o FOLDER",
            output.output,
            inputs.len()
        ));
    }
    let mut names: HashMap<String, &str> = HashMap::new();
    let mut jobs = Vec::new();
    for input in inputs {
        let stem = match input.as_str() {
            "-" => None,
            input => Path::new(input).file_stem().and_then(|stem| stem.to_str()),
        };
        let Some(stem) = stem else {
            return usage(format!(
                "{input}: an output in the folder {} is called as its input, which has no name; name a file with -o",
                output.output
            ));
        };
        let name = format!("{stem}.{}", extension(input));
        if let Some(other) = names.insert(name.clone(), input) {
            return usage(format!(
                "{other} and {input} would both be written to {name} in {}; give one of them alone, with another name after -o",
                output.output
            ));
        }
        let output = OutputArgs {
            output: text_of(folder.join(path_of(&name))),
            ..output.clone()
        };
        jobs.push(Job { input, output });
    }
    std::fs::create_dir_all(folder)
        .map_err(|error| latentbit_media::MediaError::io(&output.output, "make", error))?;
    Ok(jobs)
}

/// Does each of `jobs` whatever becomes of the others, until a signal ends one early; the worst of their ends.
pub fn run_each<J>(jobs: &[J], mut one: impl FnMut(&J) -> anyhow::Result<Exit>) -> anyhow::Result<Exit> {
    if let [job] = jobs {
        return one(job);
    }
    let mut worst = Exit::Success;
    let mut failed = 0;
    for job in jobs {
        let exit = one(job).unwrap_or_else(|error| {
            tracing::error!("{}", message(&error));
            Exit::of(&error)
        });
        failed += usize::from(exit != Exit::Success);
        worst = worst.max(exit);
        if let Some(exit) = interrupt::ended_early() {
            return Ok(exit);
        }
    }
    if failed > 0 {
        tracing::error!("{failed} of {} inputs did not end well", jobs.len());
    }
    Ok(worst)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(inputs: &[&str], output: &str) -> Result<Vec<String>, String> {
        let inputs: Vec<String> = inputs.iter().map(|&input| input.to_owned()).collect();
        let to = OutputArgs {
            output: output.to_owned(),
            overwrite: false,
            skip_existing: false,
            force: false,
        };
        let found = jobs(&inputs, &to, |_| "lbit").map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|job| job.output.output).collect())
    }

    #[test]
    fn names_of_outputs() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        assert_eq!(outputs(&["a.mp4"], "b.lbit").unwrap(), ["b.lbit"]);
        assert_eq!(outputs(&["a.mp4"], "-").unwrap(), ["-"]);
        assert_eq!(outputs(&["x/a.mp4"], &at("")).unwrap(), [at("a.lbit")]);
        assert_eq!(outputs(&["a.mp4"], &at("new/")).unwrap(), [at("new/a.lbit")]);
        let both = outputs(&["x/a.b.mp4", "c"], &at("two")).unwrap();
        assert_eq!(both, [at("two/a.b.lbit"), at("two/c.lbit")]);
        assert!(folder.path().join("two").is_dir());

        std::fs::write(at("file"), "").unwrap();
        for (inputs, output, says) in [
            (&["a.mp4", "b.mp4"][..], "-", "-o FOLDER"),
            (&["a.mp4", "b.mp4"], &at("file"), "-o FOLDER"),
            (&["x/a.mp4", "y/a.mov"], &at("never"), "x/a.mp4 and y/a.mov"),
            (&["a.mp4", "-"], &at("never"), "no name"),
            (&["-"], &at(""), "no name"),
        ] {
            let error = outputs(inputs, output).unwrap_err();
            assert!(error.contains(says), "{inputs:?}: {error}");
        }
        assert!(!folder.path().join("never").exists());
    }
}
