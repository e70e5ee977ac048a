import { expect, test } from "vitest";
import type { Analysis, Finding, Series, StudyRow } from "../src/api/types";
import { currentFindings } from "../src/findings/overlay-store";
import { age, bytes, day, parseDay, personName } from "../src/ui/kit/format";
import { keepSame, patchAnalysis } from "../src/ui/study-store";
import {
  countFilters,
  EMPTY_QUERY,
  isFiltered,
  needsRefetch,
  newIds,
  patchRow,
} from "../src/ui/worklist-model";

const row = (id: string, state: StudyRow["analysis"]["state"] = "queued"): StudyRow =>
  ({
    id,
    state: "complete",
    review: "none",
    analysis: { id: "a", state, progress: 0, sentence: "" },
  }) as StudyRow;

const CHANGED = "analysis.changed.v1";

test("patchRow_shows_progress_when_an_event_is_about_its_run", () => {
  const patched = patchRow(row("1"), CHANGED, {
    study_id: "1",
    analysis_id: "a",
    state: "running",
    progress: 0.5,
  });
  expect(patched.analysis).toMatchObject({ state: "running", progress: 0.5 });
  expect(patched.state).toBe("complete");
});

test("patchRow_leaves_rows_alone_when_an_event_is_about_others", () => {
  const untouched = row("2");
  expect(patchRow(untouched, "study.changed.v1", { study_id: "1", state: "receiving" })).toBe(untouched);
  expect(patchRow(untouched, CHANGED, { study_id: "2", analysis_id: "b", state: "running" })).toBe(untouched);
});

test("patchRow_ignores_progress_when_the_run_is_over", () => {
  const late = patchRow(row("1", "done"), CHANGED, {
    study_id: "1",
    analysis_id: "a",
    state: "running",
    progress: 0.9,
  });
  expect(late.analysis.state).toBe("done");
});

test("patchRow_takes_state_and_review_when_the_study_changes", () => {
  const receiving = { ...row("1"), state: "receiving" } as StudyRow;
  expect(patchRow(receiving, "study.completed.v1", { study_id: "1", state: "complete" }).state).toBe(
    "complete",
  );
  const reviewed = patchRow(receiving, "study.results_changed.v1", { study_id: "1", review: "accepted" });
  expect([reviewed.review, reviewed.state]).toEqual(["accepted", "receiving"]);
});

test("needsRefetch_is_told_by_what_a_row_cannot_know", () => {
  const rows = [row("1", "running")];
  const about = (state: string, analysis_id = "a") =>
    needsRefetch(CHANGED, { study_id: "1", analysis_id, state }, rows);
  expect(needsRefetch("study.arrived.v1", { study_id: "9" }, rows)).toBe(true);
  expect([about("running"), about("done"), about("queued", "b")]).toEqual([false, true, true]);
});

test("currentFindings_list_regions_after_their_finding_when_there_are_some", () => {
  const finding = (id: string, number: number, part_of: number | null) =>
    ({ id, number, part_of }) as Finding;
  const findings = [finding("w1", 1, null), finding("w2", 2, null), finding("p1", 3, 1)];
  const analyses = [
    { state: "failed", model: { name: "m" }, findings: [finding("x", 1, null)] },
    { state: "done", model: { name: "m" }, findings },
    { state: "done", model: { name: "m" }, findings: [finding("older", 1, null)] },
  ] as Analysis[];
  expect(currentFindings(analyses).map(({ id }) => id)).toEqual(["w1", "p1", "w2"]);
});

test("newIds_marks_nothing_when_the_list_is_first_loaded", () => {
  expect(newIds([], [row("1")]).size).toBe(0);
  expect([...newIds([row("1")], [row("2"), row("1")])]).toEqual(["2"]);
});

test("filters_are_counted_when_set", () => {
  expect([isFiltered(EMPTY_QUERY), countFilters(EMPTY_QUERY)]).toEqual([false, 0]);
  const query = { ...EMPTY_QUERY, modalities: ["CT", "MR"], referred_only: true };
  expect([isFiltered(query), countFilters(query)]).toEqual([true, 2]);
});

test("patchAnalysis_waits_for_the_findings_when_a_run_ends", () => {
  const running = { id: "a", state: "running", progress: 0.5, stage: "", sentence: "" } as Analysis;
  expect(patchAnalysis(running, { analysis_id: "a", progress: 0.7, state: "running" }).progress).toBe(0.7);
  expect(patchAnalysis(running, { analysis_id: "a", state: "done" }).state).toBe("running");
  expect(patchAnalysis(running, { analysis_id: "b", progress: 0.9 })).toBe(running);
});

test("keepSame_keeps_the_object_when_a_series_did_not_change", () => {
  const one = { id: "1", number_of_instances: 3 } as Series;
  const fresh = [{ ...one }, { ...one, id: "2" }] as Series[];
  const kept = keepSame([one], fresh);
  expect([kept[0] === one, kept[1] === fresh[1]]).toEqual([true, true]);
  expect(keepSame([one], [{ ...one, number_of_instances: 4 }])[0]).not.toBe(one);
});

test.each([
  ["Okafor^Adaeze^Ngozi", "OKAFOR, Adaeze Ngozi"],
  ["Yamada^Tarou=山田^太郎", "YAMADA, Tarou"],
  ["=山田^太郎", "山田, 太郎"],
  ["PHANTOM", "PHANTOM"],
  ["", "Name not given"],
])("personName_reads_%s_when_written_in_dicom", (written, shown) => {
  expect(personName(written)).toBe(shown);
});

test.each([
  ["1961-03-12", "2026-03-11", "64 y"],
  ["19610312", "20260312", "65 y"],
  ["2025-06-01", "2026-11-21", "17 mo"],
  ["2026-11-01", "2026-11-21", "20 d"],
  [null, "2026-11-21", ""],
])("age_counts_from_%s_to_%s_when_the_study_was_made", (birth, at, expected) => {
  expect(age(birth, at)).toBe(expected);
});

test("day_writes_months_in_letters_when_given_either_form", () => {
  expect([day("20261121"), day("2026-11-21"), day(null)]).toEqual([
    "21 Nov 2026",
    "21 Nov 2026",
    "not given",
  ]);
  expect(parseDay("around 1950")).toBeNull();
});

test.each([
  [999, "999 B"],
  [1500, "1.5 kB"],
  [104_857_600, "105 MB"],
  [999_900_000, "1.0 GB"],
])("bytes_writes_%d_when_shown", (size, expected) => {
  expect(bytes(size)).toBe(expected);
});
