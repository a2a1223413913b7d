"""Tools for a machine with a GPU: packing, checking, comparing with PyTorch, and training."""
