"""`facsimile evaluate`: scores in, metrics and a verdict out; a pulled folder is all it needs."""

import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer
from pydantic import BaseModel, ValidationError
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.endings import EVALUATE_EXIT_CODES, NOT_EVALUATED, NOT_PASSED, PASSED, UNDECIDED
from app.cli.options import KeyOption, UrlOption
from app.cli.output import as_json, err, say, show
from app.cli.outputs import demand_outputs, settled
from app.cli.request import in_callers_words
from app.client.connect import connect
from app.client.errors import UsageProblem
from app.client.files import write_whole
from app.client.service import Client
from app.dataset.candidates import SearchesFound, SearchRule
from app.dataset.evaluation import DEFAULT_ALPHA, DEFAULT_FMR, Evaluation, Rule, Verdict
from app.dataset.galleries import GalleriesAsked, GalleriesFound
from app.errors import FacsimileError
from workers.commands.candidates import Lists, demand_one_baseline, evaluate_lists, evaluate_lists_there
from workers.commands.galleries import (
    Files,
    evaluate_templates,
    evaluate_templates_there,
    numbers_of,
)

if TYPE_CHECKING:
    from workers.verdict.compared import ComparedScores
    from workers.verdict.listed import Listed

Metric = Literal["cosine", "euclidean"]
Found = TypeVar("Found", bound=BaseModel)

CODES = {None: PASSED, Verdict.PASS: PASSED, Verdict.FAIL: NOT_PASSED, Verdict.UNDECIDED: UNDECIDED}


