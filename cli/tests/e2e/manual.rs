//! Man pages, completions and the Markdown of all commands.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::{folder, names, run};

/// Runs a program that may not be installed.
fn if_installed(program: &str, args: &[&str], folder: &Path) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).stdin(Stdio::null());
    // Pages as on a terminal of this width, whatever the one of the tests is.
    command
        .env("MANWIDTH", "100")
        .env("LC_ALL", "C.UTF-8")
        .env("MANPAGER", "cat");
    match command.output() {
        Ok(output) => Some(output),
        Err(_) => {
            eprintln!("{program} is not installed");
            None
        }
    }
}

#[test]
fn man_pages_are_whole() {
    let folder = folder();
    run(&folder, &["manual", "man", "man1"]).expect(0);
    let man1 = folder.path().join("man1");
    let mut pages: Vec<_> = std::fs::read_dir(&man1)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    for page in ["latentbit.1", "latentbit-encode.1", "latentbit-tokens-export.1"] {
        assert!(
            pages.iter().any(|name| name == page),
            "{page} is not in {pages:?}"
        );
    }
    for page in &pages {
        let text = std::fs::read_to_string(man1.join(page)).unwrap();
        let mut from = 0;
        for section in [
            "TH",
            "SH NAME",
            "SH SYNOPSIS",
            "SH DESCRIPTION",
            "SH \"EXIT STATUS\"",
            "SH \"SEE ALSO\"",
        ] {
            let at = text[from..].find(&format!(".{section}"));
            from += at.unwrap_or_else(|| panic!("{page}: {section} is not where it belongs"));
        }
        // What a page names is there.
        let see = &text[from..];
        for other in see.split("\\fB").skip(1) {
            let name = other.split("\\fR").next().unwrap().replace('\\', "");
            assert!(pages.contains(&format!("{name}.1")), "{page} names {name}");
        }
        let warned = if_installed("groff", &["-man", "-ww", "-z", "-Kutf8", page], &man1);
        if let Some(output) = warned {
            assert!(
                output.stderr.is_empty(),
                "{page}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    // As users see it.
    for (program, args) in [
        ("man", ["-l", "latentbit-encode.1"]),
        ("mandoc", ["-Tascii", "latentbit-encode.1"]),
    ] {
        let Some(output) = if_installed(program, &args, &man1) else {
            continue;
        };
        assert!(output.status.success());
        // Without bold letters, which are typed twice.
        let mut seen: Vec<char> = Vec::new();
        for character in String::from_utf8_lossy(&output.stdout).chars() {
            match character {
                '\u{8}' => drop(seen.pop()),
                other => seen.push(other),
            }
        }
        let seen: String = seen.into_iter().collect();
        for part in [
            "--crf",
            "EXAMPLES",
            "latentbit encode in.mp4 -o out.lbit",
            "SIZE AND QUALITY",
            "130, 143",
        ] {
            assert!(seen.contains(part), "{program}: {part} is not in {seen}");
        }
    }
}

/// What bash offers for `words`, of which the last one is being typed.
fn bash_offers(folder: &Path, words: &[&str]) -> Option<Vec<String>> {
    // As Readline asks: by the function, and if it has nothing, by the names of files.
    let script = r#"
        source ./completions || exit 9
        registered=$(complete -p latentbit) && [[ $registered == *'-o default'* ]] || exit 8
        function=${registered#*-F }; function=${function%% *}
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
        "$function" latentbit "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        if ((${#COMPREPLY[@]})); then printf '%s\n' "${COMPREPLY[@]}"; else compgen -f -- "${COMP_WORDS[COMP_CWORD]}"; fi
        exit 0
    "#;
    let args: Vec<&str> = ["--norc", "-c", script, "bash"]
        .into_iter()
        .chain(words.iter().copied())
        .collect();
    let output = if_installed("bash", &args, folder)?;
    assert!(
        output.status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let offered = String::from_utf8(output.stdout).unwrap();
    Some(offered.lines().map(str::to_owned).collect())
}

#[test]
fn bash_completes() {
    let folder = folder();
    let script = run(&folder, &["manual", "completions", "bash"]).expect(0).stdout;
    std::fs::write(folder.path().join("completions"), script).unwrap();
    std::fs::write(folder.path().join("clip.mp4"), b"").unwrap();
    for (words, offered) in [
        (&["latentbit", "enc"][..], "encode"),
        (&["latentbit", "tokens", "exp"], "export"),
        (&["latentbit", "encode", "in.mp4", "--cr"], "--crf"),
        (&["latentbit", "encode", "--coder", "z"], "zstd"),
        (&["latentbit", "models", "pull", "--off"], "--offline"),
        // Files, also where an option could stand.
        (&["latentbit", "encode", "cl"], "clip.mp4"),
        (&["latentbit", "encode", ""], "clip.mp4"),
        (&["latentbit", "encode", "in.mp4", "-o", "cl"], "clip.mp4"),
        (&["latentbit", "tokens", "export", ""], "clip.mp4"),
    ] {
        let Some(found) = bash_offers(folder.path(), words) else {
            return;
        };
        assert!(found.iter().any(|word| word == offered), "{words:?}: {found:?}");
    }
    // Only options that go on like that.
    let found = bash_offers(folder.path(), &["latentbit", "encode", "--cr"]).unwrap();
    assert_eq!(found, ["--crop", "--crf"]);
}

/// What is typed, and what the shell makes of it.
const COMPLETED: [(&str, &str); 8] = [
    ("latentbit enc", "encode"),
    ("latentbit tokens exp", "tokens export"),
    ("latentbit encode --overwr", "encode --overwrite"),
    ("latentbit encode --coder zs", "encode --coder zstd"),
    ("latentbit encode cl", "encode clip.mp4"),
    ("latentbit encode in.mp4 cl", "encode in.mp4 clip.mp4"),
    ("latentbit encode in.mp4 -o cl", "encode in.mp4 -o clip.mp4"),
    ("latentbit tokens export cl", "tokens export clip.mp4"),
];

#[test]
fn zsh_completes() {
    let folder = folder();
    let script = run(&folder, &["manual", "completions", "zsh"]).expect(0).stdout;
    std::fs::write(folder.path().join("_latentbit"), script).unwrap();
    std::fs::write(folder.path().join("clip.mp4"), b"").unwrap();
    // A terminal of its own, in which a function prints what became of the line.
    let script = r#"
        zmodload zsh/zpty
        zpty -b shell zsh -f -i
        zpty -w shell 'PS1=; fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D'
        zpty -w shell 'latentbit() { print -r -- "<<${@}>>" }; print READY'
        zpty -r shell answer '*READY*READY*'
        zpty -w -n shell "$1"$'\t\n'
        zpty -r shell answer '*<<*>>*'
        print -r -- "$answer"
    "#;
    if if_installed("zsh", &["-f", "-c", ":"], folder.path()).is_none() {
        return;
    }
    for (typed, wanted) in COMPLETED {
        // It would wait for ever if the shell had no answer.
        let args = ["600", "zsh", "-f", "-c", script, "zsh", typed];
        let Some(output) = if_installed("timeout", &args, folder.path()) else {
            return;
        };
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = answer
            .rsplit("<<")
            .next()
            .and_then(|line| line.split(">>").next());
        assert_eq!(line, Some(wanted), "{typed}: {answer}");
    }
}

#[test]
fn fish_completes() {
    let folder = folder();
    let script = run(&folder, &["manual", "completions", "fish"]).expect(0).stdout;
    std::fs::write(folder.path().join("latentbit.fish"), script).unwrap();
    std::fs::write(folder.path().join("clip.mp4"), b"").unwrap();
    for (typed, wanted) in COMPLETED {
        let script = "source latentbit.fish; complete -C $argv[1]";
        let args = ["--no-config", "-c", script, typed];
        let Some(output) = if_installed("fish", &args, folder.path()) else {
            return;
        };
        let offered = String::from_utf8_lossy(&output.stdout).into_owned();
        let word = wanted.rsplit(' ').next().unwrap();
        let found = offered.lines().any(|line| line.split('\t').next() == Some(word));
        assert!(found, "{typed}: {offered}");
    }
}

#[test]
fn completions_are_scripts_of_their_shells() {
    let folder = folder();
    for (shell, word) in [
        ("bash", "--crf"),
        ("zsh", "--crf"),
        ("fish", "crf"),
        ("elvish", "--crf"),
        ("powershell", "--crf"),
    ] {
        let script = run(&folder, &["manual", "completions", shell])
            .expect(0)
            .prints(&["encode", word])
            .stdout;
        std::fs::write(folder.path().join(shell), script).unwrap();
    }
    for (shell, option) in [("bash", "-n"), ("zsh", "-n"), ("fish", "-n")] {
        if let Some(output) = if_installed(shell, &[option, shell], folder.path()) {
            assert!(
                output.status.success(),
                "{shell}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    run(&folder, &["manual", "completions", "tcsh"])
        .expect(2)
        .says(&["bash", "fish", "zsh"]);
    assert_eq!(names(&folder), ["bash", "elvish", "fish", "powershell", "zsh"]);
}

#[test]
fn the_page_of_all_options_is_up_to_date() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let made = run(&folder(), &["manual", "markdown"]).expect(0).stdout;
    let made = String::from_utf8(made).unwrap();
    if std::env::var_os("LATENTBIT_WRITE_DOCS").is_some() {
        std::fs::write(&page, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&page).unwrap_or_default();
    let differs = made.lines().zip(committed.lines()).find(|(a, b)| a != b);
    assert!(
        made == committed,
        "docs/cli.md is older than the options; `make cli-docs` makes it anew. The first difference: {differs:#?}"
    );
}

#[test]
fn help_is_grouped_and_ends_with_examples() {
    let folder = folder();
    let help = run(&folder, &["encode", "--help"]).expect(0).stdout;
    let help = String::from_utf8(help).unwrap();
    let mut from = 0;
    for part in [
        "Usage:",
        "Arguments:",
        "Options:",
        "Input:",
        "Size and quality:",
        "--crf",
        "Model and machine:",
        "General:",
        "--quiet",
        "Examples:",
        "Exit codes:",
    ] {
        let at = help[from..].find(part);
        from += at.unwrap_or_else(|| panic!("{part} is not where it belongs: {help}"));
    }
    // The short one is for a glance.
    let short = run(&folder, &["encode", "-h"])
        .expect(0)
        .prints(&["Examples:"])
        .stdout;
    assert!(!String::from_utf8(short).unwrap().contains("Exit codes:"));
    run(&folder, &["--help"])
        .expect(0)
        .prints(&["Examples:", "LATENTBIT_CPU", "NO_COLOR", "Exit codes:"]);
}
