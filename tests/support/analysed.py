"""Studies with analyses and findings, made through the services that a worker uses, without running a model."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydicom import Dataset
from pydicom.uid import generate_uid

from ct_files import make_ct, to_file, to_files
from gantry.analyses.public import Analysis, Finding
from gantry.analyses.services import NewFinding, Work, claim_analysis, finish_analysis, select_analyses
from gantry.catalog.public import Phase, deploy_model, list_cards
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.kernel.vocabulary import Role
from gantry.studies.models import Study
from gantry.studies.parsing.header import parse
from gantry.studies.parsing.limits import ParserLimits
from gantry.studies.public import ParsedInstance, ResultObject, complete_study
from gantry.vault.public import SealedObject, get_vault
from site_client import by_token
from world import World

SEG = "1.2.840.10008.5.1.4.1.1.66.4"


@dataclass(frozen=True)
class Loaded:
    """A stored study."""

    world: World
    study_id: UUID
    datasets: list[Dataset] = field(repr=False)

    @property
    def study_uid(self) -> str:
        return str(self.datasets[0].StudyInstanceUID)

    @property
    def series_uid(self) -> str:
        return str(self.datasets[0].SeriesInstanceUID)

    @property
    def sop_uid(self) -> str:
        return str(self.datasets[0].SOPInstanceUID)


@dataclass(frozen=True)
class Result:
    """A finished analysis."""

    analysis_id: UUID
    finding_ids: list[UUID]
    series_uid: str
    sop_uid: str


def load_study(world: World, slices: int = 12, **attributes: Any) -> Loaded:
    """Store a CT study by STOW-RS."""
    datasets = make_ct(slices, **attributes)
    answer = by_token(world, Role.INTEGRATOR).stow(to_files(datasets))
    assert answer.status_code == 200, answer.text
    with tenant_scope(world.system), unit_of_work():
        study_id = Study.objects.get(study_instance_uid=datasets[0].StudyInstanceUID).pk
    return Loaded(world, study_id, datasets)


def deploy(world: World) -> None:
    """Put the reference model to use."""
    with tenant_scope(world.system):
        card = next(card for card in list_cards() if card.name == "bone_ct")
        deploy_model(actor=world.system, card=card, phase=Phase.OPTIONAL)


def complete(loaded: Loaded) -> None:
    """Declare a study complete, as a radiologist does."""
    with loaded.world.acting(Role.RADIOLOGIST) as actor:
        complete_study(actor=actor, study_id=loaded.study_id)


def select(loaded: Loaded) -> list[UUID]:
    """Start what fits, as the worker does for a study that became complete."""
    with tenant_scope(loaded.world.system):
        return select_analyses(study_id=loaded.study_id)


def claim(world: World, analysis_id: UUID) -> Work:
    """Take an analysis to work on, as a worker does."""
    with tenant_scope(world.system):
        work = claim_analysis(actor=world.system, analysis_id=analysis_id)
    assert work is not None
    return work


def seal(world: World, data: bytes) -> SealedObject:
    with get_vault().begin(world.tenant_id) as writer:
        writer.write(data)
        return writer.commit()


def result_object(loaded: Loaded, series_uid: str = "", sop_uid: str = "") -> ResultObject:
    """Return an object of the study as an analysis writes one."""
    (dataset,) = make_ct(
        1, study_uid=loaded.study_uid, series_uid=series_uid, SOPClassUID=SEG, Modality="SEG", PixelData=None,
        SeriesNumber=900, SeriesDescription="AI", SOPInstanceUID=sop_uid or generate_uid(),
    )  # fmt: skip
    data = to_file(dataset)
    parsed = parse(memoryview(data), ParserLimits())
    assert isinstance(parsed, ParsedInstance), parsed
    return ResultObject(sealed=seal(loaded.world, data), parsed=parsed)


def finish(loaded: Loaded, work: Work, labels: Sequence[str] = ("Bone",)) -> Result:
    """Finish a claimed analysis with one object and a finding for each label."""
    world, analysis_id = loaded.world, work.analysis.pk
    obj = result_object(loaded)
    vault, key_id = get_vault(), work.study.patient.key_id
    findings = []
    for number, label in enumerate(labels, start=1):
        document = {"encoding": "quarter-pixel-delta-v1", "slices": {loaded.sop_uid: [[4, 4, 8, 0, 0, 8]]}}
        contours = seal(world, gzip.compress(json.dumps(document).encode()))
        values = {
            "part_of": None, "tracking_uid": generate_uid(), "label": label, "color": "#f1d691",
            "concept": {"value": "272673000", "scheme": "SCT", "meaning": "Bone"},
            "measurements": [{"name": "Volume", "value": 1.5, "unit": "cm3", "unit_display": "cm³"}],
            "key_sop_instance_uid": loaded.sop_uid, "slice_areas": [],
        }  # fmt: skip
        findings.append(NewFinding(number, values, contours, vault.seal(world.tenant_id, contours, key_id)))
    with tenant_scope(world.system):
        finish_analysis(
            actor=world.system, analysis_id=analysis_id, claim=work.claim, results=[obj], findings=findings,
            artefacts=[], runtime="none", timings_s={},
        )  # fmt: skip
        with unit_of_work():
            ids = list(Finding.objects.filter(analysis_id=analysis_id).order_by("number").values_list("pk", flat=True))
    return Result(analysis_id, ids, obj.parsed.series_instance_uid, obj.parsed.sop_instance_uid)


def analyse(loaded: Loaded, labels: Sequence[str] = ("Bone",)) -> Result:
    """Complete a study and finish the analysis that this starts."""
    deploy(loaded.world)
    complete(loaded)
    (analysis_id,) = select(loaded)
    return finish(loaded, claim(loaded.world, analysis_id), labels)


def analysis_of(world: World, analysis_id: UUID) -> Analysis:
    """Return the row of an analysis."""
    with tenant_scope(world.system), unit_of_work():
        return Analysis.objects.get(pk=analysis_id)
