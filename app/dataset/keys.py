"""Where everything lies in the object store. The one place that spells a key."""

from collections.abc import Iterable

from app.dataset import products

MODELS = "models/"
MATCHERS = "matchers/"
CALIBRATIONS = "calibrations/"
CURVES = "curves/"
UNFINISHED = "unfinished/"
TENANTS = "tenants/"
RETENTION = "retention.json"
"""When retention last looked, by its own clock; written to learn what time it is for the store."""
UNFINISHED_EVALUATIONS = "unfinished-evaluations/"
UPLOADS = "uploads/"
MARKING = "marking.json"
"""What samples can be marked with, as the workers published it."""
API_KEYS = "api-keys/"
STOPPED_BOOTS = "stopped-boots/"
API_KEYS_USED = "api-keys-used/"
SESSIONS = "sessions/"
WEBHOOKS = "webhooks/"
WEBHOOK_EVENTS = "webhook-events/"

SERVICE = "_service"
"""Whose calibrations are: a model's, and no tenant's (no tenant can have this name)."""


def stopped_boot(boot: str) -> str:
    """Marker of a worker's boot that ended in order."""
    return f"{STOPPED_BOOTS}{boot}"


def model_card(name: str) -> str:
    """Card of a published model."""
    return f"{MODELS}{name}/card.json"


def model_sweep(name: str) -> str:
    """Picture of a published model: the same latents at one scale after another."""
    return f"{MODELS}{name}/sweep.png"


def matcher_card(name: str) -> str:
    """Card of a published matcher."""
    return f"{MATCHERS}{name}.json"


def default_model() -> str:
    """Which model `default` means, as the workers published it."""
    return "default-model.json"


def api_key(key_id: str) -> str:
    """Record of an API key: tenant and hash, never the key."""
    return f"{API_KEYS}{key_id}.json"


def api_key_used(key_id: str) -> str:
    """When an API key was last used; apart from its record, so that writing it never brings back a revoked key."""
    return f"{API_KEYS_USED}{key_id}.json"


def webhook(tenant: str) -> str:
    """Where a tenant's webhook leads, and what it is signed with."""
    return f"{WEBHOOKS}{tenant}.json"


def webhook_telling(tenant: str) -> str:
    """How telling a tenant's server goes."""
    return f"webhooks-telling/{tenant}.json"


def webhook_event(tenant: str, subject: str) -> str:
    """What a tenant's server is to be told of a subject; with "" the prefix of all of it."""
    return f"{WEBHOOK_EVENTS}{tenant}/{subject}"


def calibration_asked(tenant: str, calibration: str) -> str:
    """Mark that a tenant asked for a calibration; with "" the prefix of all its marks."""
    return f"calibrations-asked/{tenant}/{calibration}"


def sessions(key_id: str) -> str:
    """Prefix of the browsers' sessions that an API key began, and of its invitations."""
    return f"{SESSIONS}{key_id}/"


def session(key_id: str, digest: str) -> str:
    """Until when a session lasts (SHA-256 of its cookie)."""
    return f"{sessions(key_id)}{digest}.json"


def invitation(key_id: str, digest: str) -> str:
    """Until when an invitation holds (SHA-256 of its secret)."""
    return f"{sessions(key_id)}invitation-{digest}.json"


def datasets(tenant: str) -> str:
    """Prefix of a tenant's datasets; of the calibrations, where it is the service's own."""
    return CALIBRATIONS if tenant == SERVICE else f"tenants/{tenant}/datasets/"


def curve(digest: str) -> str:
    """Prefix of what calibrations measured along one curve."""
    return f"{CURVES}{digest}/"


def curve_point(prefix: str, scale: float) -> str:
    """Templates of all samples at one scale of a curve (.npz); scales have four decimals."""
    return f"{prefix}{scale:.4f}.npz"


def scale_in(key: str) -> float:
    """The scale in the key of a curve's point."""
    return float(key.rpartition("/")[2].removesuffix(".npz"))


def idempotency(tenant: str, digest: str) -> str:
    """What was made under an Idempotency-Key (its SHA-256)."""
    return f"tenants/{tenant}/idempotency/{digest}.json"


def releases(tenant: str) -> str:
    """Prefix of a tenant's releases."""
    return f"tenants/{tenant}/releases/"


