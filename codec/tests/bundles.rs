//! Bundles that are damaged, incomplete or of another kind, and the storages that are allowed.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::path::PathBuf;

use latentbit_codec::bundle::{BundleConfig, Halves};
use latentbit_codec::vae::{DecoderState, EncoderState};
use latentbit_codec::{Bundle, Error, Result, Volume};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const NAME: &str = "tokenizer-bsq";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../testdata/golden/{NAME}.safetensors"))
}

/// The parts of a bundle file, to be changed and put together again.
struct Parts {
    config: Value,
    tensors: HashMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
}

impl Parts {
    fn read() -> Self {
        let bytes = std::fs::read(path()).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let config = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["config"]).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap().tensors().into_iter();
        let tensors = tensors.map(|(name, t)| (name, (t.dtype(), t.shape().to_vec(), t.data().to_vec())));
        Self {
            config,
            tensors: tensors.collect(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let views = self.tensors.iter();
        let views = views.map(|(n, (d, s, b))| (n, TensorView::new(*d, s.clone(), b).unwrap()));
        let metadata = HashMap::from([("config".to_owned(), self.config.to_string())]);
        safetensors::serialize(views, Some(metadata)).unwrap()
    }

    fn load(&self) -> Result<Bundle> {
        Bundle::from_bytes(
            &self.bytes(),
            &latentbit_codec::Device::Cpu,
            latentbit_codec::Dtype::F32,
        )
    }

    fn refusal(&self) -> String {
        refusal(self.load())
    }
}

fn refusal(result: Result<Bundle>) -> String {
    match result {
        Err(Error::Bundle { reason }) => reason,
        Err(other) => panic!("refused with another error: {other}"),
        Ok(_) => panic!("not refused"),
    }
}

#[test]
fn id_is_name_and_hash_of_the_file() {
    let bytes = std::fs::read(path()).unwrap();
    let bundle = Bundle::open(path(), &latentbit_codec::Device::Cpu, latentbit_codec::Dtype::F32).unwrap();
    assert_eq!(bundle.id.name, "bsq");
    assert_eq!(bundle.id.sha256, <[u8; 32]>::from(Sha256::digest(&bytes)));
    assert_eq!(bundle.config.training["note"], "random weights");
}

#[test]
fn config_survives_json() {
    let config = Bundle::open(path(), &latentbit_codec::Device::Cpu, latentbit_codec::Dtype::F32)
        .unwrap()
        .config;
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(BundleConfig::from_json(&text).unwrap(), config);
}

#[test]
fn missing_file_is_named() {
    let error = Bundle::open(
        "no/such/file",
        &latentbit_codec::Device::Cpu,
        latentbit_codec::Dtype::F32,
    )
    .err()
    .unwrap();
    assert!(
        matches!(&error, Error::Io { .. }) && error.to_string().contains("no/such/file"),
        "{error}"
    );
}

#[test]
fn other_formats_are_refused() {
    let mut parts = Parts::read();
    parts.config["format"] = json!("latentbit.bundle/2");
    let reason = parts.refusal();
    assert!(
        reason.contains("latentbit.bundle/2") && reason.contains("latentbit.bundle/1"),
        "{reason}"
    );
}

#[test]
fn all_problems_are_listed() {
    let mut parts = Parts::read();
    let norm = parts.tensors.remove("tokenizer.encoder.norm.gamma").unwrap();
    parts.tensors.insert("surplus".to_owned(), norm);
    parts.tensors.get_mut("vae.conv2.bias").unwrap().1 = vec![2, 2];
    let reason = parts.refusal();
    for problem in [
        "tokenizer.encoder.norm.gamma is missing",
        "surplus is not known",
        "vae.conv2.bias has shape [2, 2]",
    ] {
        assert!(reason.contains(problem), "{reason}");
    }
}

#[test]
fn values_must_be_finite() {
    let mut parts = Parts::read();
    parts.tensors.get_mut("vae.conv2.bias").unwrap().2[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(
        parts
            .refusal()
            .contains("vae.conv2.bias has values that are not finite")
    );
}

#[test]
fn configs_out_of_range_are_refused() {
    for (pointer, value) in [
        ("/name", json!("")),
        ("/name", json!("a\nb")),
        ("/vae/patch", json!(0)),
        ("/vae/patch", json!(1u64 << 40)),
        ("/vae/stages", json!([])),
        ("/vae/stages/0/channels", json!(1_000_000)),
        ("/vae/stages/0/kernels", json!([[1, 2, 1], [1, 1, 1]])),
        ("/vae/stages/0/down_time", json!(true)),
        ("/vae/mid_attention", json!(true)),
        ("/vae/latent_mean", json!([0.0])),
        ("/vae/latent_std", json!([1.0, 1.0, 0.0, 1.0])),
        ("/vae/latent_channels", json!(5)),
        ("/tokenizer/bits", json!(65)),
        ("/tokenizer/bits", json!(0)),
        ("/tokenizer/heads", json!(0)),
        ("/tokenizer/heads", json!(5)),
        ("/tokenizer/window", json!([4, 0, 4])),
        ("/tokenizer/shift", json!([4, 0, 0])),
        ("/tokenizer/patch", json!([0, 1, 1])),
        ("/tokenizer/rope_theta", json!(0.5)),
        ("/tokenizer/quantizer", json!("fsq")),
        ("/tokenizer/chunk_latent_frames", json!(0)),
        ("/tokenizer/encoder_layers", json!(-1)),
        ("/vae/moments", json!("no")),
    ] {
        let mut parts = Parts::read();
        *parts.config.pointer_mut(pointer).unwrap() = value;
        assert!(!parts.refusal().is_empty(), "{pointer}");
    }
    let mut parts = Parts::read();
    parts.config["vae"]["surprise"] = json!(1);
    assert!(parts.refusal().contains("surprise"));
}

#[test]
fn damaged_files_are_refused() {
    let bytes = Parts::read().bytes();
    for len in (0..bytes.len()).step_by(997) {
        assert!(
            !refusal(Bundle::from_bytes(
                &bytes[..len],
                &latentbit_codec::Device::Cpu,
                latentbit_codec::Dtype::F32
            ))
            .is_empty(),
            "{len}"
        );
    }
    // Every byte of the header's length and the beginning of its text.
    for at in 0..64 {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        assert!(
            Bundle::from_bytes(
                &damaged,
                &latentbit_codec::Device::Cpu,
                latentbit_codec::Dtype::F32
            )
            .is_err(),
            "{at}"
        );
    }
}

/// The half float next to a value of moderate size, towards zero.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let exponent = (bits >> 23 & 0xff) as i32 - 112;
    let sign = (bits >> 16 & 0x8000) as u16;
    if exponent <= 0 {
        sign
    } else {
        sign | (exponent as u16) << 10 | (bits >> 13 & 0x3ff) as u16
    }
}

#[test]
fn half_floats_load() {
    let mut parts = Parts::read();
    let whole = parts.load().unwrap();
    for (dtype, _, data) in parts.tensors.values_mut() {
        let values: Vec<f32> = data
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&b| f32::from_le_bytes(b))
            .collect();
        *data = values.into_iter().flat_map(|v| half(v).to_le_bytes()).collect();
        *dtype = Dtype::F16;
    }
    let half = parts.load().unwrap();
    let latent = Volume::new(
        &[1, 4, 4, 4],
        (0..64).map(|i| (i as f32 * 0.7).sin() * 1.5).collect(),
    )
    .unwrap();
    let outputs = |bundle: &Bundle| {
        let outputs = bundle.tokenizer().unwrap().encoder_output(&latent).unwrap();
        outputs.into_data()
    };
    for (a, b) in outputs(&whole).into_iter().zip(outputs(&half)) {
        assert!((a - b).abs() < 2e-2, "{a} {b}");
    }
}

