"""C2PA: a signed manifest for every sample, in its file or beside it, and what a reader makes of one.

The manifest says that the sample was created (`c2pa.created`), whether by a model that was trained or by formula, by
which model, and as which sample of which dataset. It is bound to the file's bytes: every later change of them is seen.
"""

import functools
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import c2pa

from app.dataset.source_type import source_type_uri
from app.errors import Corrupt, FacsimileError, Misconfigured
from workers.images import SOFTWARE, Mark
from workers.provenance.certificate import Credentials

SAMPLE_ASSERTION = "org.facsimile.sample"
"""Label of our own assertion: dataset, sample, model."""

SUFFIX = ".c2pa"
MEDIA_TYPE = "application/c2pa"

State = Literal["trusted", "valid", "invalid", "absent"]
"""trusted: unchanged, and signed by whom we trust; valid: unchanged, signed by somebody; invalid: changed or broken."""

# No thumbnail (a sample is small, and its own), and no check of what was signed a moment ago: that costs as much again.
_SIGNING: dict[str, Any] = {"verify": {"verify_after_sign": False}, "builder": {"thumbnail": {"enabled": False}}}


class SigningFailed(FacsimileError):
    """The C2PA library refused to sign."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a reader says of one file's manifest."""

    state: State
    signer: str = ""
    dataset: str = ""
    sample: str = ""
    source_type: str = ""
    reasons: tuple[str, ...] = ()
    """Why it is invalid, or not trusted; codes of the C2PA specification."""


class Signer:
    """Signs files. To be made in the process that uses it; its threads may share it."""

    def __init__(self, credentials: Credentials) -> None:
        """Raises Misconfigured for a certificate that C2PA does not allow."""
        try:
            self._context = c2pa.Context.from_dict(_SIGNING)
            self._signer = c2pa.Signer.from_info(
                c2pa.C2paSignerInfo(
                    credentials.algorithm,
                    credentials.chain.encode(),
                    credentials.key.encode(),
                    credentials.timestamp_url,
                )
            )
        except c2pa.C2paError as exc:
            raise Misconfigured(f"the C2PA certificate cannot be used: {exc}") from exc

    def embed(self, data: bytes, media_type: str, mark: Mark) -> bytes:
        """The file with a signed manifest in it; its pixels and other metadata stay as they are."""
        out = io.BytesIO()
        self._sign(data, media_type, mark, out)
        return out.getvalue()

    def detach(self, data: bytes, media_type: str, mark: Mark) -> bytes:
        """A signed manifest to lie beside the file, whose bytes stay as they are."""
        return self._sign(data, media_type, mark, None)

    def _sign(self, data: bytes, media_type: str, mark: Mark, out: io.BytesIO | None) -> bytes:
        try:
            builder = c2pa.Builder(claim(mark, media_type), self._context)
            if out is None:
                builder.set_no_embed()
            signed: bytes = builder.sign(self._signer, media_type, io.BytesIO(data), out or io.BytesIO())
        except c2pa.C2paError as exc:
            raise SigningFailed(f"sample {mark.sample} could not be signed: {exc}") from exc
        return signed


def claim(mark: Mark, media_type: str) -> dict[str, Any]:
    """What is said of one sample, as the C2PA library takes it."""
    created = {
        "action": "c2pa.created",
        "digitalSourceType": source_type_uri(mark.source_type),
        "softwareAgent": {"name": f"{SOFTWARE}, model {mark.model}", "version": mark.model_digest},
    }
    about = {
        "dataset": mark.dataset,
        "sample": mark.sample,
        "model": mark.model,
        "model_digest": mark.model_digest,
    }
    return {
        "claim_generator_info": [{"name": SOFTWARE}],
        "title": mark.sample,
        "format": media_type,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
            {"label": SAMPLE_ASSERTION, "data": about},
        ],
    }


class Checker:
    """Reads manifests and holds them against their files; nothing is fetched from a network."""

    def __init__(self, trusted: str | None = None) -> None:
        """`trusted` are the certificates (PEM) of authorities that are trusted; None trusts nobody."""
        settings: dict[str, Any] = {"verify": {"ocsp_fetch": False, "remote_manifest_fetch": False}}
        if trusted is not None:
            settings["trust"] = {"trust_anchors": trusted}
        self._context = c2pa.Context.from_dict(settings)

    def check(self, data: bytes, media_type: str, manifest: bytes | None = None) -> Finding:
        """Check a file against the manifest in it, or against one that lay beside it."""
        try:
            reader = c2pa.Reader.try_create(media_type, io.BytesIO(data), manifest, self._context)
            if reader is None:
                return Finding(state="absent")
            with reader:
                store = json.loads(reader.json())
        except c2pa.C2paError as exc:
            return Finding(state="invalid", reasons=(str(exc),))
        return _finding(store)


def check_file(path: Path, trusted: str | None = None) -> Finding:
    """Check one sample's file, with SAMPLE.c2pa beside it if that is there; raises Corrupt if it cannot be read."""
    beside = path.with_suffix(SUFFIX)
    try:
        manifest = beside.read_bytes() if beside.exists() else None
        data = path.read_bytes()
    except OSError as exc:
        raise Corrupt(f"{path} cannot be read: {exc.strerror}") from exc
    return _checker(trusted).check(data, "image/png" if path.suffix == ".png" else "image/jpeg", manifest)


def state_of_file(path: Path, trusted: str | None = None) -> str:
    """The C2PA state of a sample's file; without certificates to trust it is at best `valid`."""
    return check_file(path, trusted).state


@functools.lru_cache(1)
def _checker(trusted: str | None) -> Checker:
    return Checker(trusted)


def _finding(store: dict[str, Any]) -> Finding:
    states: dict[str, State] = {"Trusted": "trusted", "Valid": "valid"}
    active = store["manifests"][store["active_manifest"]]
    assertions = {item["label"]: item["data"] for item in active.get("assertions", ())}
    about = assertions.get(SAMPLE_ASSERTION, {})
    actions = assertions.get("c2pa.actions.v2", {}).get("actions", [{}])
    return Finding(
        state=states.get(str(store.get("validation_state")), "invalid"),
        signer=str((active.get("signature_info") or {}).get("common_name", "")),
        dataset=str(about.get("dataset", "")),
        sample=str(about.get("sample", "")),
        source_type=str(actions[0].get("digitalSourceType", "")),
        reasons=tuple(str(item["code"]) for item in store.get("validation_status", ())),
    )
