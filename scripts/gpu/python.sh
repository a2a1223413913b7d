# Sourced by the scripts of this folder: finds Python, and the libraries next to PyTorch.
# shellcheck shell=bash
# Sets $python.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
python="${PYTHON:-}"
if [[ -z $python ]]; then
  python=python3
  if [[ -x $root/.venv/bin/python ]]; then python="$root/.venv/bin/python"; fi
fi
export PYTHONPATH="$root/scripts/gpu:$root/scripts/bench:$root/training${PYTHONPATH:+:$PYTHONPATH}"
# Steps are logged when they happen, not when a buffer is full.
export PYTHONUNBUFFERED=1

# cuDNN, cuBLAS and NVRTC are in the wheels next to PyTorch.
libraries="$("$python" -m latentbit_gpu.libraries)"
if [[ -n $libraries ]]; then
  export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