@dataclass(frozen=True, kw_only=True)
class Handed:
    """A file of scores or of templates."""

    path: Path
    metric: Metric | None
    what: str

    @classmethod
    def one_of(cls, scores: Path | None, templates: Path | None, metric: Metric, what: str) -> "Handed | None":
        """The one that was given; raises UsageProblem for both, and for a file that is not there."""
        if scores is not None and templates is not None:
            raise UsageProblem(f"{what}: give a file of scores or one of templates, not both")
        path = scores or templates
        if path is None:
            return None
        if not path.is_file():
            raise UsageProblem(f"{path} is no file")
        return cls(path=path, metric=metric if templates else None, what=what)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Files to write."""

    junit: Path | None
    markdown: Path | None
    det: Path | None
    plot: Path | None
    html: Path | None

    @property
    def by_option(self) -> dict[str, Path | None]:
        """Each by the option that names it."""
        return {f"--{field.name}": getattr(self, field.name) for field in fields(self)}

    def beside_markdown(self, what: str, picture: Path | None) -> dict[str, str]:
        """Where a picture lies as the summary in Markdown names it, by what it shows; nothing without both."""
        if self.markdown is None or picture is None:
            return {}
        return {what: Path(os.path.relpath(picture, self.markdown.parent)).as_posix()}


def evaluate_command(
    scores: Annotated[
        Path | None, typer.Option(help="Scores: CSV (reference,probe,score, or Bob's), npz, Parquet.")
    ] = None,
    templates: Annotated[Path | None, typer.Option(help="Templates instead (npz, Parquet): compared here.")] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the pulled dataset or release; with --remote, its id, name or NAME@VERSION will do."
        ),
    ] = None,
    release: Annotated[str | None, typer.Option(help="NAME@VERSION; its comparisons are fetched.")] = None,
    candidates: Annotated[
        Path | None,
        typer.Option(help="Candidate lists of 1:N searches instead: CSV (probe,rank,reference,score), or FRTE's."),
    ] = None,
    gallery: Annotated[
        Path | None,
        typer.Option(help="With --candidates: labels of the references enrolled, a line each; left out: all of them."),
    ] = None,
    at_fpir: Annotated[
        list[float] | None,
        typer.Option(help="Of searches: FPIR whose threshold counts; may be given again, limits are about the first."),
    ] = None,
    max_fnir: Annotated[float | None, typer.Option(help="Of searches: FNIR allowed.")] = None,
    max_fnir_increase: Annotated[
        str | None, typer.Option(help="Of searches: increase of FNIR allowed over the baseline: 0.01, or 10% of it.")
    ] = None,
    baseline_candidates: Annotated[
        Path | None, typer.Option(help="Candidate lists of the version before, of the same searches.")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="Scores of the version before, of the same comparisons.")
    ] = None,
    baseline_templates: Annotated[Path | None, typer.Option(help="Templates of the version before.")] = None,
    sizes: Annotated[
        list[str] | None,
        typer.Option(help="Search --templates here, in galleries of so many: 100,1000; 'all': of 10, 20, 50 … all."),
    ] = None,
    distractors: Annotated[
        list[Path] | None,
        typer.Option(
            help="Search --templates here, with these synthetic distractors' in the gallery; may be given again."
        ),
    ] = None,
    real_distractors: Annotated[
        list[Path] | None, typer.Option(help="As --distractors, of further real people; may be given again.")
    ] = None,
    baseline_distractors: Annotated[
        list[Path] | None, typer.Option(help="The synthetic distractors by the version before.")
    ] = None,
    baseline_real_distractors: Annotated[
        list[Path] | None, typer.Option(help="The further real people by the version before.")
    ] = None,
    extrapolate: Annotated[
        list[str] | None, typer.Option(help="Searches: galleries larger than there are, by extreme values.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Searches: random galleries of each size.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Searches: seed of the galleries that are drawn.")] = 0,
    plot: Annotated[
        Path | None, typer.Option(help="Searches of templates: write FNIR over gallery sizes as SVG here.")
    ] = None,
    metric: Annotated[Metric, typer.Option(help="How templates are compared.")] = "cosine",
    at_fmr: Annotated[float, typer.Option(help="FMR whose threshold counts, each matcher's own.")] = DEFAULT_FMR,
    threshold: Annotated[float | None, typer.Option(help="This threshold instead, for both matchers.")] = None,
    baseline_threshold: Annotated[float | None, typer.Option(help="The baseline's, if it is another.")] = None,
    distances: Annotated[
        bool, typer.Option("--distances", help="The files hold distances: lower is more alike; thresholds are too.")
    ] = False,
    max_fnmr: Annotated[float | None, typer.Option(help="FNMR allowed.")] = None,
    max_fnmr_increase: Annotated[
        str | None, typer.Option(help="Increase of FNMR allowed over the baseline: 0.01, or 10% of it.")
    ] = None,
    alpha: Annotated[
        float, typer.Option(help="Largest probability of a false FAIL, and of a false PASS.")
    ] = DEFAULT_ALPHA,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write a summary in Markdown here.")] = None,
    det: Annotated[
        Path | None, typer.Option(help="Write the DET, new over baseline, as SVG here; of searches FNIR over FPIR.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Searches: write a page with charts and tables here; it loads nothing.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Write JSON to standard output, for machines.")] = False,
    remote: Annotated[
        bool, typer.Option("--remote", help="Send the files to the service, which evaluates and keeps the history.")
    ] = False,
    name: Annotated[str, typer.Option(help="With --remote: which matcher, which build.")] = "",
    baseline_evaluation: Annotated[
        str | None, typer.Option(help="With --remote: an evaluation made before is the baseline.")
    ] = None,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Evaluate comparison scores: metrics with intervals, and PASS, FAIL or UNDECIDED where a limit is given."""
    begun = time.monotonic()
    many = (distractors, real_distractors, baseline_distractors, baseline_real_distractors)
    read = [scores, templates, baseline, baseline_templates, candidates, baseline_candidates]
    read += [path for paths in many for path in paths or ()]
    complaints = _where_it_can_be(junit, read)
    try:
        rule = _rule(
            at_fmr=at_fmr,
            threshold=threshold,
            baseline_threshold=baseline_threshold,
            distances=distances,
            max_fnmr=max_fnmr,
            max_fnmr_increase=max_fnmr_increase,
            alpha=alpha,
        )
        new = Handed.one_of(scores, templates, metric, "the new scores")
        old = Handed.one_of(baseline, baseline_templates, metric, "the baseline")
        outputs = Outputs(junit=junit, markdown=markdown, det=det, plot=plot, html=html)
        demand_outputs(outputs.by_option, read)
        if candidates is not None:
            others = [scores, templates, baseline, baseline_templates, plot]
            there = [] if remote else [baseline_evaluation, release, name or None]
            if any(other is not None for other in (*others, *there)) or rule.limits or distances:
                raise UsageProblem(
                    "--candidates goes with --baseline-candidates, --dataset, --gallery, --at-fpir, --max-fnir, "
                    "--max-fnir-increase, --alpha, --junit, --markdown, --det, --html and --json alone; with --remote "
                    "also with --release, --name and --baseline-evaluation"
                )
            lists = Lists(candidates=candidates, baseline=baseline_candidates, dataset=dataset, gallery=gallery)
            search_rule = _search_rule(at_fpir, max_fnir, max_fnir_increase, alpha)
            if remote:
                dataset, release = _named(dataset, release)
                client = connect(url, key)
                searches = evaluate_lists_there(
                    lists, search_rule, client, _of(dataset, release, client), name=name, earlier=baseline_evaluation
                )
            else:
                searches = evaluate_lists(lists, search_rule)
            _write_searches(searches, outputs, time.monotonic() - begun)
            _show_searches(searches, json_=json_)
            raise typer.Exit(CODES[searches.verdict])
        if sizes or distractors or real_distractors:
            taken = [scores, baseline, gallery, baseline_candidates]
            there = [] if remote else [baseline_evaluation, release, name or None]
            if any(other is not None for other in (*taken, *there)) or rule.limits or distances:
                raise UsageProblem(
                    "searches of templates (--sizes, --distractors, --real-distractors) go with --templates, "
                    "--dataset, their baselines, --extrapolate, --draws, --seed, --metric, --at-fpir, --max-fnir, "
                    "--max-fnir-increase, --alpha, --junit, --markdown, --plot, --det, --html and --json alone; with "
                    "--remote also with --release, --name and --baseline-evaluation"
                )
            if templates is None:
                raise UsageProblem("templates are searched: give --templates")
            further = (baseline_distractors, baseline_real_distractors)
            if baseline_templates is None and any(further):
                raise UsageProblem("a baseline's distractors need --baseline-templates")
            files = _files(templates, distractors, real_distractors)
            before = None if baseline_templates is None else _files(baseline_templates, *further)
            search_rule = _search_rule(at_fpir, max_fnir, max_fnir_increase, alpha)
            # Not checked as a request is: what is searched here may be larger than what the service takes.
            how = GalleriesAsked.model_construct(
                sizes=() if sizes in (None, ["all"]) else tuple(numbers_of(sizes, "--sizes")),
                extrapolate=tuple(numbers_of(extrapolate, "--extrapolate")),
                metric=metric,
                draws=draws,
                seed=seed,
            )
            if remote:
                client, of = connect(url, key), {}
                if dataset is not None or release is not None:
                    of = _of(*_named(dataset, release), client)
                galleries = evaluate_templates_there(
                    files, before, search_rule, how, client, of, name=name, earlier=baseline_evaluation
                )
            else:
                galleries = evaluate_templates(files, before, dataset, search_rule, how)
            _write_galleries(galleries, outputs, time.monotonic() - begun)
            _show_galleries(galleries, json_=json_)
            raise typer.Exit(CODES[galleries.verdict])
        if any([baseline_distractors, baseline_real_distractors, extrapolate, plot, html]):
            raise UsageProblem(
                "--extrapolate, --plot, --html and a baseline's distractors are for searches of --templates; "
                "give --sizes or --distractors"
            )
        if gallery is not None or at_fpir or baseline_candidates or max_fnir is not None or max_fnir_increase:
            raise UsageProblem(
                "--gallery, --at-fpir, --max-fnir, --max-fnir-increase and --baseline-candidates are for --candidates; "
                "templates are searched with --sizes or --distractors"
            )
        if new is None:
            raise UsageProblem("nothing to evaluate: give --scores, --templates or --candidates")
        if distances and any(one is not None and one.metric for one in (new, old)):
            raise UsageProblem("--distances is for files of distances; templates are compared here, by --metric")
        dataset, release = _named(dataset, release)
        if remote:
            found = _there(rule, new, old, baseline_evaluation, dataset, release, name, url, key)
        elif baseline_evaluation is not None or name:
            raise UsageProblem("--name and --baseline-evaluation are for --remote")
        else:
            found = _here(rule, new, old, dataset, release, url, key)
        _write(found, junit, markdown, det, time.monotonic() - begun)
    except typer.Exit:
        raise
    except FacsimileError as exc:
        _explain(str(exc), complaints)
    except OSError as exc:
        _explain(f"{exc.filename or ''}: {exc.strerror or exc}".removeprefix(": "), complaints)
    except Exception:  # noqa: BLE001  (a crash must not end on the code that means FAIL)
        _explain(f"a fault of ours:\n{traceback.format_exc()}", complaints)
    else:
        _show(found, json_=json_)
        raise typer.Exit(CODES[found.verdict])
    raise typer.Exit(NOT_EVALUATED)


