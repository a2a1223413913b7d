#!/usr/bin/env bash
# Puts the middle frame of two videos side by side. Usage: side_by_side.sh LEFT RIGHT OUTPUT.png
set -euo pipefail

left=$1 right=$2 output=$3

frames=$(ffprobe -v error -select_streams v:0 -count_packets -show_entries stream=nb_read_packets \
  -of default=noprint_wrappers=1:nokey=1 "$right" | head -n 1)
middle=$((frames / 2))

# Both sides to RGB first: hstack needs one pixel format.
pick="select=eq(n\,$middle),setpts=0,format=rgb24"
ffmpeg -v error -y -i "$left" -i "$right" \
  -filter_complex "[0:v:0]${pick}[l];[1:v:0]${pick}[r];[l][r]hstack" -frames:v 1 "$output"
