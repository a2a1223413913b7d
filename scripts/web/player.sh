#!/usr/bin/env bash
# Builds the page web/player into web/player/dist. The networks are exported by latentbit-train, anew when the built-in model
# has changed.
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${PYTHON:-.venv/bin/python}
bundle=models/default.safetensors
models=web/player/public/models

for dtype in f32 f16; do
  folder=$models/$dtype-int8
  if ! [[ $folder/networks.json -nt $bundle ]]; then
    made=$(mktemp -d)
    PYTHONPATH=training "$python" -m latentbit_training export-onnx "$bundle" "$made" --dtype "$dtype" --storage int8
    mkdir -p "$folder"
    # A page only decodes.
    mv "$made"/*-decoder.onnx "$folder"
    # Last: its time says that the others are there.
    mv "$made/networks.json" "$folder"
    rm -r "$made"
  fi
done

cd web/player
../node_modules/.bin/tsc
../node_modules/.bin/vite build --logLevel warn
