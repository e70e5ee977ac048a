/** The worklist's state without its looks: query, rows, and what live events do to them. */
import type { LiveData, RunState, StudyRow, WorklistQuery } from "../api/types";

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

const RUN_STATES: readonly string[] = ["queued", "running", "waiting", "done", "failed", "not_analysed"];

/** A row after a live event; the same object where nothing changed. */
export function patchRow(row: StudyRow, event: string, data: LiveData): StudyRow {
  if (data.study_id !== row.id) return row;
  if (event.startsWith("study.")) {
    const isState = data.state === "receiving" || data.state === "complete";
    return {
      ...row,
      review: data.review ?? row.review,
      state: isState ? (data.state as StudyRow["state"]) : row.state,
    };
  }
  const isItsRun = event.startsWith("analysis.") && data.analysis_id === row.analysis.id;
  // Progress that comes after the end is late news.
  if (!isItsRun || isOver(row.analysis.state) || !RUN_STATES.includes(data.state ?? "")) return row;
  const { progress = row.analysis.progress, sentence = row.analysis.sentence } = data;
  return { ...row, analysis: { ...row.analysis, state: data.state as RunState, progress, sentence } };
}

function isOver(state: string | undefined): boolean {
  return state === "done" || state === "failed" || state === "not_analysed";
}

/** Whether an event says more than a row can be patched with. */
export function needsRefetch(event: string, data: LiveData, rows: readonly StudyRow[]): boolean {
  const row = rows.find(({ id }) => id === data.study_id);
  if (!row || event.startsWith("study.")) return true;
  if (!event.startsWith("analysis.")) return false;
  return data.analysis_id !== row.analysis.id || (isOver(data.state) && !isOver(row.analysis.state));
}

/** Which of the fetched rows were not there before: they slide in. */
export function newIds(before: readonly StudyRow[], after: readonly StudyRow[]): Set<string> {
  const known = new Set(before.map(({ id }) => id));
  return new Set(before.length === 0 ? [] : after.map(({ id }) => id).filter((id) => !known.has(id)));
}
