#!/usr/bin/env bash
# Sets everything up and runs the whole test suite; arguments go to pytest.
#     bash tests/run.sh
#     bash tests/run.sh tests/dataset -k plan
#     bash tests/run.sh -n 2 --dist loadfile      in two processes: faster, but tests of faults may be short of time
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash deploy/setup.sh test lint
exec "${FACSIMILE_VENV:-.venv}/bin/python" -m pytest "$@"
