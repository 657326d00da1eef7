"""Croissant 1.1: the set as readers of data sets load it. https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html

Record sets `samples` (every sample with its labels, digests and image) and `comparisons`, over the files of the plain
layout as they lie in a folder. The file pins the manifest and everything beside it by SHA-256, and the manifest pins
the samples: so it is the last document to be made, and the manifest cannot pin it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.dataset.manifest import Summary
from app.dataset.model import ChoiceAttribute, ModelCard, RangeAttribute
from app.dataset.plan import Plan
from app.dataset.products import PROVENANCE
from app.dataset.shard import Shown
from workers.provenance.card import BIASES, LIMITS, MISUSES, NO_PERSON, USES, licence_of
from workers.provenance.chain import corpus_digest, dataset_urn
from workers.provenance.licence import licence_urls

CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
VERSION = "1.0.0"
"""A dataset never changes; releases have versions of their own."""

# The context that the specification prescribes word for word, and PROV-O.
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}

SHOWN = {
    "glasses": "Whether glasses are on the face in this image.",
    "headwear": "Whether a cap covers the hair in this image.",
    "mask": "Whether a face mask covers nose and mouth in this image.",
    "age": "Apparent age in this image, years.",
    "yaw": "Turn of the head to its left, degrees.",
    "pitch": "Nod of the head downwards, degrees.",
    "smile": "-1 (corners of the mouth down) to 1 (a broad smile).",
    "mouth_open": "0 (closed) to 1.",
    "light_side": "From how far aside the brightest light comes, degrees, positive from the subject's left.",
}
"""What is said of each column of what an image shows."""

Node = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class FileFact:
    """A file beside the samples."""

    name: str
    bytes: int
    sha256: str
    media_type: str


def croissant(summary: Summary, plan: Plan, card: ModelCard, files: Iterable[FileFact], shown: Shown | None) -> Node:
    """The set as Croissant; `summary` is the manifest's, `files` are the manifest and all that it pins.

    `shown` is what any sample's row says of what its image shows; which of it there is depends on the model alone.
    """
    listed = list(files)
    name, term = summary.name, plan.model.source_type
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "@id": dataset_urn(plan.dataset),
        "name": name,
        "description": (
            f"Synthetic faces of {summary.counts.subjects} people who do not exist, "
            f"{summary.counts.samples} samples, for testing face recognition. {card.description}"
        ),
        "conformsTo": list(CONFORMS_TO),
        "license": licence_urls(licence_of(card)) or [card.licence],
        "url": dataset_urn(plan.dataset),
        "version": VERSION,
        "datePublished": summary.created_at,
        "dateCreated": summary.created_at,
        "creator": {"@type": "sc:Organization", "name": "Facsimile", "url": "urn:facsimile:software"},
        "digitalSourceType": {"@id": f"sc:{term[0].upper()}{term[1:]}DigitalSource"},  # schema.org's word for IPTC's
        "keywords": ["synthetic", "face recognition", "biometrics", "test data"],
        "citeAs": _cite(summary, plan),
        "isLiveDataset": False,
        "distribution": [*map(_file_object, listed), *_file_sets(plan)],
        "recordSet": [_samples(card, shown), *([_images()] if plan.templates is None else []), _comparisons()],
        **_responsible(summary, card),
        "prov:wasDerivedFrom": [
            {"@id": f"{dataset_urn(plan.dataset)}:plan"},
            {"@id": f"urn:facsimile:model:sha256:{plan.model.digest}"},
        ],
        "prov:wasGeneratedBy": {"@id": f"{dataset_urn(plan.dataset)}:generation"},
        "prov:has_provenance": {"@id": PROVENANCE.file},
    }


def _cite(summary: Summary, plan: Plan) -> str:
    year = summary.created_at[:4]
    return (
        f"@misc{{{plan.dataset}, title = {{Facsimile dataset {plan.dataset}}}, year = {{{year}}}, "
        f"note = {{pixels sha256:{summary.digests.pixels}}}}}"
    )


def _file_object(file: FileFact) -> Node:
    return {
        "@type": "cr:FileObject",
        "@id": file.name,
        "name": file.name,
        "contentUrl": file.name,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": file.media_type.split(";")[0],
        "sha256": file.sha256,
    }


def _file_sets(plan: Plan) -> list[Node]:
    if plan.templates is not None:
        return []
    sets = [("sample-files", "The samples.", plan.image.media_type, plan.image.suffix)]
    if plan.marking.c2pa == "detached":
        sets.append(("c2pa-files", "A signed C2PA manifest for every sample.", "application/c2pa", ".c2pa"))
    return [
        {
            "@type": "cr:FileSet",
            "@id": name,
            "name": name,
            "description": description,
            "encodingFormat": media_type,
            "includes": f"samples/*/*{suffix}",
        }
        for name, description, media_type, suffix in sets
    ]


def _samples(card: ModelCard, shown: Shown | None) -> Node:
    fields = [
        ("id", "sc:Text", "Label of the sample."),
        ("subject", "sc:Text", "Label of the subject: the same on all samples of one."),
        ("role", "sc:Text", "reference (a subject's first sample), probe, or distractor."),
        ("file", "sc:Text", "Path of the file."),
        ("width", "sc:Integer", "Pixels."),
        ("height", "sc:Integer", "Pixels."),
        ("pixel_sha256", "sc:Text", "SHA-256 over the decoded pixels."),
        ("file_sha256", "sc:Text", "SHA-256 over the file."),
    ]
    attributes = [
        (f"attributes.{name}", _data_type(attribute), f"{name} that the model was asked to draw.")
        for name, attribute in card.labels.items()
    ]
    in_the_image = [
        (f"shown.{name}", "sc:Boolean" if isinstance(value, bool) else "sc:Float", SHOWN[name])
        for name, value in (shown.model_dump(exclude_none=True) if shown else {}).items()
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": "samples",
        "name": "samples",
        "description": "Every sample, as the manifest lists it.",
        "key": {"@id": "samples/id"},
        "field": [
            *(_manifest_field(*field) for field in (*fields, *attributes, *in_the_image)),
        ],
    }


def _images() -> Node:
    """The files by themselves: the reference implementation cannot read JSON and images into one record set."""

    def field(name: str, data_type: str, description: str, file_property: str) -> Node:
        return {
            "@type": "cr:Field",
            "@id": f"images/{name}",
            "name": name,
            "description": description,
            "dataType": data_type,
            "source": {"fileSet": {"@id": "sample-files"}, "extract": {"fileProperty": file_property}},
        }

    return {
        "@type": "cr:RecordSet",
        "@id": "images",
        "name": "images",
        "description": "Every sample's image.",
        "key": {"@id": "images/file"},
        "field": [
            {
                **field("file", "sc:Text", "Path of the file, as in the record set samples.", "fullpath"),
                "references": {"field": {"@id": "samples/file"}},
            },
            field("image", "sc:ImageObject", "The image.", "content"),
        ],
    }


def _manifest_field(name: str, data_type: str, description: str) -> Node:
    # What an image shows has the names of its subject's attributes, and other values.
    own = name.replace("shown.", "shown_").rsplit(".", 1)[-1]
    return {
        "@type": "cr:Field",
        "@id": f"samples/{own}",
        "name": own,
        "description": description,
        "dataType": data_type,
        "source": {"fileObject": {"@id": "manifest.json"}, "extract": {"jsonPath": f"$.samples[*].{name}"}},
    }


def _data_type(attribute: Any) -> str:
    if isinstance(attribute, ChoiceAttribute):
        return "sc:Text"
    return "sc:Float" if isinstance(attribute, RangeAttribute) else "sc:Boolean"


def _comparisons() -> Node:
    def field(name: str, data_type: str, description: str) -> Node:
        return {
            "@type": "cr:Field",
            "@id": f"comparisons/{name}",
            "name": name,
            "description": description,
            "dataType": data_type,
            "source": {"fileObject": {"@id": "comparisons.csv"}, "extract": {"column": name}},
        }

    return {
        "@type": "cr:RecordSet",
        "@id": "comparisons",
        "name": "comparisons",
        "description": "Which samples are to be compared.",
        "field": [
            field("reference", "sc:Text", "Label of the enrolled sample."),
            field("probe", "sc:Text", "Label of the presented sample."),
            field("mated", "sc:Integer", "1 if both are of one subject, else 0."),
        ],
    }


def _responsible(summary: Summary, card: ModelCard) -> Node:
    """The properties of Croissant's vocabulary for responsible AI."""
    corpus = corpus_digest(card)
    origin = f"The model's training corpus has the digest {corpus}." if corpus else "The model has no training corpus."
    if card.weights is not None and corpus is None:
        origin = "The model's card does not name its training corpus by digest."
    shortfall = summary.counts.shortfall
    return {
        "rai:dataCollection": (
            f"Nothing was collected: every image was generated by the model {card.name} {card.version} "
            f"({summary.model.digest}) from seed {summary.seed}. {origin} {card.provenance}"
        ),
        "rai:dataCollectionType": ["Software Collection"],
        "rai:dataCollectionMissingData": f"{shortfall} samples could not be made; the manifest names them.",
        "rai:dataCollectionTimeframe": [summary.created_at],
        "rai:dataAnnotationProtocol": "Labels are what was asked of the model; nobody annotated anything.",
        "rai:dataUseCases": list(USES),
        "rai:dataLimitations": [*LIMITS, *(f"Not for {misuse}." for misuse in MISUSES)],
        "rai:dataBiases": list(BIASES),
        "rai:personalSensitiveInformation": [NO_PERSON],
        "rai:dataSocialImpact": "Face recognition can be tested without photographs of people who were not asked.",
        "rai:dataReleaseMaintenancePlan": "The set never changes; what replaces it has another identifier.",
    }
