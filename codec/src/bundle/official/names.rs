//! What tensors are called in the files of others.

/// How a file names its tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// As a bundle does.
    Bundle,
    /// As the official checkpoints do: a bundle's names without the part before the first dot.
    Official,
    /// As diffusers does.
    Diffusers {
        /// Residual blocks of each of the decoder's stages.
        decoder_blocks: usize,
        /// Residual blocks of each of the encoder's stages.
        encoder_blocks: usize,
    },
}

impl Naming {
    /// The name that the file gives to the tensor `name` of a bundle.
    pub(crate) fn stored(&self, name: &str) -> String {
        let inner = name.strip_prefix("vae.").unwrap_or(name);
        match self {
            Self::Bundle => name.to_owned(),
            Self::Official => inner.to_owned(),
            Self::Diffusers {
                decoder_blocks,
                encoder_blocks,
            } => diffusers(inner, *encoder_blocks, *decoder_blocks),
        }
    }
}

fn diffusers(name: &str, encoder_blocks: usize, decoder_blocks: usize) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let number = |text: &str| text.parse::<usize>().unwrap_or(0);
    let place = match *parts.as_slice() {
        ["conv1", tensor] => return format!("quant_conv.{tensor}"),
        ["conv2", tensor] => return format!("post_quant_conv.{tensor}"),
        [network, "conv1", tensor] => return format!("{network}.conv_in.{tensor}"),
        [network, "head", "0", tensor] => return format!("{network}.norm_out.{tensor}"),
        [network, "head", "2", tensor] => return format!("{network}.conv_out.{tensor}"),
        [network, "middle", "1", ..] => format!("{network}.mid_block.attentions.0"),
        [network, "middle", index, ..] => format!("{network}.mid_block.resnets.{}", number(index) / 2),
        [network, "downsamples", stage, "downsamples", index, ..] => match number(index) {
            index if index < encoder_blocks => format!("{network}.down_blocks.{stage}.resnets.{index}"),
            _ => format!("{network}.down_blocks.{stage}.downsampler"),
        },
        [network, "downsamples", index, ..] => format!("{network}.down_blocks.{index}"),
        [network, "upsamples", stage, "upsamples", index, ..] => match number(index) {
            index if index < decoder_blocks => format!("{network}.up_blocks.{stage}.resnets.{index}"),
            _ => format!("{network}.up_blocks.{stage}.upsampler"),
        },
        [network, "upsamples", index, ..] => {
            // A stage has its blocks and then its change of resolution.
            let (stage, index) = (
                number(index) / (decoder_blocks + 1),
                number(index) % (decoder_blocks + 1),
            );
            if index < decoder_blocks {
                format!("{network}.up_blocks.{stage}.resnets.{index}")
            } else {
                format!("{network}.up_blocks.{stage}.upsamplers.0")
            }
        }
        _ => return name.to_owned(),
    };
    let inner = match *parts.as_slice() {
        [.., "residual", "0", tensor] => format!("norm1.{tensor}"),
        [.., "residual", "2", tensor] => format!("conv1.{tensor}"),
        [.., "residual", "3", tensor] => format!("norm2.{tensor}"),
        [.., "residual", "6", tensor] => format!("conv2.{tensor}"),
        [.., "shortcut", tensor] => format!("conv_shortcut.{tensor}"),
        [.., "resample", layer, tensor] => format!("resample.{layer}.{tensor}"),
        [.., layer, tensor] => format!("{layer}.{tensor}"),
        _ => String::new(),
    };
    format!("{place}.{inner}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_diffusers() {
        let naming = Naming::Diffusers {
            encoder_blocks: 2,
            decoder_blocks: 3,
        };
        for (ours, theirs) in [
            ("vae.conv1.weight", "quant_conv.weight"),
            ("vae.conv2.bias", "post_quant_conv.bias"),
            ("vae.encoder.conv1.weight", "encoder.conv_in.weight"),
            ("vae.decoder.head.0.gamma", "decoder.norm_out.gamma"),
            ("vae.decoder.head.2.bias", "decoder.conv_out.bias"),
            (
                "vae.encoder.middle.2.residual.3.gamma",
                "encoder.mid_block.resnets.1.norm2.gamma",
            ),
            (
                "vae.decoder.middle.1.to_qkv.weight",
                "decoder.mid_block.attentions.0.to_qkv.weight",
            ),
            (
                "vae.decoder.middle.1.norm.gamma",
                "decoder.mid_block.attentions.0.norm.gamma",
            ),
            (
                "vae.encoder.downsamples.3.shortcut.weight",
                "encoder.down_blocks.3.conv_shortcut.weight",
            ),
            (
                "vae.encoder.downsamples.5.time_conv.bias",
                "encoder.down_blocks.5.time_conv.bias",
            ),
            (
                "vae.encoder.downsamples.2.resample.1.weight",
                "encoder.down_blocks.2.resample.1.weight",
            ),
            (
                "vae.decoder.upsamples.3.time_conv.weight",
                "decoder.up_blocks.0.upsamplers.0.time_conv.weight",
            ),
            (
                "vae.decoder.upsamples.4.residual.2.weight",
                "decoder.up_blocks.1.resnets.0.conv1.weight",
            ),
            (
                "vae.decoder.upsamples.1.upsamples.3.resample.1.bias",
                "decoder.up_blocks.1.upsampler.resample.1.bias",
            ),
            (
                "vae.encoder.downsamples.1.downsamples.2.time_conv.bias",
                "encoder.down_blocks.1.downsampler.time_conv.bias",
            ),
            (
                "vae.encoder.downsamples.1.downsamples.0.residual.6.bias",
                "encoder.down_blocks.1.resnets.0.conv2.bias",
            ),
        ] {
            assert_eq!(naming.stored(ours), theirs);
        }
        assert_eq!(Naming::Official.stored("vae.conv1.bias"), "conv1.bias");
        assert_eq!(Naming::Bundle.stored("vae.conv1.bias"), "vae.conv1.bias");
    }
}
