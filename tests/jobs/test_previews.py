"""Previews: made once for each plan, found again by its digest."""

from typing import Any

import pytest

from app.config import Settings
from app.dataset import keys
from app.dataset.request import PreviewRequest
from app.errors import NotFound, RequestRefused
from app.jobs.catalogues.models import ModelCatalogue
from app.jobs.previews import PlannedPreview, PreviewService


@pytest.fixture
def previews(memory_store: Any, memory_queue: Any, models: ModelCatalogue, job_settings: Settings) -> PreviewService:
    return PreviewService(memory_store, memory_queue, models, job_settings)


def test_the_task_carries_the_whole_plan(memory_queue: Any, previews: PreviewService) -> None:
    preview = previews.ask("acme", PreviewRequest(subjects=2, samples_per_subject=3, seed=5))
    [(tenant, digest, text)] = memory_queue.previews
    planned = PlannedPreview.model_validate_json(text)
    plan = planned.plan
    assert planned.row is None
    assert (tenant, digest) == ("acme", preview)
    assert (plan.subjects, plan.samples_per_subject, plan.seed, plan.shards) == (2, 3, 5, 1)
    assert plan.unique is None


def test_the_same_preview_has_the_same_id_and_another_another(previews: PreviewService) -> None:
    first = previews.ask("acme", PreviewRequest(seed=5))
    assert previews.ask("acme", PreviewRequest(seed=5)) == first
    assert previews.ask("acme", PreviewRequest(seed=6)) != first


def test_a_row_is_a_preview_of_its_own_of_the_same_plan(memory_queue: Any, previews: PreviewService) -> None:
    ids = [previews.ask("acme", PreviewRequest(subjects=3, row=row)) for row in (None, 0, 2)]
    assert len(set(ids)) == 3
    planned = [PlannedPreview.model_validate_json(text) for _, _, text in memory_queue.previews]
    assert [one.row for one in planned] == [None, 0, 2]
    assert planned[0].plan == planned[1].plan == planned[2].plan
    with pytest.raises(RequestRefused, match="row: the sheet has 3 rows, from 0"):
        previews.ask("acme", PreviewRequest(subjects=3, row=3))


def test_who_waits_no_more_takes_it_back_unless_another_waits(memory_queue: Any, previews: PreviewService) -> None:
    preview = previews.ask("acme", PreviewRequest())
    with previews.waiting("acme", preview):
        with previews.waiting("acme", preview):
            pass
        previews.forget("acme", preview)
        assert memory_queue.preview("acme", preview) is not None
    previews.forget("acme", preview)
    assert memory_queue.preview("acme", preview) is None


def test_a_preview_that_is_there_is_not_made_again(
    memory_store: Any, memory_queue: Any, previews: PreviewService
) -> None:
    preview = previews.ask("acme", PreviewRequest())
    assert previews.fetch("acme", preview) is None
    memory_store.put(keys.preview("acme", preview), b"\x89PNG")
    memory_queue.previews.clear()
    assert previews.ask("acme", PreviewRequest()) == preview
    assert memory_queue.previews == []
    assert previews.find("acme", preview) == b"\x89PNG"
    with pytest.raises(NotFound):
        previews.find("other", preview)


@pytest.mark.parametrize("field", ["subjects", "samples_per_subject"])
def test_previews_are_small(previews: PreviewService, field: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        previews.ask("acme", PreviewRequest.model_validate({field: 9}))
    assert refused.value.problems[0][0] == field