#[test]
fn int8_needs_its_scale() {
    let mut parts = Parts::read();
    let name = "vae.conv2.weight";
    let (dtype, _, data) = parts.tensors.get_mut(name).unwrap();
    *dtype = Dtype::I8;
    data.truncate(16);
    assert!(parts.refusal().contains("vae.conv2.weight.scale is missing"));
    let scale = 0.5f32.to_le_bytes().repeat(4);
    parts
        .tensors
        .insert(format!("{name}.scale"), (Dtype::F32, vec![4], scale));
    parts.load().unwrap();
    let short = 0.5f32.to_le_bytes().repeat(3);
    parts
        .tensors
        .insert(format!("{name}.scale"), (Dtype::F32, vec![3], short));
    assert!(parts.refusal().contains("must be 4 f32 values"));
}

#[cfg(feature = "embedded-bundle")]
#[test]
fn the_embedded_model_is_the_shipped_one() {
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models");
    let file = std::fs::read(models.join("default.safetensors")).unwrap();
    let dtype = latentbit_codec::Dtype::F32;
    let bundle = Bundle::embedded(&latentbit_codec::Device::Cpu, dtype).unwrap();
    assert_eq!(bundle.id.sha256, <[u8; 32]>::from(Sha256::digest(&file)));
    assert!(bundle.tokenizer.is_some());
    let file = std::fs::read(models.join("default-predictor.safetensors")).unwrap();
    let predictor = latentbit_codec::Predictor::embedded(&bundle, dtype).unwrap();
    assert_eq!(
        predictor.unwrap().sha256(),
        <[u8; 32]>::from(Sha256::digest(&file))
    );
}

