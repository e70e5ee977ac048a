import type { Instance, Series } from "../api/types";

/** One picture of a series: an instance, or one frame of it. */
export interface Slice {
  instance: Instance;
  /** From 1, as in DICOMweb. */
  frame: number;
}

/** The pictures of a series in the order in which they are scrolled. */
export function slicesOf(series: Series): Slice[] {
  return series.instances.flatMap((instance) =>
    Array.from({ length: Math.max(1, instance.frames) }, (_, at) => ({ instance, frame: at + 1 })),
  );
}

/** What one step of the scroll is called: parts of one recording are frames, single pictures images. */
export function sliceWord({ instance }: Slice): "Slice" | "Frame" | "Image" {
  if (instance.frames > 1) return "Frame";
  return instance.image_orientation_patient ? "Slice" : "Image";
}

/** Pixel spacing that lengths can be told from; scanners also write zeros. */
export function spacingOf({ instance }: Slice): [number, number] | null {
  const spacing = instance.pixel_spacing_mm;
  return spacing?.length === 2 && spacing.every((mm) => mm > 0) ? spacing : null;
}

/** Where an instance's first picture is in its series, -1 if it is not there. */
export function indexOfInstance(series: Series, sopInstanceUid: string): number {
  return slicesOf(series).findIndex(({ instance }) => instance.sop_instance_uid === sopInstanceUid);
}

/** Where the rendered picture of one slice is found, without query. */
export function renderedUrl(dicomweb: string, study: string, series: string, slice: Slice): string {
  const { sop_instance_uid, frames } = slice.instance;
  const instance = `${dicomweb}/studies/${study}/series/${series}/instances/${sop_instance_uid}`;
  return frames > 1 ? `${instance}/frames/${slice.frame}/rendered` : `${instance}/rendered`;
}
