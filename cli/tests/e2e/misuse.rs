//! Command lines that are nearly right: each error says what to type instead.

use crate::support::{Y4m, encoded, folder, names, on_terminal, read, run, tiny, write};

#[test]
fn what_was_meant_is_told() {
    let folder = folder();
    encoded(&folder, "a.lbit", 2, "");
    write(&folder, "a.y4m", &Y4m::SMALL.video(2));
    write(&folder, "named.lbit.y4m", &Y4m::SMALL.video(2));
    for (line, says) in [
        ("encode -i a.y4m -o b.lbit", "latentbit encode a.y4m -o b.lbit"),
        ("encode -i a.y4m b.lbit", "latentbit encode a.y4m -o b.lbit"),
        ("info -i a.lbit", "latentbit info a.lbit"),
        ("decode a.lbit b.y4m", "latentbit decode a.lbit -o b.y4m"),
        ("a.y4m -o b.lbit", "latentbit encode a.y4m -o b.lbit"),
        ("a.lbit -o b.y4m", "latentbit decode a.lbit -o b.y4m"),
        ("encod a.y4m -o b.lbit", "encode"),
        ("encode a.y4m -o b.lbit -b:v 1M", "--bitrate"),
        ("encode a.y4m -o b.lbit -ss 3", "--start"),
        // Tokens where a video belongs.
        ("encode a.lbit -o b.lbit", "encoded already"),
        ("latents encode a.lbit -o b.safetensors", "encoded already"),
        ("eval a.lbit a.y4m", "latentbit eval a.y4m a.lbit"),
        ("eval a.lbit a.lbit", "latentbit eval VIDEO a.lbit"),
        // A video where tokens belong.
        ("decode a.y4m -o b.y4m", "latentbit encode a.y4m -o a.lbit"),
        ("info a.y4m", "latentbit encode a.y4m"),
        ("trim a.y4m -o b.lbit --bits 3", "latentbit encode a.y4m"),
        ("cut a.y4m -o b.lbit --from 1", "latentbit encode a.y4m"),
        ("concat a.lbit a.y4m -o b.lbit", "latentbit encode a.y4m"),
        ("recover a.y4m -o b.lbit", "latentbit encode a.y4m"),
        ("index named.lbit.y4m", "latentbit encode named.lbit.y4m"),
        ("tokens export a.y4m -o b.npy", "latentbit encode a.y4m"),
        ("score a.y4m", "latentbit encode a.y4m"),
        // Addresses.
        ("encode https://host.invalid/a.mp4 -o b.lbit", "--allow-network"),
        (
            "decode https://host.invalid/a.lbit -o b.y4m",
            "curl -fsSL https://host.invalid/a.lbit | latentbit",
        ),
        ("info http://host.invalid/a.lbit", "curl"),
    ] {
        let args: Vec<_> = line.split(' ').collect();
        let outcome = run(&folder, &args).expect(2);
        assert!(
            outcome.stderr.contains(says),
            "{line}: {says:?} is not in: {}",
            outcome.stderr
        );
    }
    assert_eq!(names(&folder), ["a.lbit", "a.y4m", "named.lbit.y4m"]);
}

#[test]
fn damaged_tokens_are_not_taken_for_a_video() {
    let folder = folder();
    encoded(&folder, "a.lbit", 9, "");
    let mut bytes = read(&folder, "a.lbit");
    bytes[..8].copy_from_slice(b"\x89PNG\r\n\x1a\n");
    write(&folder, "b.lbit", &bytes);
    run(&folder, &tiny("decode b.lbit -o b.y4m"))
        .expect(3)
        .says(&["b.lbit"]);
    run(&folder, &["verify", "b.lbit"]).expect(3);
}

#[test]
fn messages_have_no_colours_where_none_are_wanted() {
    let folder = folder();
    for (value, coloured) in [("1", false), ("", true)] {
        let Some(text) = on_terminal(&folder, "info missing.lbit", ("NO_COLOR", value)) else {
            return;
        };
        assert!(text.contains("missing.lbit"), "{text}");
        assert_eq!(text.contains('\x1b'), coloured, "NO_COLOR={value}: {text:?}");
    }
}
