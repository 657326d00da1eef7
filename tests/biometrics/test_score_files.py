"""Score files: what reads, what is counted, and what is refused with its line."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.biometrics.errors import ScoresRefused
from workers.biometrics.lines import LONGEST
from workers.biometrics.score_files import Comparison, read_scores, write_scores
from workers.biometrics.scores import ScoreSet

SUBJECT_OF = {"a1": "A", "a2": "A", "b1": "B", "b2": "B"}
BOB = b"probe_template_id,probe_subject_id,bio_ref_template_id,bio_ref_subject_id,score\n"


def simple(text: str, **options: object) -> ScoreSet:
    return read_scores([("reference,probe,score\n" + text).encode()], subject_of=SUBJECT_OF, **options)  # type: ignore[arg-type]


def test_the_simple_form() -> None:
    found = simple("a1,a2,0.75\na1,b1,0.25\nb1,a2,-1e-3\nb1,b2,\na2,b2,nan\n")
    assert found.mated.tolist() == [0.75]
    assert sorted(found.non_mated) == [-0.001, 0.25]
    assert (found.failures.mated, found.failures.non_mated) == (1, 1)
    assert found.subjects == 2


def test_bobs_form_with_columns_moved_and_metadata() -> None:
    text = (
        b"score,probe_age,bio_ref_subject_id,bio_ref_template_id,probe_subject_id,probe_template_id\n"
        b"0.5,30,A,a1,A,a2\n0.1,30,B,b1,A,a2\n"
    )
    found = read_scores([text])
    assert (found.mated.tolist(), found.non_mated.tolist()) == ([0.5], [0.1])
    assert found.non_mated_references is not None
    assert found.non_mated_references.tolist() == [1]


def test_bobs_references_may_be_called_as_its_probes_are() -> None:
    found = read_scores([BOB + b"1,1,1,1,0.9\n1,1,2,2,0.1\n"])
    assert (found.mated.tolist(), found.non_mated.tolist()) == ([0.9], [0.1])


def test_line_ends_of_windows_a_byte_order_mark_and_quotes() -> None:
    text = b'\xef\xbb\xbfreference,probe,score\r\n"a1",a2,0.5\r\na1,"b1",0.25\r\n'
    found = read_scores([text], subject_of=SUBJECT_OF)
    assert (found.mated.tolist(), found.non_mated.tolist()) == ([0.5], [0.25])


@given(size=st.integers(1, 40))
def test_chunks_may_be_cut_anywhere(size: int) -> None:
    text = "reference,probe,score\nü1,ü2,0.5\nü1,b1,0.25\n".encode()
    chunks = [text[start : start + size] for start in range(0, len(text), size)]
    found = read_scores(chunks, subject_of={"ü1": "Ü", "ü2": "Ü", "b1": "B"})
    assert (found.mated.tolist(), found.non_mated.tolist()) == ([0.5], [0.25])


GOOD = "a1,a2,0.75\na1,b1,0.25\n"


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (GOOD + "a1,b2,0.1", 4, "may have been cut off"),
        (GOOD + "a1,b2\n", 4, "2 fields and the header has 3; was the line cut off"),
        (GOOD + "a1,b2,0.1,0.2\n", 4, "4 fields"),
        (GOOD + "\n", 4, "this line is empty"),
        (GOOD + "a1,b2,zero\n", 4, "'zero'; it must be a number"),
        (GOOD + 'a1,b2,"0,5"\n', 4, "decimal point"),
        (GOOD + "a1,b2,inf\n", 4, "must be finite"),
        (GOOD + "a1,b2,-Infinity\n", 4, "must be finite"),
        (GOOD + "a1,b2,1e999\n", 4, "must be finite"),
        (GOOD + "a1,c1,0.1\n", 4, "no sample 'c1' in this set"),
        (GOOD + "c1,a1,0.1\n", 4, "no sample 'c1' in this set"),
        (GOOD + ",a1,0.1\n", 4, "has no name"),
        (GOOD + "a1,a1,1\n", 4, "compared with itself"),
        (GOOD + "b1,b2,0.9\na1,a2,0.75\na1,b1,0.2\n", 5, r"stood in line 2 already \(2 such lines"),
        (GOOD + '"a1\n,b2",1\n', 4, "fields"),
        (GOOD + '"a1"x,b2,1\n', 4, "not CSV"),
        (GOOD + 'a1,"b2,1\n', 4, "not CSV"),
    ],
)
def test_what_is_odd_is_refused_with_its_line(text: str, line: int, what: str) -> None:
    with pytest.raises(ScoresRefused, match=what) as caught:
        simple(text)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"line {line}: ")


def test_a_name_over_two_lines_is_refused() -> None:
    with pytest.raises(ScoresRefused, match="line 2: a quoted field goes on in the next line"):
        simple('"a1\n",b2,0.5\n')


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"", "the file is empty"),
        (b"reference;probe;score\n", "it must be reference,probe,score or probe_template_id"),
        (b"reference, probe, score\n", "without blanks"),
        (b"a1,a2,0.75\n", "the header is 'a1,a2,0.75'"),
        (b"reference,probe,score,score\n", "names score twice"),
        (b"\xff\xfer\x00e\x00f\x00\n", "not UTF-8"),
        (b"x" * (LONGEST + 1), "longer than"),
    ],
)
def test_what_is_no_score_file_is_refused(text: bytes, what: str) -> None:
    with pytest.raises(ScoresRefused, match=what):
        read_scores([text], subject_of=SUBJECT_OF)


def test_a_line_that_is_not_utf8_is_named() -> None:
    with pytest.raises(ScoresRefused, match="line 3: this is not UTF-8"):
        read_scores([b"reference,probe,score\na1,a2,1\na\xe4,a2,1\n"], subject_of=SUBJECT_OF)


def test_the_simple_form_needs_to_know_subjects() -> None:
    with pytest.raises(ScoresRefused, match="send Bob's form"):
        read_scores([b"reference,probe,score\na1,a2,0.75\n"])


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (b"a2,B,b1,B,0.1\n", "line 3: template 'a2' is of subject 'B' here and of 'A' in an earlier line"),
        (b"b2,B,a1,B,0.1\n", "line 3: template 'a1' is of subject 'B' here and of 'A'"),
        (b"b2,,b1,B,0.1\n", "line 3: a template or its subject has no name"),
        (b"b2,A,b1,B,0.1\n", "line 3: 'b2' is of subject 'B', and the file says 'A'"),
        (b"c2,C,b1,B,0.1\n", "line 3: there is no sample 'c2'"),
    ],
)
def test_subjects_that_disagree_are_refused(row: bytes, what: str) -> None:
    with pytest.raises(ScoresRefused, match=what):
        read_scores([BOB + b"a2,A,a1,A,0.9\n" + row], subject_of=SUBJECT_OF)


def test_one_side_alone_is_refused_unless_asked_for() -> None:
    with pytest.raises(ScoresRefused, match=r"no non-mated comparison with a score \(1 failed\)"):
        simple("a1,a2,0.75\na1,b1,\n")
    with pytest.raises(ScoresRefused, match="no mated comparison"):
        simple("a1,b1,0.5\n")
    assert len(simple("a1,a2,0.75\n", one_sided=True).mated) == 1


def test_another_number_of_comparisons_than_expected_is_refused() -> None:
    assert len(simple(GOOD, expected=2).mated) == 1
    with pytest.raises(ScoresRefused, match="there are 2 comparisons and 3 were expected; was it cut off"):
        simple(GOOD, expected=3)
    with pytest.raises(ScoresRefused, match="take out what does not belong"):
        simple(GOOD, expected=1)


names = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=8)


@given(
    scores=st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20),
    name=names,
    form=st.sampled_from(["bob", "simple"]),
)
def test_what_is_written_reads_back_bit_for_bit(scores: list[float | None], name: str, form: str) -> None:
    def rows() -> Iterator[Comparison]:
        for number, score in enumerate(scores):
            other = "T" if number % 2 else "S"
            yield Comparison(f"r{name}{number}", "S", f"p{name}{number}", other, score)

    subject_of = {f"r{name}{number}": "S" for number in range(len(scores))}
    subject_of |= {f"p{name}{number}": "T" if number % 2 else "S" for number in range(len(scores))}
    found = read_scores(write_scores(rows(), form), subject_of=subject_of, one_sided=True)  # type: ignore[arg-type]
    for side, kept in ((found.mated, scores[::2]), (found.non_mated, scores[1::2])):
        assert side.tobytes() == np.array([score for score in kept if score is not None]).tobytes()
    assert found.failures.mated + found.failures.non_mated == scores.count(None)


def test_what_could_not_be_read_back_is_not_written() -> None:
    with pytest.raises(ScoresRefused, match="line 2: the score is inf"):
        list(write_scores([Comparison("a", "A", "b", "B", np.inf)]))
    with pytest.raises(ScoresRefused, match="holds a line break"):
        list(write_scores([Comparison("a\n", "A", "b", "B", 1.0)]))
