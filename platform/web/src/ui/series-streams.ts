import type { Series } from "../api/types";
import type { Cell } from "../layout/cells";
import { type VolumeOffer, volumeOffer } from "../layout/stream-state";
import { ConnectionPool } from "../transport/connection-pool";
import type { RenderConnection } from "../transport/render-connection";
import { slicesOf } from "../transport/stack";
import { type WindowChoice, windowChoices } from "./window-choices";

export interface Loaded {
  loaded: number;
  total: number;
}

/** The render streams of a study's series, and what they say that the page shows. */
export class SeriesStreams {
  #pool: ConnectionPool;
  #onChange: () => void;
  #followed = new Map<string, RenderConnection>();
  #fetched = new Map<string, Loaded>();

  constructor(studyId: string, onChange: () => void) {
    this.#pool = new ConnectionPool({ studyId });
    this.#onChange = onChange;
  }

  of(series: Series | null): RenderConnection | null {
    if (!series) return null;
    const connection = this.#pool.get(series);
    if (!this.#followed.has(series.series_instance_uid)) {
      this.#followed.set(series.series_instance_uid, connection);
      connection.addEventListener("change", this.#onChange);
    }
    return connection;
  }

  /** The pack of a series was written. */
  packed(seriesId: string): void {
    this.#pool.packed(seriesId);
  }

  /** A viewport says how much of a series it has, wherever from. */
  fetched(seriesUid: string, loaded: Loaded): void {
    this.#fetched.set(seriesUid, loaded);
  }

  wake(): void {
    this.#pool.wake();
  }

  close(): void {
    this.#pool.close();
  }

  /** How much of each series is here: decoded in the pod, or fetched one by one where there is none. */
  get loaded(): Map<string, Loaded> {
    const all = new Map(this.#fetched);
    for (const [uid, { welcome, progress }] of this.#followed) {
      if (!welcome || !progress) continue;
      const loaded = progress.loaded.reduce((sum, [first, beyond]) => sum + beyond - first, 0);
      all.set(uid, { loaded, total: welcome.frames.length });
    }
    return all;
  }

  /** Whether MPR and 3D can be had. */
  offerOf(series: Series | null): VolumeOffer {
    return volumeOffer(this.of(series), series ? slicesOf(series).length : 0);
  }

  choicesOf(series: Series | null, cell: Cell): WindowChoice[] {
    if (!series) return [];
    const slice = slicesOf(series)[cell.index];
    const facts = this.of(series)?.welcome?.frames.find(
      ({ sop_instance_uid, frame }) =>
        sop_instance_uid === slice?.instance.sop_instance_uid && frame === slice.frame,
    );
    return windowChoices(series, cell, facts?.luts);
  }

  meshesOf(series: Series | null, hiddenIds: ReadonlySet<string>): string[] {
    const results = this.of(series)?.welcome?.results ?? [];
    return results.filter(({ kind, id }) => kind === "mesh" && !hiddenIds.has(id)).map(({ id }) => id);
  }

  /** The pod's names of how tissue looks in 3D, those for the modality first. */
  volumePresetsOf(series: Series | null): string[] {
    const names = this.of(series)?.welcome?.presets ?? [];
    const isOwn = (name: string): boolean => name.startsWith(series?.modality.slice(0, 2) ?? "");
    return [...names.filter(isOwn), ...names.filter((name) => !isOwn(name))];
  }
}