#[test]
fn half_of_a_model_does_half_of_the_work() {
    let open = |halves| {
        Bundle::open_with(
            path(),
            halves,
            &latentbit_codec::Device::Cpu,
            latentbit_codec::Dtype::F32,
        )
        .unwrap()
    };
    let [both, encoder, decoder] = [Halves::Both, Halves::Encoder, Halves::Decoder].map(open);
    let [_, rows, columns] = both.vae.strides();
    let (height, width) = (2 * rows, 2 * columns);
    let values = (0..height * width * 3)
        .map(|i| (i % 17) as f32 / 8.5 - 1.0)
        .collect();
    let frame = Volume::new(&[1, height, width, 3], values).unwrap();
    let encode = |bundle: &Bundle| {
        let latent = bundle.vae.encode(&frame, &mut EncoderState::default())?;
        let tokens = bundle.tokenizer()?.encode(&latent)?;
        Ok::<_, Error>((latent, tokens))
    };
    let (latent, tokens) = encode(&both).unwrap();
    assert_eq!(encode(&encoder).unwrap().1, tokens);
    let decode = |bundle: &Bundle| {
        let size = [1, 2, 2];
        let latent = bundle.tokenizer()?.decode(&tokens, size)?;
        let frames = bundle.vae.decode(&latent, &mut DecoderState::default())?;
        Ok::<_, Error>(frames)
    };
    assert_eq!(decode(&decoder).unwrap(), decode(&both).unwrap());
    let reason = |result: Result<()>| match result {
        Err(Error::Bundle { reason }) => reason,
        other => panic!("{other:?}"),
    };
    assert!(reason(encode(&decoder).map(drop)).contains("without its encoders"));
    assert!(reason(decode(&encoder).map(drop)).contains("without its decoders"));
    let decoded = encoder.vae.decode(&latent, &mut DecoderState::default());
    assert!(reason(decoded.map(drop)).contains("without its decoders"));
}

#[test]
fn the_other_half_must_be_there_too() {
    let mut parts = Parts::read();
    parts.tensors.remove("vae.decoder.conv1.weight").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), parts.bytes()).unwrap();
    let reason = refusal(Bundle::open_with(
        file.path(),
        Halves::Encoder,
        &latentbit_codec::Device::Cpu,
        latentbit_codec::Dtype::F32,
    ));
    assert!(reason.contains("vae.decoder.conv1.weight is missing"), "{reason}");
}
