#!/usr/bin/env bash
# Everything that needs a GPU, in one command: the gpu tests, then real trainings and profiles, timed.
# usage: benchmarks/gpu_check.sh     writes benchmarks/gpu_check.md and gpu_sheet.md; needs the package's dependencies, but not Snakemake
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
$python -m pytest -q -p no:cacheprovider tests/gpu
$python -m benchmarks.gpu_check --device cuda --models tiny_cnn resnet18 mobilenet_v3_small --resolutions 64 128 224
$python -m benchmarks.gpu_sheet
