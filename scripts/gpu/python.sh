# Sourced by the scripts of this folder: finds Python, and makes programs find what lies beside PyTorch.
# shellcheck shell=bash
# $python is what it takes from here.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
python="${PYTHON:-}"
if [[ -z $python ]]; then
  python=python3
  if [[ -x $root/.venv/bin/python ]]; then python="$root/.venv/bin/python"; fi
fi
export PYTHONPATH="$root/scripts/gpu:$root/scripts/bench:$root/training${PYTHONPATH:+:$PYTHONPATH}"
# Logs of steps come when they happen, and not when a buffer is full.
export PYTHONUNBUFFERED=1

# cuDNN, cuBLAS and NVRTC lie in the wheels beside PyTorch.
libraries="$("$python" -m latentbit_gpu.libraries)"
if [[ -n $libraries ]]; then
  export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
