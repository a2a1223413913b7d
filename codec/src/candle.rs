//! From and to the tensors of candle.

use candle_core::{DType, Device, Tensor};

use crate::error::Error;
use crate::volume::Volume;

/// The same values on candle's CPU.
impl TryFrom<Volume> for Tensor {
    type Error = candle_core::Error;

    fn try_from(volume: Volume) -> candle_core::Result<Self> {
        let shape = volume.shape().to_vec();
        Self::from_vec(volume.into_data(), shape, &Device::Cpu)
    }
}

/// As for the volume itself, with a copy of the values.
impl TryFrom<&Volume> for Tensor {
    type Error = candle_core::Error;

    fn try_from(volume: &Volume) -> candle_core::Result<Self> {
        Self::from_slice(volume.data(), volume.shape(), &Device::Cpu)
    }
}

/// The tensor's values as f32, whatever its type and device are: f64 and integers are rounded to the nearest.
impl TryFrom<&Tensor> for Volume {
    type Error = Error;

    fn try_from(tensor: &Tensor) -> Result<Self, Error> {
        let values = tensor
            .to_device(&Device::Cpu)?
            .to_dtype(DType::F32)?
            .flatten_all()?;
        Self::new(tensor.dims(), values.to_vec1()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_and_volumes_are_the_same_values() {
        let data: Vec<f32> = (0..24).map(|at| at as f32 * 0.5).collect();
        let volume = Volume::new(&[2, 3, 1, 4], data).unwrap();
        let tensor = Tensor::try_from(&volume).unwrap();
        assert_eq!(tensor.dims(), volume.shape());
        assert_eq!(Volume::try_from(&tensor).unwrap(), volume);
        assert_eq!(
            Volume::try_from(&Tensor::try_from(volume.clone()).unwrap()).unwrap(),
            volume
        );
        // What lies in another order, and in another type, is what it stands for.
        let turned = tensor.permute((3, 2, 1, 0)).unwrap();
        let found = Volume::try_from(&turned.to_dtype(DType::F64).unwrap()).unwrap();
        assert_eq!(found.shape(), [4, 1, 3, 2]);
        assert_eq!(found.data()[..3], [0.0, 6.0, 2.0]);
        let halves = Volume::try_from(&tensor.to_dtype(DType::BF16).unwrap()).unwrap();
        assert_eq!(halves, volume);
    }

    #[test]
    fn shapes_that_no_volume_has_are_refused() {
        let tensor = Tensor::zeros((1, 1, 1, 1, 1, 2), DType::F32, &Device::Cpu).unwrap();
        assert!(matches!(Volume::try_from(&tensor), Err(Error::Shape { .. })));
        let point = Tensor::new(3f32, &Device::Cpu).unwrap();
        assert_eq!(Volume::try_from(&point).unwrap().data(), [3.0]);
    }
}
