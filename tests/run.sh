#!/usr/bin/env bash
# Sets everything up and runs the whole test suite; arguments go to pytest.
#     bash tests/run.sh
#     bash tests/run.sh tests/dataset -k plan
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash deploy/setup.sh test lint
exec "${FACSIMILE_VENV:-.venv}/bin/python" -m pytest "$@"
