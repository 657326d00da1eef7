#!/usr/bin/env bash
# A gate for a face matcher: fetch the locked release, run the matcher on it, be told PASS, FAIL or UNDECIDED.
#
#     RELEASE=gate-smoke@1.2.0 BASELINE=accepted/scores.csv MATCHER_COMMAND="python my_matcher.py" bash gate.sh
#
# RELEASE            NAME@VERSION; facsimile.lock in this folder must hold it (facsimile lock NAME@VERSION, committed)
# MATCHER_COMMAND    what scores the comparisons, called with two more arguments: the release's folder, in which it
#                    reads comparisons.csv and samples/, and the score file to write (reference,probe,score).
#                    Left out: 'facsimile match' with the matcher that MATCHER names, by default sface
# BASELINE           score file of the version that was accepted last, of the same comparisons. Left out, and no
#                    MAX_FNMR either: the scores are made, and the gate ends without a verdict (2). Accept those, if
#                    they are good, as the first baseline
# MAX_FNMR_INCREASE  what FNMR may rise by over the baseline: 0.01, or 10% of it             [0.01]
# MAX_FNMR           what FNMR may be at the most, if that is to be judged too
# AT_FMR             at thresholds of this FMR                                               [0.01]
# SOURCE             a folder, .tar or URL to pull from; left out: the service of FACSIMILE_URL and FACSIMILE_API_KEY.
#                    A release that FACSIMILE_CACHE has whole needs neither
# OFFLINE            1: ask nobody; what the cache does not have ends the gate without a verdict
# RESULTS            folder for scores.csv, junit.xml, summary.md, det.svg                   [facsimile-results]
#
# Exits with 0 for PASS and nothing else, 1 for FAIL, 3 for UNDECIDED (the set cannot tell: take one with more
# comparisons), and 2 where there is no verdict: no baseline, a pull that failed, a matcher that ended with an error.
set -euo pipefail

# What has no verdict must not look as if it had failed: FAIL is 1.
no_verdict() {
    printf 'gate: %s\n' "$1" >&2
    exit 2
}

[ -n "${RELEASE:-}" ] || no_verdict "RELEASE names no release; set it, to gate-smoke@1.2.0, say"
results=${RESULTS:-facsimile-results}
data=${DATA:-facsimile-datasets/$RELEASE}
scores=$results/scores.csv
mkdir -p "$results" || no_verdict "there can be no folder $results"

more=()
[ -z "${SOURCE:-}" ] || more+=(--from "$SOURCE")
[ "${OFFLINE:-0}" != 1 ] || more+=(--offline)
facsimile pull "$RELEASE" --locked --out "$data" ${more[@]+"${more[@]}"} || no_verdict "$RELEASE could not be pulled"

if [ -n "${MATCHER_COMMAND:-}" ]; then
    read -ra command <<<"$MATCHER_COMMAND"
    "${command[@]}" "$data" "$scores" || no_verdict "the matcher ended with an error: $MATCHER_COMMAND"
else
    facsimile match "$data" --matcher "${MATCHER:-sface}" --out "$scores" || no_verdict "matching failed"
fi

limits=()
if [ -n "${BASELINE:-}" ] && [ ! -f "$BASELINE" ]; then
    no_verdict "the baseline $BASELINE is not there; scores to accept as the first one are in $scores"
fi
[ -z "${BASELINE:-}" ] || limits+=(--baseline "$BASELINE" --max-fnmr-increase "${MAX_FNMR_INCREASE:-0.01}")
[ -z "${MAX_FNMR:-}" ] || limits+=(--max-fnmr "$MAX_FNMR")

verdict=0
facsimile evaluate --scores "$scores" --dataset "$data" --at-fmr "${AT_FMR:-0.01}" ${limits[@]+"${limits[@]}"} \
    --junit "$results/junit.xml" --markdown "$results/summary.md" --det "$results/det.svg" || verdict=$?

if [ -n "${GITHUB_STEP_SUMMARY:-}" ] && [ -f "$results/summary.md" ]; then
    cat "$results/summary.md" >>"$GITHUB_STEP_SUMMARY" || true
fi
if [ "$verdict" = 0 ] && [ "${#limits[@]}" = 0 ]; then
    no_verdict "nothing was judged: there is no BASELINE and no MAX_FNMR; scores to accept as the first baseline are in $scores"
fi
case $verdict in
    0 | 1 | 3) exit "$verdict" ;;
    *) no_verdict "evaluating ended with $verdict" ;;
esac
