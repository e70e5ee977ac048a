"""Every file of the hostile corpus ends accepted or rejected, with the reason it deserves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.studies.parsing.codec import from_json, to_json
from gantry.studies.parsing.header import parse
from gantry.studies.parsing.limits import ParserLimits
from gantry.studies.parsing.memfile import MemFile
from gantry.studies.parsing.model import FORBIDDEN_CHARS, UID_PATTERN, ParsedInstance, Rejection
from gantry.studies.parsing.pool import ParserPool
from hostile_dicom import HostileFile, body, corpus, file

LIMITS = ParserLimits(max_elements=200_000)
CORPUS = list(corpus())


@pytest.fixture(scope="module")
def pool() -> Iterator[ParserPool]:
    with ParserPool(LIMITS, processes=1) as running:
        yield running


def code_of(outcome: ParsedInstance | Rejection) -> str | None:
    return outcome.code if isinstance(outcome, Rejection) else None


def assert_deserved(hostile: HostileFile, outcome: ParsedInstance | Rejection) -> None:
    code = code_of(outcome)
    assert (code is None and hostile.codes is None) or (code in (hostile.codes or ())), (
        hostile.name,
        outcome,
    )


def test_corpus_covers_enough_when_counted() -> None:
    assert len(CORPUS) >= 60
    assert len({hostile.name for hostile in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("hostile", CORPUS, ids=lambda hostile: hostile.name)
def test_outcome_is_deserved_when_the_file_is_hostile(hostile: HostileFile) -> None:
    outcome = parse(memoryview(hostile.data), LIMITS)
    assert_deserved(hostile, outcome)
    assert from_json(to_json(outcome)) == outcome


def test_outcomes_are_the_same_in_the_sandbox_when_the_corpus_is_one_upload(pool: ParserPool) -> None:
    files = []
    for hostile in CORPUS:
        memory = MemFile(64 << 20)
        memory.write(hostile.data)
        files.append(memory)
    outcomes = pool.parse_batch_sync(files)
    for memory in files:
        memory.close()
    assert len(outcomes) == len(CORPUS)
    for hostile, outcome in zip(CORPUS, outcomes, strict=True):
        assert_deserved(hostile, outcome)


def test_server_stays_small_when_the_corpus_is_parsed(pool: ParserPool) -> None:
    def resident_bytes() -> int:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096

    def parse_all() -> None:
        for hostile in CORPUS:
            with MemFile(64 << 20) as memory:
                memory.write(hostile.data)
                pool.parse_batch_sync([memory])

    before = resident_bytes()
    parse_all()
    assert resident_bytes() - before < 64 << 20


def test_rejection_names_the_instance_when_the_file_is_cut_off() -> None:
    outcome = parse(memoryview(file(body())[:-4]), LIMITS)
    assert isinstance(outcome, Rejection)
    assert outcome.code == "dicom.truncated"
    assert (outcome.sop_instance_uid, outcome.study_instance_uid) == ("1.2.3.4.5", "1.2.3.4")


@pytest.mark.parametrize("size", range(0, len(file(body())), 3))
def test_no_image_is_found_when_a_file_ends_early(size: int) -> None:
    outcome = parse(memoryview(file(body())[:size]), LIMITS)
    # Cut exactly between two elements, what is left is a whole data set: of an image without pixels.
    assert isinstance(outcome, Rejection) or not outcome.has_pixel_data


def test_text_is_harmless_when_it_was_hostile() -> None:
    for hostile in CORPUS:
        outcome = parse(memoryview(hostile.data), LIMITS)
        if isinstance(outcome, ParsedInstance):
            assert UID_PATTERN.fullmatch(outcome.sop_instance_uid)
            assert not FORBIDDEN_CHARS.search(outcome.patient.patient_name + outcome.study.study_description)
            assert len(outcome.patient.patient_name) <= 512
