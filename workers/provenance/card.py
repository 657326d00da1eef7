"""The data card: what a set is, what it is for and not for, how it was made, where it comes from. Markdown for people,
with a YAML head for those who collect data sets (Hugging Face reads it).
"""

import json
from typing import Any

from app.dataset.manifest import ChecksMade, Summary
from app.dataset.model import ModelCard
from app.dataset.products import TEMPLATES, Kind
from app.dataset.report import Listed
from workers.provenance.chain import corpus_digest
from workers.provenance.licence import licence_urls, spdx

Facts = list[tuple[str, str]]
"""Name and value, in the order in which they are to be read."""

USES = (
    "non-regression tests of a matcher, version against version",
    "load tests and integration tests of identification systems",
    "comparing algorithms on the same comparisons",
    "enlarging a gallery with distractors",
)
MISUSES = (
    "setting a threshold for operation: non-mated scores of synthetic faces run higher than those of photographs",
    "stating error rates of a matcher on real people",
    "training a face-recognition model: the set is made for tests",
    "passing an image off as a photograph of somebody",
)
LIMITS = (
    "Synthetic images vary less than photographs; what is extrapolated to large galleries is uncertain.",
    "Identity and observation are not perfectly disentangled: some mated pairs look less alike than one person does.",
    "Attributes are what the model was asked to draw, not what an observer would say.",
)
BIASES = (
    "The subjects are as the request distributed them, and else as the model's latents fall; they are no population.",
    "Sex and skin tone have the few values that the model has, and age its range.",
)
NO_PERSON = "Every face was generated and none is a photograph; sex, age and skin tone are those asked of the model."

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def facts(summary: Summary, report: dict[str, Any], card: ModelCard) -> Facts:
    """What a reader wants to know first: for the card, and for a page that shows the report."""
    counts, request, synthetic = summary.counts, summary.request, summary.synthetic
    found: Facts = [
        ("Dataset", f"{summary.dataset} ({summary.name})"),
        ("Made", summary.created_at),
        ("Subjects", f"{counts.subjects:,}, and {counts.distractors:,} distractors"),
        ("Samples", f"{counts.samples:,} of {summary.asked.samples:,} asked for"),
        ("Licence", licence_of(card)),
        ("Model", f"{card.name} {card.version}, {summary.model.digest}"),
        ("Weights", weights_text(card)),
        ("Trained on", corpus_text(card)),
        ("Where the model comes from", card.provenance),
        ("Seed", str(summary.seed)),
        ("Variability σ", ", ".join(f"{name} {sigma:g}" for name, sigma in summary.sigma.items())),
        *_truncation(summary),
        ("Attributes asked for", _asked(request.get("attributes"))),
        *_attributes_seen(card),
        ("Checks", _checks(summary.checks)),
        ("Comparisons", _comparisons(summary.comparisons)),
        *_kept(summary),
        ("Marks", marks_text(synthetic.c2pa, synthetic.watermark, kind=summary.kind)),
        ("Digest of all pixels", summary.digests.pixels),
        ("Digest of all files", summary.digests.files),
    ]
    contract = report.get("contract")
    if contract and contract.get("note"):
        found.append(("Difficulty by contract", contract["note"]))
    return found


def _attributes_seen(card: ModelCard) -> Facts:
    """What is known of attributes that a scorer gave to a model."""
    found: Facts = []
    for name, attribute in card.attributes.items():
        seen = (attribute.model_extra or {}).get("measured")
        if isinstance(seen, dict) and "as_asked_above" in seen:
            agrees = f"the scorer agrees in {seen['as_asked_above']:.1%} above, {seen['as_asked_below']:.1%} below"
            found.append((f"Attribute {name}", f"of {seen['drawn']} conditioned draws {agrees}"))
    return found


def _truncation(summary: Summary) -> Facts:
    return [] if summary.truncation is None else [("Truncation ψ of identities", f"{summary.truncation:g}")]


def licence_of(card: ModelCard) -> str:
    """The licence that samples of the model come under, as an SPDX expression."""
    return spdx(card.licence)


def weights_text(card: ModelCard) -> str:
    """Digest of a model's weights, or that it has none."""
    return card.weights.sha256 if card.weights else "none: the model is code only"


def corpus_text(card: ModelCard) -> str:
    """Digest of what a model was trained on, or why there is none."""
    if digest := corpus_digest(card):
        return f"corpus {digest}"
    return "nothing: drawn by formula" if card.weights is None else "its card does not say by digest"


def _kept(summary: Summary) -> Facts:
    """What is kept of samples whose images are not."""
    kept = summary.templates
    if kept is None:
        return []
    text = f"{kept.dimensions} numbers a sample by {kept.matcher}, {kept.matcher_digest}; no image was kept"
    return [("Templates", text), ("Samples without a template", f"{kept.failed:,}")]