evaluate = typer.Typer(add_completion=False)
evaluate.command("evaluate", epilog=EVALUATE_EXIT_CODES)(evaluate_command)


def _rule(**fields: Any) -> Rule:
    try:
        return Rule(**fields)
    except ValidationError as exc:
        raise _refused(exc) from exc


def _refused(exc: ValidationError) -> UsageProblem:
    found = [(error["loc"], error["msg"].removeprefix("Value error, ")) for error in exc.errors()]
    texts = [f"--{str(where[0]).replace('_', '-')}: {text}" if where else text for where, text in found]
    return UsageProblem("; ".join(texts))


def _search_rule(
    at_fpir: list[float] | None, max_fnir: float | None, max_fnir_increase: str | None, alpha: float
) -> SearchRule:
    fields: dict[str, Any] = {"max_fnir": max_fnir, "max_fnir_increase": max_fnir_increase, "alpha": alpha}
    try:
        return SearchRule(**fields, **({"at_fpir": tuple(at_fpir)} if at_fpir else {}))
    except ValidationError as exc:
        raise _refused(exc) from exc


def _here(
    rule: Rule,
    new: Handed,
    old: Handed | None,
    dataset: Path | None,
    release: str | None,
    url: str | None,
    key: str | None,
) -> Evaluation:
    """Evaluate on this machine."""
    from workers.verdict.evaluate import evaluate as judged
    from workers.verdict.sources import read_set

    with ExitStack() as stack:
        place = None
        if dataset is None:
            from workers.verdict.fetched import fetch_set, place_at

            dataset = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            place = place_at(fetch_set(str(release), dataset, url, key))
        of, listed, album = read_set(dataset, place)
        compared = [_compared(listed, one, rule, stack) for one in (new, old) if one is not None]
    return judged(of, rule, listed, compared[0], compared[1] if old is not None else None, album)


