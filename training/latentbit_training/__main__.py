"""`python -m latentbit_training` is `latentbit-train`; torchrun starts it so."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
