import numpy as np
import pytest

from ct_result import GRIDS, make_case
from gantry_inference.outputs.findings import FindingGraph, build_findings
from gantry_inference.outputs.provenance import uid_for


def graph_of(grid: str = "axial", *, empty: bool = False) -> FindingGraph:
    case = make_case(grid, empty=empty)
    return build_findings(case.labels_kji, case.volume, case.card, case.sources[::-1], case.provenance)


def test_whole_segment_comes_first_and_parts_point_to_it_when_it_has_two_parts() -> None:
    whole, *parts = graph_of().findings
    assert [part.part_of for part in parts] == [whole.tracking_uid] * 2
    volumes = [finding.measurements[0].value for finding in (whole, *parts)]
    assert volumes[0] == pytest.approx(volumes[1] + volumes[2])
    assert volumes[1] > volumes[2]


def test_key_image_is_the_slice_with_the_largest_area_when_found() -> None:
    case = make_case()
    whole, _, small = graph_of().findings
    assert whole.key_sop_instance_uid == case.sources[2].SOPInstanceUID
    assert small.key_sop_instance_uid == case.sources[9].SOPInstanceUID
    assert [area.slice_index for area in small.slice_areas] == [9, 10]
    assert small.slice_areas[0].area_mm2 == pytest.approx(10 * 12 * 0.8 * 0.7)


@pytest.mark.parametrize("grid", GRIDS)
def test_box_holds_every_labelled_voxel_when_grid_is(grid: str) -> None:
    case = make_case(grid)
    box = graph_of(grid).findings[0].box
    kji = np.argwhere(case.labels_kji == 1)
    points = (case.volume.lps_from_ijk @ np.c_[kji[:, ::-1], np.ones(len(kji))].T)[:3].T
    assert box is not None
    assert np.all(points >= np.array(box.low_lps_mm) - 1e-3)
    assert np.all(points <= np.array(box.high_lps_mm) + 1e-3)


def test_empty_segment_is_a_finding_of_volume_zero_when_nothing_was_segmented() -> None:
    [finding] = graph_of(empty=True).findings
    assert finding.is_empty
    assert (finding.box, finding.key_sop_instance_uid) == (None, None)
    assert [(m.concept.meaning, m.value) for m in finding.measurements] == [("Volume", 0.0)]


@pytest.mark.parametrize("empty", [False, True])
def test_graph_is_the_same_when_written_and_read(empty: bool) -> None:
    graph = graph_of(empty=empty)
    assert FindingGraph.from_json(graph.to_json()) == graph


def test_reading_is_refused_when_format_is_unknown() -> None:
    with pytest.raises(ValueError, match="format"):
        FindingGraph.from_json('{"format": 99}')


def test_findings_are_refused_when_labels_have_another_shape() -> None:
    case = make_case()
    with pytest.raises(ValueError, match="shape"):
        build_findings(case.labels_kji[1:], case.volume, case.card, case.sources, case.provenance)


def test_uid_is_stable_and_valid_when_asked_twice() -> None:
    uid = uid_for("analysis", "seg", 1)
    assert uid == uid_for("analysis", "seg", 1)
    assert uid.is_valid
    assert len({uid, uid_for("analysis", "seg", 2), uid_for("analysis", "sr", 1), uid_for("b", "seg", 1)}) == 4
