"""Leakage: a generator that copies is found, one that does not is cleared."""

from collections.abc import Callable

import numpy as np
import pytest

from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.errors import Unresolvable
from workers.biometrics.leakage import auc, copying, membership_inference
from workers.biometrics.templates import TemplateTable

MakeTable = Callable[..., TemplateTable]


def test_auc_by_hand() -> None:
    # First 3, 1; second 2, 1, 0. 3 beats all three; 1 beats 0, ties with 1, loses to 2: (3 + 1 + 0.5) / 6.
    found = auc(np.array([3.0, 1.0]), np.array([2.0, 1.0, 0.0]), np.arange(2), np.arange(3))
    assert found.value == pytest.approx(4.5 / 6)
    assert (found.first, found.second) == (2, 3)


def test_auc_agrees_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is an oracle; it comes with the extra test")
    rng = np.random.default_rng(2)
    first, second = np.round(rng.normal(0.3, 1, 300), 1), np.round(rng.normal(0, 1, 400), 1)
    found = auc(first, second, np.arange(300), np.arange(400))
    labels = np.concatenate([np.ones(300), np.zeros(400)])
    assert found.value == pytest.approx(metrics.roc_auc_score(labels, np.concatenate([first, second])))
    assert found.value in found.by_subject
    # Hanley and McNeil's standard error for AUC 0.58 of 300 against 400 is about 0.022.
    assert found.by_subject.high - found.by_subject.low == pytest.approx(4 * 0.022, rel=0.15)


def test_strangers_are_cleared(table: MakeTable) -> None:
    # 400 + 300 real people of one kind, synthetic ones of the same kind: nothing is nearer than it should be.
    training = table(400, 2, seed=1)
    real = TemplateTable(templates=table(300, 2, seed=2).templates, subjects=np.repeat(np.arange(1000, 1300), 2))
    found = copying(table(300, 2, seed=3), training, real, bootstrap=Bootstrap(replicates=200))
    assert 0.5 in found.auc.by_subject
    assert all(part.expected in part.interval for part in found.excess)
    assert (found.searched, found.without_template) == (800, 0)


def test_copies_are_found(table: MakeTable) -> None:
    training = table(400, 2, seed=1)
    real = TemplateTable(templates=table(300, 2, seed=2).templates, subjects=np.repeat(np.arange(1000, 1300), 2))
    synthetic = table(300, 2, seed=3)
    copied = np.random.default_rng(0).normal(0, 0.02, (60, 32)).astype(np.float32) + training.templates[:60]
    synthetic.templates[:60] = copied
    synthetic.templates[599] = np.nan
    found = copying(synthetic, training, real, bootstrap=Bootstrap(replicates=200))
    # 60 of 599 are beyond everything real; and 10% of the synthetic beat all real ones: AUC 0.5 + 0.05.
    assert found.excess[-1].share == pytest.approx(60 / 599, abs=0.004)
    assert found.excess[-1].interval.low > found.excess[-1].expected
    assert found.auc.value > 0.53
    assert found.without_template == 1


def test_membership_is_inferred_only_where_training_leaks(table: MakeTable) -> None:
    members, others = table(300, 1, seed=1), table(300, 1, seed=2)
    clean = membership_inference(table(200, 2, seed=3), members, others, bootstrap=Bootstrap(replicates=200))
    assert 0.5 in clean.by_subject
    leaking = table(200, 2, seed=3)
    leaking.templates[:150] = members.templates[:150]
    found = membership_inference(leaking, members, others, bootstrap=Bootstrap(replicates=200))
    # Half of the members are certain, the other half no better than chance: 0.75.
    assert found.value == pytest.approx(0.75, abs=0.04)
    assert found.by_subject.low > 0.6


def test_empty_tables_are_refused(table: MakeTable) -> None:
    none = TemplateTable(templates=np.full((3, 32), np.nan, np.float32), subjects=np.arange(3))
    with pytest.raises(Unresolvable, match="copying needs"):
        copying(none, table(3, 1), table(3, 1))
    with pytest.raises(Unresolvable, match="copying needs"):
        copying(table(3, 1), table(1, 1), table(1, 1))  # the only training subject is the real one itself
    with pytest.raises(Unresolvable, match="membership inference needs"):
        membership_inference(none, table(3, 1), table(3, 1))