def marks_text(c2pa: str | None, watermark: str | None, kind: Kind = "images") -> str:
    """What marks a set's samples; `watermark` is the id of its key."""
    if kind == "templates":
        return f"the array `synthetic` in {TEMPLATES.file}"
    parts = ["metadata in every file"]
    if c2pa:
        parts.append(f"C2PA, {c2pa}")
    if watermark:
        parts.append(f"watermark, key {watermark}")
    return "; ".join(parts)


def data_card(summary: Summary, report: dict[str, Any], card: ModelCard) -> str:
    """The data card; `summary` is the manifest's, `report` what was measured of the set."""
    licence = licence_of(card)
    terms = ", ".join(licence_urls(licence)) or f"the model's own terms: {card.licence}"
    rows = "\n".join(f"| {name} | {_plain(value)} |" for name, value in facts(summary, report, card))
    measured = "\n".join(f"- {line}" for line in report.get("summary", ())) or (
        "- Nothing was judged; see the report." if not report.get("judges") else "- See the report."
    )
    more = [line for line in report.get("limits", ()) if isinstance(line, str)]
    shortfall = _shortfall(summary)
    of = "file" if summary.kind == "images" else "template"
    return f"""{_head(summary, licence)}
# {_plain(summary.name)}

Faces of {summary.counts.subjects:,} people who do not exist, for testing face recognition:
mated samples of each, comparisons, and a digest of every pixel. Made by Facsimile on {summary.created_at[:10]}.

## Facts

| | |
|---|---|
{rows}

## What it is for

{_bullets(USES)}

## What it is not for

{_bullets(MISUSES)}

## How it was made

Every subject is one point in the model's identity space (latent z_I), every sample of it one draw of the observation
latents (z_O), each from a random stream of its own that depends on seed, subject, sample and attempt alone.
What failed a check was drawn again, at most five times; {shortfall} The request, as it was written:

```json
{json.dumps(summary.request, indent=1, ensure_ascii=False, sort_keys=True)}
```

## What was measured

{measured}

## Limits

{_bullets((*LIMITS, *BIASES, *more))}

## People and rights

{NO_PERSON} {_plain(card.provenance)} Licence: {licence} ({terms}).

{_says_so(summary, card)} Do not take that out:
it is what tells these faces from people's.

## Provenance

`manifest.json` lists every sample with the SHA-256 of its {of} and of its pixels; `croissant.json` pins the manifest
and describes the set in the words of Croissant 1.1; `provenance.jsonld` holds the chain from request and training
corpus to this set in the words of PROV-O. Check all of it with `facsimile verify FOLDER`.
"""


def _says_so(summary: Summary, card: ModelCard) -> str:
    """What says that it is synthetic."""
    if summary.kind == "templates":
        return f"The array `synthetic` in `{TEMPLATES.file}` says that the faces were synthetic (IPTC)."
    return f"Every file says that it is synthetic (IPTC `{card.source_type}` in XMP; EXIF; PNG text)."


def _head(summary: Summary, licence: str) -> str:
    """YAML, every text quoted as JSON, which YAML reads."""
    single = len(licence.split()) == 1 and "LicenseRef" not in licence
    size = next((name for limit, name in _SIZES if summary.counts.samples < limit), "n>1M")
    lines = [
        f"pretty_name: {json.dumps(summary.name, ensure_ascii=True)}",
        f"license: {json.dumps(licence.lower() if single else 'other')}",
        *([] if single else [f"license_name: {json.dumps(licence)}"]),
        f"spdx: {json.dumps(licence)}",
        "size_categories:",
        f"- {json.dumps(size)}",
        "tags:",
        *(f"- {tag}" for tag in ("synthetic", "face-recognition", "biometrics", "test-data", "croissant")),
    ]
    return "---\n" + "\n".join(lines) + "\n---\n"


def _asked(attributes: Any) -> str:
    if not attributes:
        return "none: as the model's latents fall"
    return "; ".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in attributes.items())


def _checks(checks: ChecksMade) -> str:
    parts = ["a face is found in every sample"] if checks.face_found else []
    if checks.unique:
        parts.append(f"no two subjects score {checks.unique.threshold:g} or more by {checks.unique.matcher}")
    return "; ".join(parts) or "none"


def _comparisons(listed: Listed | None) -> str:
    return f"{listed.selection}: {listed.mated:,} mated, {listed.non_mated:,} non-mated" if listed else "none"


def _shortfall(summary: Summary) -> str:
    missing = summary.counts.shortfall
    return f"{missing:,} samples could not be made, and the manifest lists them." if missing else "nothing is missing."


def _bullets(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {_plain(line)}" for line in lines)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: names come from users."""
    return "".join(f"\\{char}" if char in "\\`*_[]<>#|" else char for char in " ".join(text.split()))
