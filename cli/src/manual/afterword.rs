//! What stands after the options of a command: examples, environment variables, exit codes.

use clap::Command;

use super::Path;
use crate::exit::EXIT_CODES;

/// A line to type, and what it does.
pub type Example = (&'static str, &'static str);

/// Examples of commands, by the words that call them.
const EXAMPLES: &[(&str, &[Example])] = &[
    (
        "",
        &[
            ("latentbit encode in.mp4 -o out.lbit", "video to tokens"),
            ("latentbit decode out.lbit -o back.mp4", "and back"),
            ("latentbit info out.lbit", "what is in it"),
            ("latentbit eval in.mp4 out.lbit", "how good it is"),
            ("latentbit archive clips/ -o tokens/", "many clips at once"),
        ],
    ),
    (
        "encode",
        &[
            ("latentbit encode in.mp4 -o out.lbit", "constant quality"),
            ("latentbit encode in.mp4 -o out.lbit --crf 6", "better and larger"),
            (
                "latentbit encode in.mp4 -o out.lbit --bitrate 300k",
                "a mean rate",
            ),
            (
                "latentbit encode in.mp4 -o out.lbit --size 5M",
                "the best that fits",
            ),
            (
                "latentbit encode in.mp4 -o out.lbit --start 1:30 --frames 250 --scale 256",
                "a part of it, smaller",
            ),
            (
                "ffmpeg -v error -i in.mkv -f yuv4mpegpipe -strict -1 - | latentbit encode - -o out.lbit",
                "from a pipe",
            ),
        ],
    ),
    (
        "decode",
        &[
            ("latentbit decode in.lbit -o out.mp4", "a video"),
            ("latentbit decode in.lbit -o out-%04d.png", "pictures"),
            (
                "latentbit decode in.lbit -o out.mp4 --start 1:30 --frames 250",
                "a part of it",
            ),
            (
                "latentbit decode in.lbit -o out.mkv -c:v libx265 --crf 18",
                "another encoder",
            ),
            (
                "latentbit decode in.lbit -o depths.mp4 --show-depth",
                "where the bits are",
            ),
            ("latentbit decode in.lbit -o - | ffplay -", "to a player"),
        ],
    ),
    (
        "info",
        &[
            ("latentbit info in.lbit", "size, rate, model, tokens"),
            ("latentbit info in.lbit --chunks", "every chunk as well"),
            ("latentbit info in.lbit --json", "for programs"),
            ("latentbit info --device auto", "what is computed with"),
        ],
    ),
    (
        "play",
        &[
            ("latentbit play in.lbit", "in ffplay or mpv"),
            (
                "latentbit play in.lbit --start 1:30 --show-depth",
                "where the bits are",
            ),
        ],
    ),
    (
        "thumbnail",
        &[("latentbit thumbnail in.lbit -o small.png", "one picture")],
    ),
    (
        "eval",
        &[
            ("latentbit eval in.mp4 out.lbit", "a file of tokens"),
            ("latentbit eval in.mp4 out.lbit --no-vae", "twice as fast"),
            ("latentbit eval in.mp4 x264.mp4", "another codec, in the same way"),
        ],
    ),
    (
        "verify",
        &[
            ("latentbit verify clips/*.lbit", "every byte"),
            ("latentbit verify in.lbit --json", "for programs"),
        ],
    ),
    (
        "recover",
        &[("latentbit recover damaged.lbit -o whole.lbit", "what is intact")],
    ),
    ("index", &[("latentbit index in.lbit", "in its place")]),
    (
        "trim",
        &[
            (
                "latentbit trim in.lbit -o small.lbit --bits 18",
                "the first 18 bits",
            ),
            (
                "latentbit trim in.lbit -o small.lbit --size 2M",
                "the best that fits",
            ),
        ],
    ),
    (
        "cut",
        &[(
            "latentbit cut in.lbit -o part.lbit --from 1:00 --to 1:30",
            "half a minute",
        )],
    ),
    (
        "concat",
        &[(
            "latentbit concat a.lbit b.lbit -o both.lbit",
            "one after the other",
        )],
    ),
    (
        "degrade",
        &[
            (
                "latentbit degrade in.lbit -o bad.lbit --drop 3,7-9",
                "these chunks",
            ),
            (
                "latentbit degrade in.lbit -o bad.lbit --loss-rate 0.05 --burst 3",
                "in bursts",
            ),
        ],
    ),
    (
        "tokens export",
        &[("latentbit tokens export in.lbit -o in.npy", "and in.npy.json")],
    ),
    (
        "tokens import",
        &[("latentbit tokens import in.npy -o back.lbit", "bit for bit")],
    ),
    (
        "latents encode",
        &[(
            "latentbit latents encode in.mp4 --model Wan2.1_VAE.pth -o in.safetensors",
            "with the VAE of Wan",
        )],
    ),
    (
        "latents decode",
        &[(
            "latentbit latents decode in.safetensors --model Wan2.1_VAE.pth -o out.mp4",
            "and back",
        )],
    ),
    (
        "generate",
        &[
            (
                "latentbit generate --frames 125 --size 256x256 -o made.lbit",
                "from nothing",
            ),
            (
                "latentbit generate --continue in.lbit --frames 50 -o longer.lbit",
                "from the end of a file",
            ),
        ],
    ),
    (
        "inpaint",
        &[
            (
                "latentbit inpaint in.lbit --mask 64:48:100:20 -o out.lbit",
                "a rectangle",
            ),
            (
                "latentbit inpaint in.lbit --from 2 --to 3 -o out.lbit",
                "a second",
            ),
        ],
    ),
    (
        "score",
        &[("latentbit score in.lbit --json", "bits per token of each chunk")],
    ),
    (
        "archive",
        &[
            ("latentbit archive clips/ -o tokens/", "a file for each clip"),
            (
                "latentbit archive list.csv -o tokens/ --format webdataset --scale 256",
                "tar shards",
            ),
            ("latentbit archive --check tokens/", "prove it in every byte"),
        ],
    ),
    (
        "models pull",
        &[("latentbit models pull wan2.1-vae", "from the Hugging Face hub")],
    ),
    (
        "models add",
        &[(
            "latentbit models add my.safetensors --name mine",
            "use it by --model mine",
        )],
    ),
    (
        "manual completions",
        &[
            (
                "latentbit manual completions bash > ~/.local/share/bash-completion/completions/latentbit",
                "",
            ),
            (
                "latentbit manual completions zsh > ~/.zfunc/_latentbit",
                "a folder of fpath",
            ),
            (
                "latentbit manual completions fish > ~/.config/fish/completions/latentbit.fish",
                "",
            ),
        ],
    ),
    (
        "manual man",
        &[(
            "latentbit manual man ~/.local/share/man/man1",
            "then: man latentbit",
        )],
    ),
];

