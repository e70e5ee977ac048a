/** Windows as the reader chooses them, as the stream asks for them, and as frames come in them. */
import type { VoiWindow } from "../api/types";
import type { Voi } from "../transport/protocol.gen";
import type { Shown } from "../transport/stream-view";

/** What stands for "as the picture says" in the stream. */
const voi = (kind: Voi["kind"], more: Partial<Voi> = {}): Voi => ({
  kind,
  center: null,
  width: null,
  function: "linear",
  index: 0,
  ...more,
});

export function voiOf(window: VoiWindow | "auto" | null, lut: number | null): Voi {
  if (lut !== null) return voi("lut", { index: lut });
  if (window === null) return voi("default");
  if (window === "auto") return voi("auto");
  const { center, width } = window;
  // A linear window is one unit wide at least (PS3.3 C.11.2.1.2.1); float maps need narrower ones.
  return voi("window", { center, width, function: width > 1 ? "linear" : "linear-exact" });
}

/** The window that the pod drew a frame in; null in colour. */
export function windowOf({ frame }: Pick<Shown, "frame">): VoiWindow | null {
  const { windowCenter: center, windowWidth: width } = frame;
  return Number.isFinite(center) && width > 0 ? { center, width } : null;
}

export const isSameWindow = (one: VoiWindow | null, other: VoiWindow | null): boolean =>
  one?.center === other?.center && one?.width === other?.width;
