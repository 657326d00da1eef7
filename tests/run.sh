#!/usr/bin/env bash
# Sets everything up and runs the whole test suite in two processes; arguments go to pytest (-n 0: in one).
#     bash tests/run.sh
#     bash tests/run.sh tests/dataset -k plan
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash deploy/setup.sh test lint
exec "${FACSIMILE_VENV:-.venv}/bin/python" -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@"
