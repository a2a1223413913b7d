//! Golden tensors as their files hold them (`testdata`).

use std::collections::HashMap;
use std::ops::Index;
use std::path::{Path, PathBuf};

use half::f16;
use latentbit_codec::Volume;
use safetensors::{Dtype, SafeTensors};

/// A file of `testdata/golden`.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../testdata/golden/{name}.safetensors"))
}

/// The tensors of a file.
pub struct Golden(HashMap<String, Tensor>);

/// A tensor of any shape and number type.
pub struct Tensor {
    pub shape: Vec<usize>,
    dtype: Dtype,
    data: Vec<u8>,
}

impl Golden {
    pub fn load(path: impl AsRef<Path>) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap().tensors().into_iter();
        let tensors = tensors.map(|(name, view)| {
            let tensor = Tensor {
                shape: view.shape().to_vec(),
                dtype: view.dtype(),
                data: view.data().to_vec(),
            };
            (name, tensor)
        });
        Self(tensors.collect())
    }

    /// What is called `name`, as f32.
    pub fn volume(&self, name: &str) -> Volume {
        Volume::new(&self[name].shape, self[name].floats()).unwrap()
    }
}

impl Index<&str> for Golden {
    type Output = Tensor;

    fn index(&self, name: &str) -> &Tensor {
        self.0.get(name).unwrap_or_else(|| panic!("no tensor {name}"))
    }
}

impl Tensor {
    pub fn floats(&self) -> Vec<f32> {
        match self.dtype {
            Dtype::F32 => self.words().map(f32::from_le_bytes).collect(),
            Dtype::F16 => self
                .words()
                .map(|word| f16::from_le_bytes(word).to_f32())
                .collect(),
            Dtype::U8 => self.data.iter().copied().map(f32::from).collect(),
            other => panic!("{other:?} is not f32"),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        assert_eq!(self.dtype, Dtype::U8);
        &self.data
    }

    pub fn integers(&self) -> Vec<i64> {
        assert_eq!(self.dtype, Dtype::I64);
        self.words().map(i64::from_le_bytes).collect()
    }

    fn words<const N: usize>(&self) -> impl Iterator<Item = [u8; N]> + '_ {
        self.data.as_chunks::<N>().0.iter().copied()
    }
}
