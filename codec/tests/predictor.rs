//! The MaskGIT predictor against the tensors that the training recipe's PyTorch modules gave (`testdata/golden`).

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

mod shared;

use latentbit_codec::maskgit::{FillOptions, Predictor, Schedule, Start, TokenWindow};
use latentbit_codec::{Bundle, Dtype, Error};
use shared::tensors::{Golden, Tensor, path};

fn bundle() -> Bundle {
    Bundle::open(path("storage-int8"), &latentbit_codec::Device::Cpu, Dtype::F32).unwrap()
}

fn predictor() -> Predictor {
    Predictor::open(path("predictor-tiny"), &bundle(), Dtype::F32).unwrap()
}

fn tensors() -> Golden {
    Golden::load(path("predictor-tiny-tensors"))
}

/// Bits to tokens.
fn packed(tensor: &Tensor) -> Vec<u64> {
    let bits = tensor.shape[3];
    tensor
        .bytes()
        .chunks_exact(bits)
        .map(|token| {
            token
                .iter()
                .rev()
                .fold(0, |value, &bit| value << 1 | u64::from(bit))
        })
        .collect()
}

/// The window of the golden tensors. What is known differs from token to token, so tokens come one by one.
fn window(golden: &Golden) -> TokenWindow {
    let [_, height, width, _] = golden["code"].shape[..] else {
        panic!("not four sides")
    };
    let (values, known) = (packed(&golden["code"]), packed(&golden["known"]));
    let starts: Vec<Start> = golden["starts"]
        .bytes()
        .iter()
        .map(|&start| [Start::Inner, Start::Chunk, Start::Group][usize::from(start)])
        .collect();
    TokenWindow::from_parts(height as u32, width as u32, values, known, starts).unwrap()
}

#[test]
fn logits_match() {
    let golden = tensors();
    let expected: Vec<f32> = golden["logits"].floats();
    let found = predictor().logits(&window(&golden)).unwrap();
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let difference = found
        .iter()
        .zip(&expected)
        .fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    println!("logits: {:.1e}", difference / largest);
    assert!(difference <= 1e-4 * largest, "{difference} of {largest}");
}

#[test]
fn fills_match() {
    let golden = tensors();
    let predictor = predictor();
    let cases = [
        ("likeliest", FillOptions::default().steps(4)),
        (
            "linear",
            FillOptions::default().steps(3).schedule(Schedule::Linear),
        ),
        (
            "drawn",
            FillOptions::default()
                .steps(3)
                .temperature(0.9)
                .noise(0.7)
                .seed(11),
        ),
    ];
    for (name, options) in cases {
        let mut window = window(&golden);
        let before = window.clone();
        let report = predictor.fill(&mut window, &options).unwrap();
        let expected = golden[format!("filled.{name}").as_str()].integers();
        let found: Vec<i64> = window.values().iter().map(|&value| value.cast_signed()).collect();
        assert_eq!(found, expected, "{name}");
        assert_eq!(report.passes, options.steps, "{name}");
        assert_eq!(report.tokens, 41, "{name}");
        assert!(report.surprise > 0.0 && report.surprise.is_finite());
        assert!(window.known().iter().all(|&known| known == 0x3ff));
        for ((&was, &known), &is) in before.values().iter().zip(before.known()).zip(window.values()) {
            assert_eq!(was, is & known, "{name} changed what was known");
        }
        // Nothing is left to fill.
        let again = predictor.fill(&mut window, &options).unwrap();
        assert_eq!((again.tokens, again.passes), (0, 0));
    }
}

#[test]
fn scores_are_costs_of_bits() {
    let golden = tensors();
    let predictor = predictor();
    let mut window = window(&golden);
    let part = predictor.score(&window, 2..4, 3, 0).unwrap();
    predictor.fill(&mut window, &FillOptions::default()).unwrap();
    let likely = predictor.score(&window, 2..4, 3, 0).unwrap();
    assert_eq!(likely, predictor.score(&window, 2..4, 3, 0).unwrap());
    // Bits that are not known cost nothing.
    assert!(part > 0.0 && part < likely, "{part} of {likely}");
    // The opposite of what the predictor said of these steps costs more.
    let mut opposite = TokenWindow::new(5, 4);
    let values = window.values();
    opposite.push(&values[..40], u64::MAX, true).unwrap();
    let turned: Vec<u64> = values[40..80].iter().map(|value| value ^ 0x3ff).collect();
    opposite.push(&turned, u64::MAX, false).unwrap();
    opposite.push(&values[80..], u64::MAX, false).unwrap();
    let unlikely = predictor.score(&opposite, 2..4, 3, 0).unwrap();
    println!("{likely} against {unlikely} bits");
    assert!(likely < unlikely);
    assert!(predictor.score(&window, 2..4, 0, 0).is_err());
}

#[test]
fn wrong_files_are_refused() {
    let bytes = std::fs::read(path("predictor-tiny")).unwrap();
    let other = Bundle::open(
        path("tokenizer-windows"),
        &latentbit_codec::Device::Cpu,
        Dtype::F32,
    )
    .unwrap();
    let message = |error: Error| {
        assert!(matches!(error, Error::Predictor { .. }), "{error:?}");
        error.to_string()
    };
    let error = Predictor::from_bytes(&bytes, &other, Dtype::F32).unwrap_err();
    assert!(message(error).contains("trained for it"));
    let bundle_bytes = std::fs::read(path("storage-int8")).unwrap();
    let error = Predictor::from_bytes(&bundle_bytes, &bundle(), Dtype::F32).unwrap_err();
    assert!(message(error).contains("latentbit.predictor/1"));
    for len in [0, 7, 100, bytes.len() - 1] {
        message(Predictor::from_bytes(&bytes[..len], &bundle(), Dtype::F32).unwrap_err());
    }
}

#[test]
fn impossible_options_are_refused() {
    let golden = tensors();
    for options in [
        FillOptions::default().steps(0),
        FillOptions::default().temperature(-1.0),
        FillOptions::default().noise(f32::NAN),
    ] {
        assert!(
            predictor().fill(&mut window(&golden), &options).is_err(),
            "{options:?}"
        );
    }
}
