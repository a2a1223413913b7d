//! What the command computes with: kernels and number types.

use std::process::Stdio;

use crate::support::*;

const Y4M: Y4m = Y4m {
    width: 40,
    height: 24,
    rate: (25, 1),
    chroma: "444",
};

/// Runs the command with kernels forced.
fn with_kernels(folder: &tempfile::TempDir, kernels: &str, args: &[String]) -> Outcome {
    let output = command()
        .env("LATENTBIT_CPU", kernels)
        .args(args)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Outcome {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// Values of LATENTBIT_CPU that this machine can do.
fn kernels(folder: &tempfile::TempDir) -> Vec<String> {
    let report = run(folder, &["info", "--device", "cpu", "--json"])
        .expect(0)
        .json();
    let available = report["available"].as_array().unwrap();
    let first_word = |name: &serde_json::Value| name.as_str().unwrap().split(' ').next().unwrap().to_owned();
    let mut names: Vec<String> = available.iter().map(first_word).collect();
    names.dedup();
    assert_eq!(names.last().unwrap(), "portable");
    names
}

#[test]
fn info_tells_what_the_cpu_computes_with() {
    let folder = folder();
    for name in kernels(&folder) {
        let json = with_kernels(&folder, &name, &words("info --device cpu --json"))
            .expect(0)
            .json();
        assert_eq!(json["schema"], "latentbit.device/1");
        assert!(json["kernels"].as_str().unwrap().starts_with(&name));
        assert!(json["threads"].as_u64().unwrap() > 0);
        let text = with_kernels(&folder, &name, &words("info --device cpu")).expect(0);
        assert!(String::from_utf8(text.stdout).unwrap().contains(&name));
    }
    run(&folder, &["info", "--device", "abacus"])
        .expect(2)
        .says(&["abacus"]);
    run(&folder, &["info", "--device", "cpu", "a.lbit"]).expect(2);
    run(&folder, &["info"]).expect(2);
}

#[test]
fn unknown_kernels_are_refused() {
    let folder = folder();
    write(&folder, "a.y4m", &Y4M.video(1));
    for args in [words("info --device cpu"), tiny("encode a.y4m -o a.lbit")] {
        with_kernels(&folder, "abacus", &args)
            .expect(2)
            .says(&["LATENTBIT_CPU", "abacus", "portable"]);
    }
    assert_eq!(names(&folder), ["a.y4m"]);
}

/// Every kind of kernels and both number types give nearly the same pictures.
#[test]
fn all_kernels_agree() {
    let folder = folder();
    write(&folder, "a.y4m", &Y4M.video(9));
    let frames = |kernels: &str, dtype: &str| {
        let encode = tiny(&format!("encode a.y4m -o a.lbit -y --dtype {dtype}"));
        with_kernels(&folder, kernels, &encode).expect(0);
        let decode = tiny(&format!("decode a.lbit -o - --raw rgb24 --dtype {dtype}"));
        with_kernels(&folder, kernels, &decode).expect(0).stdout
    };
    let expected = frames("portable", "f32");
    assert_eq!(expected.len(), 9 * 40 * 24 * 3);
    for kernels in kernels(&folder) {
        for (dtype, least) in [("f32", 50.0), ("bf16", 25.0)] {
            let found = frames(&kernels, dtype);
            assert_eq!(found.len(), expected.len());
            let squares = found
                .iter()
                .zip(&expected)
                .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
            let error = squares.sum::<f64>() / expected.len() as f64;
            let psnr = 10.0 * (255.0 * 255.0 / error.max(1e-9)).log10();
            assert!(psnr >= least, "{kernels} {dtype}: {psnr:.1} dB");
        }
    }
}

#[test]
fn reports_name_the_number_type() {
    let folder = folder();
    write(&folder, "a.y4m", &Y4M.video(1));
    for dtype in ["bf16", "f32"] {
        let line = format!("encode a.y4m -o a.lbit -y --json --dtype {dtype}");
        let json = run(&folder, &tiny(&line)).expect(0).json();
        assert_eq!(json["dtype"], dtype);
        assert!(!json["kernels"].as_str().unwrap().is_empty());
    }
    run(&folder, &tiny("encode a.y4m -o a.lbit -y --dtype f64")).expect(2);
}
