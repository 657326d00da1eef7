#!/usr/bin/env bash
# From a fresh checkout to a verified dataset: sets up .venv, starts the service on this machine, makes 20 subjects
# with 5 samples each, downloads them into facsimile-out/, verifies every digest, and stops the service.
#
#   bash deploy/quickstart.sh [options of `facsimile quickstart`, e.g. --subjects 50 --out faces]
#
# What may be set in the environment (FACSIMILE_TORCH=gpu, FACSIMILE_VENV …) stands in deploy/setup.sh.
# Once it is installed, it needs no network; a second run only starts, verifies and stops.
set -euo pipefail

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
VENV="${FACSIMILE_VENV:-$HERE/../.venv}"

bash "$HERE/setup.sh"
exec "$VENV/bin/facsimile" quickstart "$@"
