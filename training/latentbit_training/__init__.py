"""PyTorch recipes for LatentBit bundles: a Wan-family video VAE and a ViT tokenizer with binary codes."""
