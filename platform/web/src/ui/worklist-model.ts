/** The worklist's state without its looks: query, rows, and what live events do to them. */
import type { LiveData, StudyRow, WorklistQuery } from "../api/types";

export const EMPTY_QUERY: WorklistQuery = {
  text: "",
  patient: "",
  accession: "",
  description: "",
  date_from: null,
  date_to: null,
  modalities: [],
  analysis_states: [],
  review_states: [],
  referred_only: false,
  sort: "received",
  order: "desc",
  page: 1,
  page_size: 50,
};

export function isFiltered(query: WorklistQuery): boolean {
  const { text, patient, accession, description, date_from, date_to, referred_only } = query;
  const hasText = [text, patient, accession, description].some((part) => part.trim() !== "");
  const lists = query.modalities.length + query.analysis_states.length + query.review_states.length;
  return hasText || date_from !== null || date_to !== null || referred_only || lists > 0;
}

/** Filters beyond the search line, for the number on the filter button. */
export function countFilters(query: WorklistQuery): number {
  const single = [query.patient, query.accession, query.description, query.date_from, query.date_to];
  const lists = [query.modalities, query.analysis_states, query.review_states];
  return (
    single.filter((part) => part?.trim()).length +
    lists.filter((list) => list.length > 0).length +
    (query.referred_only ? 1 : 0)
  );
}

/** A row after a live event; the same object where nothing changed. */
export function patchRow(row: StudyRow, data: LiveData): StudyRow {
  if (data.study_id !== row.id) return row;
  const analysis = data.analysis ? { ...row.analysis, ...data.analysis } : row.analysis;
  // Progress that comes after the end of the same run is late news.
  const isLate =
    data.analysis?.state === "running" &&
    row.analysis.state === "done" &&
    data.analysis.id === row.analysis.id;
  return {
    ...row,
    analysis: isLate ? row.analysis : analysis,
    review: data.review ?? row.review,
    state: data.state === "receiving" || data.state === "complete" ? data.state : row.state,
  };
}

/** Whether an event says more than a row can be patched with. */
export function needsRefetch(event: string, data: LiveData, rows: readonly StudyRow[]): boolean {
  const row = rows.find(({ id }) => id === data.study_id);
  if (!row || event.startsWith("study.")) return true;
  const state = data.analysis?.state;
  const isNewEnd = (state === "done" || state === "failed") && state !== row.analysis.state;
  return isNewEnd || (data.review !== undefined && data.review !== row.review);
}

/** Which of the fetched rows were not there before: they slide in. */
export function newIds(before: readonly StudyRow[], after: readonly StudyRow[]): Set<string> {
  const known = new Set(before.map(({ id }) => id));
  return new Set(before.length === 0 ? [] : after.map(({ id }) => id).filter((id) => !known.has(id)));
}