def released_content(tenant: str, digest: str) -> str:
    """Prefix of the names and versions (`NAME/VERSION`) under which content with this digest was released."""
    return f"tenants/{tenant}/released-content/{digest}/"


def audit(tenant: str) -> str:
    """Prefix of a tenant's audit log."""
    return f"tenants/{tenant}/audit/"


def audit_entry(tenant: str, entry: str) -> str:
    """One entry of the log; entries' ids sort from the newest to the oldest."""
    return f"{audit(tenant)}{entry}.json"


def preview(tenant: str, digest: str) -> str:
    """A contact sheet made for a preview request (digest over request and model)."""
    return f"tenants/{tenant}/previews/{digest}.png"


def unfinished(tenant: str, dataset: str) -> str:
    """Marker of a dataset that still has work to do."""
    return f"{UNFINISHED}{tenant}/{dataset}"


def evaluations(tenant: str) -> str:
    """Prefix of a tenant's evaluations."""
    return f"tenants/{tenant}/evaluations/"


def evaluations_of(tenant: str, what: str) -> str:
    """Prefix of the ids of evaluations of something: `dataset/ID/`, `release/NAME/` or `release/NAME/VERSION/`."""
    return f"tenants/{tenant}/evaluations-of/{what}"


def unfinished_evaluation(tenant: str, evaluation: str) -> str:
    """Marker of an evaluation that still has work to do."""
    return f"{UNFINISHED_EVALUATIONS}{tenant}/{evaluation}"


class EvaluationKeys:
    """Keys of one evaluation."""

    def __init__(self, tenant: str, evaluation: str) -> None:
        self.prefix = f"{evaluations(tenant)}{evaluation}/"
        self.request = f"{self.prefix}request.json"
        self.failed = f"{self.prefix}failed.json"
        self.result = f"{self.prefix}result.json"
        self.compared = f"{self.prefix}compared.npz"
        self.junit = f"{self.prefix}junit.xml"
        self.markdown = f"{self.prefix}summary.md"
        self.det = f"{self.prefix}det.svg"
        self.galleries = f"{self.prefix}galleries.svg"
        self.rank_one = f"{self.prefix}rank-one.svg"
        self.page = f"{self.prefix}report.html"
        self.attempts = f"{self.prefix}attempts/"


class UploadKeys:
    """Keys of one upload, called by the SHA-256 of its bytes."""

    def __init__(self, tenant: str, digest: str) -> None:
        self.prefix = f"{UPLOADS}{tenant}/{digest}/"
        self.record = f"{self.prefix}record.json"
        self.kept = f"{self.prefix}kept"
        self.users = f"{self.prefix}users/"

    def data(self, mark: str) -> str:
        """The bytes; `mark` tells one attempt at sending them from another."""
        return f"{self.prefix}data-{mark}"

    def user(self, evaluation: str) -> str:
        """What keeps the bytes until an evaluation has ended."""
        return f"{self.users}{evaluation}"


# What one dataset has below its prefix where its phases look for it; {} is a part's name.
SURVEY = "surveys/{}.npy"
IDENTITIES = "identities.json"
CALIBRATION_STEP = "calibration/{}/step.json"
CALIBRATION_PART = "calibration/{}.npz"
SHARD_REPORT = "shards/{}/report.json"
JUDGEMENT = "judgements/{}.npz"
LAYOUT = "layouts/{}"
LAID_ASIDE = "closing/manifest.json"
MANIFEST = products.MANIFEST.file
THUMBNAILS = products.THUMBNAILS.file


def numbered(numbers: Iterable[int]) -> list[str]:
    """Names of shards, survey blocks or steps by their numbers, from 0: they sort as the numbers do."""
    return [f"{number:06d}" for number in numbers]


