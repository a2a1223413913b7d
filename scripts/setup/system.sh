#!/usr/bin/env bash
# Installs missing compilers, libraries and programs for the build and the demo.
set -euo pipefail
cd "$(dirname "$0")"

missing=()

need_command() {
  command -v "$1" >/dev/null || missing+=("$2")
}

need_library() {
  pkg-config --exists "$1" 2>/dev/null || missing+=("$1-dev")
}

# The binding generator needs the library and the compiler's own headers, which are in separate packages.
has_libclang() {
  [[ -n ${LIBCLANG_PATH:-} ]] && return
  compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null &&
    compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' >/dev/null
}

need_command c++ build-essential
need_command pkg-config pkg-config
need_command ffmpeg ffmpeg
need_command strace strace
need_library libavcodec
need_library libavfilter
need_library libavformat
need_library libavutil
need_library libswscale
need_library libswresample
has_libclang || missing+=(libclang-dev)

if ((${#missing[@]})); then
  ./apt.sh "${missing[@]}"
fi
