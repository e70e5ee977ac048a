import { getContours } from "../api/client";
import type { Analysis, Finding } from "../api/types";
import { Outlines, type OverlayItem } from "../viewport/contours";

/** Outlines by finding: each fetched once, and only when its series is looked at. */
export class OverlayStore {
  #outlines = new Map<string, Outlines>();
  #failures = new Map<string, unknown>();
  #asked = new Set<string>();
  #onChange: () => void;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  failure(findingId: string): unknown {
    return this.#failures.get(findingId) ?? null;
  }

  isLoading(findingId: string): boolean {
    return this.#asked.has(findingId) && !this.#outlines.has(findingId) && !this.#failures.has(findingId);
  }

  load(findings: readonly Finding[]): void {
    for (const finding of findings) {
      if (this.#asked.has(finding.id)) continue;
      this.#asked.add(finding.id);
      getContours(finding.contours_url)
        .then((contours) => this.#outlines.set(finding.id, new Outlines(contours)))
        .catch((error: unknown) => this.#failures.set(finding.id, error))
        .finally(() => this.#onChange());
    }
  }

  retry(finding: Finding): void {
    this.#asked.delete(finding.id);
    this.#failures.delete(finding.id);
    this.load([finding]);
    this.#onChange();
  }

  /** What to draw over a series: not what is hidden, nor what a person rejected. */
  itemsFor(
    findings: readonly Finding[],
    hidden: ReadonlySet<string>,
    currentId: string | null,
  ): OverlayItem[] {
    return findings.flatMap((finding, at) => {
      const outlines = this.#outlines.get(finding.id);
      if (!outlines || hidden.has(finding.id) || finding.review.state === "rejected") return [];
      return [
        {
          outlines,
          color: finding.color,
          state: finding.review.state,
          pattern: at,
          isCurrent: finding.id === currentId,
        },
      ];
    });
  }
}

/** Findings of the newest finished run of each model, each followed by its regions. */
export function currentFindings(analyses: readonly Analysis[]): Finding[] {
  const models = new Set<string>();
  return analyses.flatMap(({ state, model, findings }) => {
    if (state !== "done" || models.has(model.name)) return [];
    models.add(model.name);
    return findings.filter(isWhole).flatMap((whole) => [whole, ...partsOf(whole, findings)]);
  });
}

export const isWhole = (finding: Finding): boolean => finding.part_of === null;

/** The connected regions of a finding, largest first. */
export function partsOf(whole: Finding, findings: readonly Finding[]): Finding[] {
  return findings.filter(({ part_of }) => part_of === whole.number);
}