def _there(
    rule: Rule,
    new: Handed,
    old: Handed | None,
    earlier: str | None,
    dataset: Path | None,
    release: str | None,
    name: str,
    url: str | None,
    key: str | None,
) -> Evaluation:
    """Let the service evaluate."""
    from workers.verdict.remote import evaluate_remotely, upload

    demand_one_baseline(old, earlier)
    client = connect(url, key)
    of = _of(dataset, release, client)
    request: dict[str, Any] = {"name": name, **of, "rule": rule.model_dump(exclude_defaults=True)}
    with ExitStack() as stack:
        for field, handed in (("scores", new), ("baseline", old)):
            if handed is not None:
                sent = upload(client, handed.path, _progress(handed, stack))
                request[field] = sent if handed.metric is None else {**sent, "metric": handed.metric}
    if earlier is not None:
        request["baseline"] = {"evaluation": earlier}
    with in_callers_words(options=_fields(new, old)):
        return evaluate_remotely(client, request)


def _fields(new: Handed, old: Handed | None) -> dict[str, str]:
    """Field of what is sent to the option that sets it."""
    return {
        "name": "--name",
        "release": "--release",
        "dataset": "--dataset",
        "scores": "--scores" if new.metric is None else "--templates",
        "scores.metric": "--metric",
        "baseline": "--baseline" if old is None or old.metric is None else "--baseline-templates",
        "baseline.metric": "--metric",
        "baseline.evaluation": "--baseline-evaluation",
        **{f"rule.{name}": f"--{name.replace('_', '-')}" for name in Rule.model_fields},
    }


def _named(dataset: Path | None, release: str | None) -> tuple[Path | None, str | None]:
    """The set that is meant, as a folder or id, or as a release; raises UsageProblem unless it is one of them."""
    if dataset is not None and release is None and "@" in dataset.name and not dataset.exists():
        return None, str(dataset)  # a release, by its name
    if (dataset is None) == (release is None):
        raise UsageProblem("say what the scores are of: --dataset FOLDER, or --release NAME@VERSION")
    return dataset, release


def _of(dataset: Path | None, release: str | None, client: Client) -> dict[str, str]:
    """The set, as the service is told of it."""
    return {"dataset": _dataset_id(dataset, client)} if dataset is not None else {"release": str(release)}


def _dataset_id(dataset: Path, client: Client) -> str:
    """The id in a folder's manifest; or the id itself, or that of the one dataset of this name."""
    from app.client.manifest import Manifest
    from app.client.paths import set_folder

    return (
        Manifest(set_folder(dataset) / "manifest.json").dataset if dataset.is_dir() else client.dataset_id(str(dataset))
    )


