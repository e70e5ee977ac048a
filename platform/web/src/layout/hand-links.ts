/** Links that a reader makes by hand between two frames of reference; nothing else makes any. */
import type { Series } from "../api/types";
import { slicesOf } from "../transport/stack";
import { dot, type Plane, scale } from "../viewport/lps";
import { planeOf } from "../viewport/slice-plane";
import type { Cell } from "./cells";
import { areParallel, type Found, normalOf, shareFrame, sliceAt } from "./planes";

/** A slice that is looked at. */
export interface Seen {
  series: Series;
  index: number;
}

/** Another cell that the active one may be linked with. */
export interface HandOffer {
  at: number;
  name: string;
  isLinked: boolean;
  /** Why it cannot be; empty where it can. */
  refusal: string;
}

/** A cell that one is linked with, and by how much deeper it is shown there. */
export interface HandOffset {
  at: number;
  offsetMm: number;
}

/** The cells as they are now. */
interface Stage {
  readonly cells: readonly Cell[];
  readonly active: number;
  seriesOf(cell: Cell): Series | null;
}

interface HandLink {
  spaces: readonly [string, string];
  /** How the slices lay that were said to be the same place. */
  like: Plane;
  /** Depth of the second less that of the first along the normal of `like`. */
  offsetMm: number;
}

/** What positions of a series mean anything in: its frame of reference, or itself where it names none. */
const spaceOf = (series: Series): string => series.frame_of_reference_uid || series.series_instance_uid;

function seenAt(stage: Stage, at: number): Seen | null {
  const cell = stage.cells[at];
  const series = cell?.mode === "stack" ? stage.seriesOf(cell) : null;
  return cell && series ? { series, index: cell.index } : null;
}

/** They live as long as the page: what a reader judged by eye is not kept for the next one. */
export class HandLinks {
  #links: readonly HandLink[] = [];

  /** Why two slices cannot be said to be the same place; empty where they can. */
  refusal(one: Seen, other: Seen): string {
    if (shareFrame(one.series, other.series)) return "They are linked already: one frame of reference.";
    const [here, there] = [one, other].map(({ series, index }) => planeOf(slicesOf(series)[index]));
    if (!here || !there) return "The images do not say where they lie in the patient.";
    return areParallel(here, there) ? "" : "The images lie in different directions.";
  }

  /** Say that two slices show the same place; scrolling either series moves the other from now on. */
  link(one: Seen, other: Seen): void {
    const [here, there] = [one, other].map(({ series, index }) => planeOf(slicesOf(series)[index]));
    if (!here || !there || this.refusal(one, other)) return;
    this.unlink(one.series, other.series);
    const normal = normalOf(here);
    const spaces = [spaceOf(one.series), spaceOf(other.series)] as const;
    const offsetMm = dot(there.center, normal) - dot(here.center, normal);
    this.#links = [...this.#links, { spaces, like: here, offsetMm }];
  }

  unlink(one: Series, other: Series): void {
    const link = this.#between(one, other);
    this.#links = this.#links.filter((each) => each !== link);
  }

  /** By how much places of `one` lie deeper in `other`, mm; null where the two are not linked by hand. */
  offsetOf(one: Series, other: Series): number | null {
    const link = this.#between(one, other);
    return link && this.#offset(link, one);
  }

  /** The stacks of other frames of reference on the stage. */
  offers(stage: Stage): HandOffer[] {
    const one = seenAt(stage, stage.active);
    if (!one) return [];
    return stage.cells.flatMap((_, at) => {
      const other = seenAt(stage, at);
      if (!other || spaceOf(other.series) === spaceOf(one.series)) return [];
      const { series } = other;
      const isLinked = this.offsetOf(one.series, series) !== null;
      const name = series.series_description || series.modality;
      return [{ at, name, isLinked, refusal: this.refusal(one, other) }];
    });
  }

  offsets(stage: Stage, at: number): HandOffset[] {
    const one = seenAt(stage, at);
    return stage.cells.flatMap((_, index) => {
      const other = seenAt(stage, index);
      const offsetMm = one && other ? this.offsetOf(one.series, other.series) : null;
      return offsetMm === null ? [] : [{ at: index, offsetMm }];
    });
  }

  /** The slice of `target` that goes with one of `source`, by the link between the two. */
  follow(source: Series, index: number, target: Series): Found | null {
    const link = this.#between(source, target);
    const plane = planeOf(slicesOf(source)[index]);
    if (!link || !plane || !areParallel(plane, link.like)) return null;
    const normal = normalOf(link.like);
    const depth = dot(plane.center, normal) + this.#offset(link, source);
    return sliceAt(target, scale(normal, depth), link.like);
  }

  #between(one: Series, other: Series): HandLink | null {
    const [here, there] = [spaceOf(one), spaceOf(other)];
    if (here === there) return null;
    return this.#links.find(({ spaces }) => spaces.includes(here) && spaces.includes(there)) ?? null;
  }

  #offset({ spaces, offsetMm }: HandLink, from: Series): number {
    return spaces[0] === spaceOf(from) ? offsetMm : -offsetMm;
  }
}
