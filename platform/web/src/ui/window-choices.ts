import type { Series, VoiWindow } from "../api/types";
import type { Cell } from "../layout/cells";
import { isColour, presetsOf } from "../viewport/presets";

/** One way of turning values into grey: a window, the picture's own table, or what suits what is shown. */
export interface WindowChoice {
  name: string;
  window: VoiWindow | "auto" | null;
  lut: number | null;
  /** The key that chooses it; empty where it has none. */
  key: string;
}

/** What can be chosen for a series: presets by key 1 to 9, automatic by 0, then lookup tables. */
export function windowChoices(series: Series, cell: Cell, luts: readonly string[] = []): WindowChoice[] {
  if (isColour(series)) return [];
  const presets = presetsOf(series, cell.found).map(({ name, window }, at) => ({
    name,
    window,
    lut: null,
    key: String(at + 1),
  }));
  const tables = luts.map((name, at) => ({
    name: name || `Lookup table ${at + 1}`,
    window: null,
    lut: at,
    key: "",
  }));
  return [...presets, { name: "Auto, by contrast", window: "auto", lut: null, key: "0" }, ...tables];
}

/** Which choice the cell shows; -1: a window of the reader's own. */
export function currentChoice(choices: readonly WindowChoice[], { window, lut }: Cell): number {
  return choices.findIndex((choice) => {
    if (choice.lut !== lut) return false;
    if (lut !== null) return true;
    if (choice.window === null || window === null || choice.window === "auto" || window === "auto")
      return choice.window === window;
    return choice.window.center === window.center && choice.window.width === window.width;
  });
}