def _compared(listed: "Listed", handed: Handed, rule: Rule, stack: ExitStack) -> "ComparedScores":
    from workers.verdict.compared import compare
    from workers.verdict.sources import chunks_of, read_blocks

    blocks = read_blocks(chunks_of(handed.path), listed, handed.metric, _progress(handed, stack))
    return compare(
        listed, blocks, what=f"{handed.what} ({handed.path})", fmr_kept=rule.at_fmr, distances=rule.distances
    )


def _progress(handed: Handed, stack: ExitStack) -> Callable[[int], None]:
    bar = stack.enter_context(
        Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=err(),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
    )
    task = bar.add_task(handed.what, total=handed.path.stat().st_size)
    return lambda count: bar.update(task, completed=count)


def _write(found: Evaluation, junit: Path | None, markdown: Path | None, det: Path | None, seconds: float) -> None:
    from app.charts.det import det_chart
    from workers.verdict.junit import junit_xml
    from workers.verdict.wording import markdown as in_markdown

    if junit is not None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_whole(junit, junit_xml(found, seconds=seconds, timestamp=now))
    if markdown is not None:
        write_whole(markdown, in_markdown(found).encode())
    if det is not None:
        write_whole(det, det_chart(found).document().encode())


def _where_it_can_be(junit: Path | None, read: list[Path | None]) -> Path | None:
    """The file of test results, None where there can be none: then nothing is written, not even what is wrong."""
    try:
        settled({"--junit": junit}, read)
    except FacsimileError:
        return None
    return junit


def _explain(text: str, junit: Path | None) -> None:
    say(f"facsimile: {text}")
    if junit is not None:
        from workers.verdict.junit import junit_error

        try:
            write_whole(junit, junit_error(text))
        except FacsimileError as exc:
            if str(exc) != text:  # else that is what is told already
                say(f"facsimile: {exc}")


def _show(found: Evaluation, *, json_: bool) -> None:
    from workers.verdict.wording import summary_lines

    _show_as(found, summary_lines, json_=json_)


def _show_as(found: Found, lines: Callable[[Found], list[str]], *, json_: bool) -> None:
    """What came out, for machines or for people."""
    if json_:
        as_json(found.model_dump(mode="json"))
        return
    for line in lines(found):
        show(line)


def _write_searches(found: SearchesFound, to: Outputs, seconds: float) -> None:
    from app.charts.det import lists_det
    from workers.verdict.search_page import lists_page
    from workers.verdict.search_words import search_junit, search_markdown

    if to.junit is not None:
        write_whole(to.junit, search_junit(found, seconds, datetime.now(UTC).isoformat(timespec="seconds")))
    if to.markdown is not None:
        write_whole(to.markdown, search_markdown(found, to.beside_markdown("DET", to.det)).encode())
    if to.det is not None and (det := lists_det(found)):
        write_whole(to.det, det.document().encode())
    if to.html is not None:
        write_whole(to.html, lists_page(found))


def _show_searches(found: SearchesFound, *, json_: bool) -> None:
    from workers.verdict.search_words import search_lines

    _show_as(found, search_lines, json_=json_)


def _files(templates: Path, distractors: list[Path] | None, real: list[Path] | None) -> Files:
    return Files(templates=templates, distractors=tuple(distractors or ()), real_distractors=tuple(real or ()))


def _write_galleries(found: GalleriesFound, to: Outputs, seconds: float) -> None:
    from app.charts.det import galleries_det
    from app.charts.galleries import gallery_chart
    from workers.verdict.gallery_words import gallery_junit, gallery_markdown
    from workers.verdict.search_page import galleries_page

    if to.junit is not None:
        write_whole(to.junit, gallery_junit(found, seconds, datetime.now(UTC).isoformat(timespec="seconds")))
    if to.markdown is not None:
        pictures = to.beside_markdown("FNIR over gallery sizes", to.plot) | to.beside_markdown("DET", to.det)
        write_whole(to.markdown, gallery_markdown(found, pictures).encode())
    if to.plot is not None:
        write_whole(to.plot, gallery_chart(found).document().encode())
    if to.det is not None and (det := galleries_det(found)):
        write_whole(to.det, det.document().encode())
    if to.html is not None:
        write_whole(to.html, galleries_page(found))


def _show_galleries(found: GalleriesFound, *, json_: bool) -> None:
    from workers.verdict.gallery_words import gallery_lines

    _show_as(found, gallery_lines, json_=json_)
