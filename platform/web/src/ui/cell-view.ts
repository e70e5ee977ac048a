import type { Finding, Series } from "../api/types";
import type { OverlayStore } from "../findings/overlay-store";
import { EMPTY } from "../layout/cells";
import type { LayoutStore } from "../layout/layout-store";
import { slicesOf } from "../transport/stack";
import type { SeriesStreams } from "./series-streams";
import type { CellView } from "./viewport-grid";

/** What of the viewer's state the cells show. */
export interface Shown {
  readonly layout: LayoutStore;
  readonly streams: SeriesStreams;
  readonly overlays: OverlayStore;
  readonly hiddenIds: ReadonlySet<string>;
  readonly currentId: string;
  readonly isAiHidden: boolean;
  readonly isPhone: boolean;
  findingsOn(seriesUid: string): Finding[];
}

/** One cell as it is to be seen now; `was` is the same cell before. */
export function cellView(viewer: Shown, at: number, was: CellView | undefined): CellView {
  const { layout, streams } = viewer;
  const cell = layout.cells[at] ?? EMPTY;
  const series = layout.seriesOf(cell);
  const here = viewer.findingsOn(cell.seriesUid);
  const isAlone = layout.isMaximised || viewer.isPhone;
  const meshes = cell.areMeshesShown && !viewer.isAiHidden ? streams.meshesOf(series, viewer.hiddenIds) : [];
  const overlay = viewer.overlays.itemsFor(here, viewer.hiddenIds, viewer.currentId);
  return {
    at,
    cell,
    series,
    connection: streams.of(series),
    overlay: keepList(was?.overlay, overlay),
    marks: keepList(was?.marks, series ? marksOn(series, here) : []),
    hasUnreviewed: here.some((finding) => finding.review.state === "unreviewed"),
    crosshair: layout.crosshairOf(cell),
    referencePlanes: keepList(was?.referencePlanes, isAlone ? [] : layout.referencePlanesFor(at)),
    meshes: keepList(was?.meshes, meshes),
    tool: layout.toolOf(cell),
    color: layout.colorOf(at),
    isLinked: layout.isLinked(at),
    handLink: isAlone ? "" : handWord(layout.handLinksOf(at)),
    refusal: cell.mode === "stack" ? "" : streams.offerOf(series).refusal,
  };
}

/** "Linked by hand: viewport 1, 2 at +12.5 mm". */
function handWord(links: readonly { at: number; offsetMm: number }[]): string {
  const places = new Map<string, number[]>();
  for (const { at, offsetMm } of links) {
    const mm = offsetMm.toLocaleString("en", { signDisplay: "exceptZero", maximumFractionDigits: 1 });
    places.set(mm, [...(places.get(mm) ?? []), at + 1]);
  }
  const words = [...places].map(([mm, at]) => `viewport ${at.join(", ")} at ${mm} mm`);
  return words.length > 0 ? `Linked by hand: ${words.join("; ")}` : "";
}

/** The slices of a series that carry a standing finding. */
function marksOn(series: Series, findings: readonly Finding[]): number[] {
  const standing = findings.filter((finding) => finding.review.state !== "rejected");
  const uids = new Set(
    standing.flatMap((finding) => finding.slice_areas.map((slice) => slice.sop_instance_uid)),
  );
  return slicesOf(series).flatMap(({ instance }, at) => (uids.has(instance.sop_instance_uid) ? [at] : []));
}

function isSame(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (typeof one !== "object" || typeof other !== "object" || !one || !other) return false;
  const fields = Object.entries(one);
  return (
    fields.length === Object.keys(other).length &&
    fields.every(([key, value]) => value === (other as Record<string, unknown>)[key])
  );
}

/** The former list where the new one holds the same. */
function keepList<T>(before: readonly T[] | undefined, after: readonly T[]): readonly T[] {
  const isKept = before?.length === after.length && before.every((item, at) => isSame(item, after[at]));
  return isKept ? before : after;
}
