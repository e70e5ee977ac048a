/** The one table of keys: the handlers and the help sheet are both made from it. */
export interface ViewerCommands {
  step(by: number): void;
  goToEnd(end: "first" | "last"): void;
  stepSeries(by: 1 | -1): void;
  usePreset(number: number): void;
  invert(): void;
  reset(): void;
  toggleAi(): void;
  fade(by: number): void;
  stepFinding(by: 1 | -1): void;
  maximise(): void;
  toggleHelp(): void;
}

export interface Shortcut {
  /** As in KeyboardEvent.key, letters in lower case. */
  keys: readonly string[];
  shown: string;
  what: string;
  run: (commands: ViewerCommands, key: string) => void;
  /** Undone on release when the key was held, not tapped. */
  isHeld?: boolean;
}

export const SHORTCUTS: readonly Shortcut[] = [
  { keys: ["ArrowDown"], shown: "↓ or wheel", what: "Next slice", run: (go) => go.step(1) },
  { keys: ["ArrowUp"], shown: "↑", what: "Previous slice", run: (go) => go.step(-1) },
  { keys: ["PageDown"], shown: "Page Down", what: "Ten slices on", run: (go) => go.step(10) },
  { keys: ["PageUp"], shown: "Page Up", what: "Ten slices back", run: (go) => go.step(-10) },
  { keys: ["Home"], shown: "Home", what: "First slice", run: (go) => go.goToEnd("first") },
  { keys: ["End"], shown: "End", what: "Last slice", run: (go) => go.goToEnd("last") },
  { keys: ["ArrowRight"], shown: "→", what: "Next series", run: (go) => go.stepSeries(1) },
  { keys: ["ArrowLeft"], shown: "←", what: "Previous series", run: (go) => go.stepSeries(-1) },
  {
    keys: ["1", "2", "3", "4", "5", "6", "7", "8", "9"],
    shown: "1 to 9",
    what: "Window preset",
    run: (go, key) => go.usePreset(Number(key)),
  },
  { keys: ["i"], shown: "I", what: "Invert", run: (go) => go.invert() },
  { keys: [" "], shown: "Space", what: "Reset window, zoom and position", run: (go) => go.reset() },
  {
    keys: ["a"],
    shown: "A",
    what: "AI overlay on or off; hold for a glance",
    run: (go) => go.toggleAi(),
    isHeld: true,
  },
  { keys: ["["], shown: "[", what: "Overlay fainter", run: (go) => go.fade(-0.1) },
  { keys: ["]"], shown: "]", what: "Overlay stronger", run: (go) => go.fade(0.1) },
  { keys: ["n"], shown: "N", what: "Next finding", run: (go) => go.stepFinding(1) },
  { keys: ["p"], shown: "P", what: "Previous finding", run: (go) => go.stepFinding(-1) },
  { keys: ["f"], shown: "F or double click", what: "Image only, or with panels", run: (go) => go.maximise() },
  { keys: ["?"], shown: "?", what: "This sheet", run: (go) => go.toggleHelp() },
];

/** What the mouse and fingers do; not keys, but looked for in the same place. */
export const POINTERS: readonly (readonly [string, string])[] = [
  ["Left drag", "Window: across is width, up is brighter"],
  ["Right drag", "Zoom"],
  ["Middle drag", "Move"],
  ["One finger", "Scroll, or window when chosen in the toolbar"],
  ["Two fingers", "Zoom and move"],
];

const HOLD_MS = 350;
const TYPING = "input:not([type=range], [type=checkbox], [type=radio]), select, textarea";
const PRESSABLE = "button, a, summary, input";
const MOVES = /^(Arrow|Page|Home|End)/;

/** Listens for the table's keys on the page; returns the function that stops it. */
export function listen(commands: ViewerCommands, isOn: () => boolean): () => void {
  const byKey = new Map(
    SHORTCUTS.flatMap((shortcut) => shortcut.keys.map((key) => [key, shortcut] as const)),
  );
  const held = new Map<string, { shortcut: Shortcut; since: number }>();
  const nameOf = (event: KeyboardEvent): string =>
    event.key.length === 1 ? event.key.toLowerCase() : event.key;

  const down = (event: KeyboardEvent): void => {
    const target = event.composedPath()[0];
    const shortcut = byKey.get(nameOf(event));
    if (!shortcut || event.ctrlKey || event.metaKey || event.altKey || !(target instanceof Element)) return;
    const isTyping = target.matches(TYPING) || (target.matches("input") && MOVES.test(event.key));
    const isPress = event.key === " " && target.matches(PRESSABLE);
    const isInDialog = event.composedPath().some((at) => at instanceof HTMLDialogElement);
    if (isTyping || isPress || isInDialog || (event.key.length === 1 && event.key !== "?" && !isOn())) return;
    event.preventDefault();
    if (shortcut.isHeld) {
      if (event.repeat) return;
      held.set(nameOf(event), { shortcut, since: event.timeStamp });
    }
    shortcut.run(commands, nameOf(event));
  };

  const up = (event: KeyboardEvent): void => {
    const press = held.get(nameOf(event));
    held.delete(nameOf(event));
    if (press && event.timeStamp - press.since > HOLD_MS) press.shortcut.run(commands, nameOf(event));
  };

  document.addEventListener("keydown", down);
  document.addEventListener("keyup", up);
  return () => {
    document.removeEventListener("keydown", down);
    document.removeEventListener("keyup", up);
  };
}
