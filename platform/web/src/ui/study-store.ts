import { bootstrap } from "../api/bootstrap";
import { getStudy, listAnalyses, reviewFinding } from "../api/client";
import { type LiveConnection, type LiveState, openLive } from "../api/live";
import { asProblem } from "../api/problem";
import type { Analysis, Finding, LiveData, ReviewState, Series, Study } from "../api/types";
import type { ReviewRequest } from "../findings/finding-row";
import { notify, notifyProblem } from "./kit/notices";

const REFETCH_MS = 150;
const DECIDED: Record<ReviewRequest["decision"], ReviewState> = {
  accept: "accepted",
  reject: "rejected",
  reopen: "unreviewed",
};

/** A run after a live event; the same object where the event is about another. */
export function patchAnalysis(analysis: Analysis, data: LiveData): Analysis {
  const isOver = analysis.state === "done" || analysis.state === "failed";
  if (data.analysis_id !== analysis.id || isOver) return analysis;
  return {
    ...analysis,
    progress: data.progress ?? analysis.progress,
    stage: data.stage ?? analysis.stage,
    sentence: data.sentence ?? analysis.sentence,
    state: isRunning(data.state) ? data.state : analysis.state,
  };
}

/** Ends are fetched, not patched: only then do the findings exist here. */
function isRunning(state: string | undefined): state is "queued" | "running" | "waiting" {
  return state === "queued" || state === "running" || state === "waiting";
}

/** Series that did not change stay the same objects, so that nothing on the screen starts anew. */
export function keepSame(before: readonly Series[], after: readonly Series[]): Series[] {
  const known = new Map(before.map((series) => [JSON.stringify(series), series]));
  return after.map((series) => known.get(JSON.stringify(series)) ?? series);
}

/** One study, its results, and what happens to them while it is open. */
export class StudyStore {
  study: Study | null = null;
  analyses: Analysis[] | null = null;
  error: unknown = null;
  live: LiveState = "connecting";
  pending: ReadonlyMap<string, ReviewState> = new Map();
  /** The pack of a series was written: MPR and 3D can be had from now on. */
  onPacked: (seriesId: string) => void = () => {};
  #id: string;
  #onChange: () => void;
  #connection: LiveConnection | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #fetching = 0;

  constructor(id: string, onChange: () => void) {
    this.#id = id;
    this.#onChange = onChange;
  }

  async fetch(): Promise<void> {
    const turn = ++this.#fetching;
    try {
      const [study, analyses] = await Promise.all([getStudy(this.#id), listAnalyses(this.#id)]);
      if (turn !== this.#fetching) return;
      this.study = { ...study, series: keepSame(this.study?.series ?? [], study.series) };
      this.analyses = analyses;
      this.error = null;
      this.#onChange();
      this.#connection ??= openLive(bootstrap().urls.ws, (live) => {
        this.live = live;
        this.#onChange();
      });
      this.#connection.subscribe(study.cursor, {
        onEvent: (event, data) => this.#onEvent(event, data),
        onRefetch: () => this.refetchSoon(),
      });
    } catch (error) {
      if (turn !== this.#fetching) return;
      if (this.study) notifyProblem("The study could not be refreshed", error);
      else this.error = error;
      this.#onChange();
    }
  }

  refetchSoon(): void {
    // Not restarted by further news: progress events would put the refetch off for ever.
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.fetch();
    }, REFETCH_MS);
  }

  wake(): void {
    this.#connection?.wake();
    this.refetchSoon();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#fetching += 1;
    this.#connection?.close();
  }

  #onEvent(event: string, data: LiveData): void {
    if (event === "series.packed.v1") {
      if (data.series_id) this.onPacked(data.series_id);
      return;
    }
    const before = this.analyses ?? [];
    this.analyses = before.map((analysis) => patchAnalysis(analysis, data));
    const isKnown = before.some((analysis) => analysis.id === data.analysis_id);
    const isProgress = event.startsWith("analysis.") && isKnown && isRunning(data.state);
    if (!isProgress) this.refetchSoon();
    this.#onChange();
  }

  /** Save a decision; shown at once as being saved, taken back with the reason if it is not. */
  async review({ finding, decision, reason }: ReviewRequest): Promise<void> {
    if (this.pending.has(finding.id)) return;
    this.#setPending(finding.id, DECIDED[decision]);
    try {
      this.#replace(await reviewFinding(finding, decision, reason));
    } catch (error) {
      const problem = asProblem(error);
      // Without an answer, or with a broken one, the decision may have been saved: ask what is so.
      const isKnown = problem.status > 0 && problem.status < 500;
      if (problem.status === 409)
        notify("warn", "Your decision was not saved", `${problem.message} The present state is shown.`);
      else
        notifyProblem(
          isKnown ? "Your decision was not saved" : "It is not sure that your decision was saved",
          error,
        );
      await this.fetch();
    } finally {
      this.#setPending(finding.id, null);
    }
  }

  #setPending(id: string, state: ReviewState | null): void {
    const pending = new Map(this.pending);
    if (state) pending.set(id, state);
    else pending.delete(id);
    this.pending = pending;
    this.#onChange();
  }

  #replace(fresh: Finding): void {
    this.analyses = (this.analyses ?? []).map((analysis) => ({
      ...analysis,
      findings: analysis.findings.map((finding) => (finding.id === fresh.id ? fresh : finding)),
    }));
  }
}

/** The series to open first: what AI looked at, else the largest one with pictures. */
export function firstSeries(study: Study, analyses: readonly Analysis[]) {
  const pictures = study.series.filter((series) => series.is_image && series.instances.length > 0);
  const analysed = analyses.find(({ state }) => state === "done")?.input_series_instance_uid;
  const sorted = [...pictures].sort((one, other) => other.instances.length - one.instances.length);
  return (
    pictures.find((series) => series.series_instance_uid === analysed) ??
    sorted.find((series) => !series.is_ai_result) ??
    null
  );
}
