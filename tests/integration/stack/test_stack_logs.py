from __future__ import annotations

import io

import pydicom

from phantom_files import make_study
from site_user import Site
from stack import WholeStack


def test_no_log_names_a_patient_or_an_image_when_a_study_was_analysed_and_shown(stack: WholeStack, site: Site) -> None:
    study = make_study(12)
    study_id = site.send(study)
    site.wait_until_done(study_id)
    site.reader.get(f"/api/v1/studies/{study_id}").raise_for_status()
    site.reader.get(f"/dicomweb/studies/{study.study_uid}/series").raise_for_status()
    header = pydicom.dcmread(io.BytesIO(study.files[0]), stop_before_pixels=True)
    secrets = [
        study.patient_id,
        study.study_uid,
        str(header.PatientName),
        str(header.SeriesInstanceUID),
        str(header.SOPInstanceUID),
        str(header.AccessionNumber),
    ]
    logs = list(stack.state.logs.glob("*.log"))
    assert {log.stem for log in logs} >= {"web", "worker", "postgres"}
    for log in logs:
        said = log.read_text(encoding="utf-8", errors="replace")
        assert not [secret for secret in secrets if secret in said], log.name