/// Environment variables that the command looks at.
pub const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "LATENTBIT_CPU",
        "instructions of the CPU to use: amx, avx512, avx2 or portable; the best that it has by default",
    ),
    (
        "LATENTBIT_LOG",
        "which messages to print, instead of -q and -v: error, warn, info, debug, or MODULE=LEVEL,...",
    ),
    (
        "LATENTBIT_MODELS",
        "folder of models, instead of one among the caches of the system",
    ),
    (
        "HF_ENDPOINT, HF_TOKEN, HTTPS_PROXY, HF_HUB_OFFLINE",
        "for models pull: a mirror of the hub, a token, a proxy; 1 to fetch nothing",
    ),
    ("NO_COLOR", "anything but nothing: messages without colours"),
];

/// The examples of a command.
pub fn examples(path: &Path) -> &'static [Example] {
    let words = path.join(" ");
    let found = EXAMPLES.iter().find(|(of, _)| *of == words);
    found.map_or(&[], |(_, examples)| examples)
}

/// `examples` as lines, what they do as comments behind them.
pub fn lines(examples: &[Example]) -> Vec<String> {
    /// Comments of longer lines do not push those of all others to the right.
    const MOST: usize = 60;
    let lengths = examples.iter().map(|(line, _)| line.len());
    let width = lengths.filter(|length| *length <= MOST).max().unwrap_or(0);
    let with_comment = |(line, meaning): &Example| match *meaning {
        "" => (*line).to_owned(),
        meaning => format!("{line:width$}  # {meaning}"),
    };
    examples.iter().map(with_comment).collect()
}

/// Adds to each command what stands after its options.
pub fn add(definition: Command) -> Command {
    below(definition, &Vec::new())
}

fn below(command: Command, path: &Path) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    let command = names.into_iter().fold(command, |command, name| {
        let path = path.iter().cloned().chain([name.clone()]).collect();
        command.mut_subcommand(name, |sub| below(sub, &path))
    });
    let short = paragraph("Examples:", lines(examples(path)));
    let environment = match path.is_empty() {
        true => paragraph("Environment:", table(ENVIRONMENT)),
        false => String::new(),
    };
    let long = [
        short.as_str(),
        &environment,
        &paragraph("Exit codes:", table(EXIT_CODES)),
    ];
    let long = long
        .map(str::to_owned)
        .into_iter()
        .filter(|text| !text.is_empty());
    let long = long.collect::<Vec<_>>().join("\n\n");
    match short.is_empty() {
        true => command.after_help(long),
        false => command.after_help(short).after_long_help(long),
    }
}

fn table(rows: &[(&str, &str)]) -> Vec<String> {
    rows.iter()
        .map(|(key, meaning)| format!("{key}  {meaning}"))
        .collect()
}

fn paragraph(title: &str, lines: Vec<String>) -> String {
    match lines.is_empty() {
        true => String::new(),
        false => format!("{title}\n  {}", lines.join("\n  ")),
    }
}

/// Every example there is.
#[cfg(test)]
pub fn all_examples() -> impl Iterator<Item = &'static Example> {
    EXAMPLES.iter().flat_map(|(_, examples)| examples.iter())
}
