#!/usr/bin/env bash
# Sets everything up and runs the whole test suite; arguments go to pytest.
#     bash tests/run.sh
#     bash tests/run.sh tests/dataset -k plan
# Two processes share the files of tests; `-n 0` runs all of them in one.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash deploy/setup.sh test lint
exec "${FACSIMILE_VENV:-.venv}/bin/python" -m pytest -n 2 --dist loadfile "$@"
