use super::*;
use crate::commands::{as_ffmpeg_has_it, definition};

/// The commands `latentbit ...` of a line of a shell, word by word, without pipes, comments and what is sent where; none with
/// variables, whose values are not known.
fn commands_of(line: &str) -> Vec<Vec<String>> {
    let line = line.split(" #").next().unwrap_or_default();
    let words = |part: &str| -> Vec<String> {
        let words = part.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
        let until = |word: &&str| !matches!(*word, ">" | "<" | ">>" | "2>" | "&&" | ";" | "&" | "\\");
        words.take_while(until).map(str::to_owned).collect()
    };
    let parts = line.split(['|', ';']).map(words);
    let ours = |words: &Vec<String>| {
        words.first().is_some_and(|first| first == "latentbit")
            && !words.iter().any(|word| word.contains('$'))
    };
    parts.filter(ours).collect()
}

/// What is wrong with a command line, if anything is; help is not.
fn fault(words: &[String], place: &str) -> Option<String> {
    let words = as_ffmpeg_has_it(words.iter().map(Into::into));
    let error = definition().try_get_matches_from(&words).err()?;
    error.use_stderr().then(|| format!("{place}: {words:?}: {error}"))
}

#[test]
fn definitions_are_sound() {
    definition().debug_assert();
}

#[test]
fn examples_parse_and_belong_to_their_command() {
    let built = built(definition());
    let all = walk(&built);
    let mut found = 0;
    for (path, _) in &all {
        for (line, _) in afterword::examples(path) {
            let commands = commands_of(line);
            assert!(!commands.is_empty(), "{line}");
            let own = |words: &Vec<String>| words[1..].starts_with(path);
            assert!(commands.iter().any(own), "{path:?}: {line}");
            let faults: Vec<_> = commands.iter().filter_map(|words| fault(words, line)).collect();
            assert!(faults.is_empty(), "{faults:#?}");
            found += 1;
        }
    }
    // None stands under the name of a command that is gone.
    assert_eq!(found, afterword::all_examples().count());
}

/// The documents of this repository, by path.
fn documents() -> Vec<(String, String)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut paths = vec![root.join("README.md"), root.join("cli/README.md")];
    let docs = std::fs::read_dir(root.join("docs")).into_iter().flatten();
    paths.extend(
        docs.filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|e| e == "md")),
    );
    let read =
        |path: std::path::PathBuf| Some((path.display().to_string(), std::fs::read_to_string(&path).ok()?));
    paths.into_iter().filter_map(read).collect()
}

#[test]
fn commands_in_documents_parse() {
    let mut found = 0;
    let mut faults = Vec::new();
    for (path, text) in documents() {
        let mut shell = false;
        let joined = text.replace("\\\n", " ");
        for line in joined.lines() {
            match line.trim().strip_prefix("```") {
                Some(language) => shell = !shell && matches!(language, "sh" | "bash" | "shell" | "console"),
                None if shell => {
                    let line = line.trim().trim_start_matches("$ ");
                    for words in commands_of(line) {
                        faults.extend(fault(&words, &path));
                        found += 1;
                    }
                }
                None => {}
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(found > 30, "{found}");
}

#[test]
fn every_option_says_what_it_is_and_stands_in_one_group() {
    let built = built(definition());
    for (path, command) in walk(&built) {
        assert!(command.get_about().is_some(), "{path:?}");
        for arg in command.get_arguments() {
            assert!(arg.get_help().is_some(), "{path:?} {arg}");
        }
        let groups = by_heading(command);
        let mut names: Vec<_> = groups.iter().map(|(heading, _)| heading).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), groups.len(), "{path:?}");
        // More than this in a row, nobody reads.
        let ungrouped = groups.iter().find(|(heading, _)| heading.is_none());
        assert!(ungrouped.is_none_or(|(_, args)| args.len() <= 12), "{path:?}");
    }
}