class DatasetKeys:
    """Keys of one dataset."""

    def __init__(self, tenant: str, dataset: str) -> None:
        self.prefix = f"{datasets(tenant)}{dataset}/"
        self.request = f"{self.prefix}request.json"
        self.plan = f"{self.prefix}plan.json"
        self.cancelled = f"{self.prefix}cancelled.json"
        self.failed = f"{self.prefix}failed.json"
        self.identities = f"{self.prefix}{IDENTITIES}"
        self.choosing = f"{self.prefix}choosing.npz"
        self.calibration = f"{self.prefix}calibration.json"
        self.calibration_steps = f"{self.prefix}calibration/"
        self.curve = f"{self.prefix}curve/"
        self.judgements = f"{self.prefix}judgements/"
        self.report = self.product(products.REPORT)
        self.report_page = self.product(products.REPORT_PAGE)
        self.layouts = f"{self.prefix}layouts/"
        self.all_landmarks = f"{self.prefix}landmarks/"
        self.comparisons = self.product(products.COMPARISONS)
        self.contact_sheet = self.product(products.CONTACT_SHEET)
        self.templates = self.product(products.TEMPLATES)
        self.data_card = self.product(products.DATA_CARD)
        self.provenance = self.product(products.PROVENANCE)
        self.croissant = self.product(products.CROISSANT)
        self.laid_aside = f"{self.prefix}{LAID_ASIDE}"
        self.summary = f"{self.prefix}summary.json"
        self.manifest = self.product(products.MANIFEST)
        self.surveys = f"{self.prefix}surveys/"
        self.shards = f"{self.prefix}shards/"
        self.all_attempts = f"{self.prefix}attempts/"
        self.pins = f"{self.prefix}pins/"
        self.all_asked = f"{self.prefix}asked/"

    def asked(self, tenant: str) -> str:
        """Mark that a tenant asked for a calibration, and has not taken it back."""
        return f"{self.all_asked}{tenant}"

    def product(self, product: products.Product) -> str:
        """One of its products."""
        return f"{self.prefix}{product.file}"

    def pin(self, name: str, version: str, mark: str) -> str:
        """What keeps the objects for a release; `mark` tells one attempt at making the release from another."""
        return f"{self.pins}{name}/{version}/{mark}"

    def survey(self, block: int) -> str:
        """Templates of a block of identities (.npy, float32)."""
        return self._part(SURVEY, block)

    def calibration_step(self, step: int) -> str:
        """Which scale a step of the calibration tries."""
        return self._part(CALIBRATION_STEP, step)

    def calibration_part(self, step: int, shard: int) -> str:
        """Templates of a shard's samples at that scale (.npz)."""
        return self._part(CALIBRATION_PART, step, shard)

    def judgement(self, shard: int) -> str:
        """Templates and qualities of a shard's judged samples (.npz)."""
        return self._part(JUDGEMENT, shard)

    def layout(self, name: str) -> str:
        """The archive of a layout; written last of all that belongs to it."""
        return self.prefix + LAYOUT.format(name)

    def layout_failed(self, name: str) -> str:
        """Why a layout of a succeeded dataset could not be made; must not lie among those that are made."""
        return f"{self.prefix}layout-failures/{name}.json"

    def landmarks(self, shard: int) -> str:
        """The five points of the faces in a shard's samples (.npz)."""
        return f"{self.all_landmarks}{shard:06d}.npz"

    def shard_samples(self, shard: int) -> str:
        """The shard's samples, as an uncompressed tar."""
        return f"{self.shards}{shard:06d}/samples.tar"

    def shard_templates(self, shard: int) -> str:
        """Templates of the shard's samples (.npz), where they are all that is kept of them."""
        return f"{self.shards}{shard:06d}/templates.npz"

    def shard_report(self, shard: int) -> str:
        """What the shard holds; written last."""
        return self._part(SHARD_REPORT, shard)

    def thumbnails(self, shard: int) -> str:
        """Small pictures of the shard's samples, on one sheet; written before its report."""
        return self._part(THUMBNAILS, shard)

    def attempts(self, task: str) -> str:
        """Prefix of the markers that count how often a task was begun (`generate_shard-000012`)."""
        return f"{self.all_attempts}{task}/"

    def _part(self, stored: str, *numbers: int) -> str:
        return self.prefix + stored.format("/".join(numbered(numbers)))


class ReleaseKeys:
    """Keys of one release; its samples lie where its dataset has them."""

    def __init__(self, tenant: str, name: str, version: str) -> None:
        self.prefix = f"{releases(tenant)}{name}/{version}/"
        self.record = f"{self.prefix}release.json"
        self.tombstone = f"{self.prefix}withdrawn.json"


def owner_of(unfinished_key: str, prefix: str = UNFINISHED) -> tuple[str, str]:
    """(tenant, id) in the key of a marker of what is unfinished below `prefix`."""
    tenant, subject = unfinished_key[len(prefix) :].split("/")
    return tenant, subject
