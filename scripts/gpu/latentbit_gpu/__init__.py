"""What runs on a machine with a GPU: packing, checking, measuring beside PyTorch, and training."""
