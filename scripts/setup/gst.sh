#!/usr/bin/env bash
# Installs GStreamer's headers and programs if they are missing.
set -euo pipefail
cd "$(dirname "$0")"

missing=()
pkg-config --exists gstreamer-1.0 2>/dev/null || missing+=(libgstreamer1.0-dev)
pkg-config --exists gstreamer-video-1.0 2>/dev/null || missing+=(libgstreamer-plugins-base1.0-dev)
command -v gst-launch-1.0 >/dev/null || missing+=(gstreamer1.0-tools)
command -v gst-discoverer-1.0 >/dev/null || missing+=(gstreamer1.0-plugins-base-apps)
gst-inspect-1.0 opusdec >/dev/null 2>&1 || missing+=(gstreamer1.0-plugins-base)

if ((${#missing[@]})); then
  ./apt.sh "${missing[@]}"
fi
