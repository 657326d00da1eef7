#!/usr/bin/env bash
# For whoever has an NVIDIA GPU: what it makes of the models, in at most twelve minutes, into gpu-check.json.
#
#   FACSIMILE_TORCH=gpu bash deploy/setup.sh && bash deploy/gpu-check.sh [options of tests/bench/bench_gpu.py]
#
# Pixels against the CPU's, images a second by batch, end to end over that, memory, a training step. Ends with 1 where
# pixels are not within 1 of 255 on 99.99% of values. Nothing leaves the machine.
set -euo pipefail

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
PYTHON="${FACSIMILE_VENV:-$HERE/.venv}/bin/python"

if [ "$#" -eq 0 ]; then
  "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || {
    echo "gpu-check: torch finds no CUDA device; install its CUDA build (FACSIMILE_TORCH=gpu bash deploy/setup.sh)" >&2
    exit 2
  }
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || true
fi
exec timeout 720 "$PYTHON" "$HERE/tests/bench/bench_gpu.py" --out gpu-check.json "$@"
