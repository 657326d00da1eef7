"""The words of the report, for a reader who meets them here first. Terms follow ISO/IEC 2382-37 and 19795-1."""

GLOSSARY = (
    ("Reference, probe", "The enrolled side of a comparison, and the side that is presented."),
    ("Mated, non-mated", "A comparison of two samples of one subject, and of two different subjects."),
    (
        "Comparison score",
        "How alike a matcher finds two samples; higher is more alike. It matches from the threshold on.",
    ),
    ("FMR", "False match rate: the share of non-mated comparisons that match. Low is secure."),
    ("FNMR", "False non-match rate: the share of mated comparisons that do not match. Low is convenient."),
    ("Threshold at an FMR", "The lowest score at which at most that share of non-mated comparisons match."),
    (
        "DET",
        "Detection error trade-off: FNMR against FMR as the threshold moves.",
    ),
    ("EER", "Equal error rate: where FMR and FNMR are the same. One number for a whole curve; no operating point."),
    (
        "Rule of 30",
        "A rate is resolved where 30 errors are to be expected: then the true one lies within 30% of the one measured, "
        "with 90% confidence. FMR 0.1% takes 30,000 non-mated comparisons.",
    ),
    (
        "95% interval",
        "Found by drawing subjects anew, for comparisons that share a subject are not independent; where nothing "
        "erred, the exact binomial one over subjects.",
    ),
    (
        "Failure to enrol, to extract",
        "References, and probes, from which no template could be made. In none of the rates.",
    ),
    (
        "FPIR, FNIR",
        "In a search of a gallery: the share of strangers who find anybody, and of mates who are not found.",
    ),
    ("Distractor", "A subject with one sample, in the gallery only: it makes searches harder."),
    (
        "σ",
        "The scale of what differs between the samples of a subject: pose, light, expression. More makes a set harder.",
    ),
    (
        "U class, C intra",
        "Shares: of identities without a look-alike in the set, of samples that match their subject's centre.",
    ),
    ("Membership attack", "Tells from the set whether the model was trained on an identity. AUC 0.5 is chance."),
)
"""Word to meaning."""
