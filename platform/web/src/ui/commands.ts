/**
 * Everything a reader can do to the images: the one table that the keys, the toolbar with its tooltips
 * and the sheet of shortcuts are made from.
 */

import type { Link } from "../layout/layout-store";
import type { Direction } from "../layout/layouts";
import type { Tool } from "../viewport/modes";
import type { IconName } from "./kit/icons";

export interface ViewerCommands {
  step(by: number): void;
  goToEnd(end: "first" | "last"): void;
  stepSeries(by: 1 | -1): void;
  moveCell(direction: Direction): void;
  usePreset(number: number): void;
  invert(): void;
  rotate(by: 90 | -90): void;
  flip(axis: "horizontal" | "vertical"): void;
  zoom(factor: number): void;
  fit(): void;
  actualSize(): void;
  reset(): void;
  setTool(tool: Tool): void;
  toggleInterpolation(): void;
  toggleLossless(): void;
  toggleCrosshair(): void;
  toggleCine(): void;
  changeSpeed(by: 1 | -1): void;
  toggleLink(link: Link): void;
  toggleCrop(): void;
  toggleMeshes(): void;
  toggleText(): void;
  toggleAi(): void;
  fade(by: number): void;
  stepFinding(by: 1 | -1): void;
  chooseLayout(): void;
  maximiseCell(): void;
  maximise(): void;
  toggleHelp(): void;
}

export const GROUPS = {
  images: "Going through the images",
  tools: "Tools of the left mouse button",
  picture: "Picture",
  layout: "Layout and links",
  volume: "MPR and 3D",
  findings: "Findings",
  page: "Page",
} as const;

export type Group = keyof typeof GROUPS;

export interface Command {
  id: string;
  group: Group;
  /** On the button, its tooltip and the sheet. */
  name: string;
  /** As in KeyboardEvent.key, letters in lower case, with `Shift+` before named keys. */
  keys: readonly string[];
  /** The keys as they are written for people. */
  shown: string;
  icon?: IconName;
  run: (go: ViewerCommands, key: string) => void;
  /** Undone on release when the key was held, not tapped. */
  isHeld?: boolean;
}

const DIGITS = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];

/** One line of the table. `keys`: a single one, or several that do the same by number. */
function entry<const Id extends string>(
  id: Id,
  group: Group,
  name: string,
  shown: string,
  keys: string | readonly string[],
  run: Command["run"],
  icon?: IconName,
) {
  return {
    id,
    group,
    name,
    shown,
    keys: typeof keys === "string" ? [keys] : keys,
    run,
    ...(icon && { icon }),
  };
}

const tool = <const Name extends Tool>(name: Name, what: string, shown: string, icon: IconName) =>
  entry(`tool-${name}` as const, "tools", what, shown, shown.toLowerCase(), (go) => go.setTool(name), icon);

const TABLE = [
  entry("next", "images", "Next image", "↓ or wheel", "ArrowDown", (go) => go.step(1)),
  entry("previous", "images", "Previous image", "↑", "ArrowUp", (go) => go.step(-1)),
  entry("next-ten", "images", "Ten images on", "Shift ↓", "Shift+ArrowDown", (go) => go.step(10)),
  entry("previous-ten", "images", "Ten images back", "Shift ↑", "Shift+ArrowUp", (go) => go.step(-10)),
  entry("first", "images", "First image", "Home", "Home", (go) => go.goToEnd("first")),
  entry("last", "images", "Last image", "End", "End", (go) => go.goToEnd("last")),
  entry("next-series", "images", "Next series", "Page Down", "PageDown", (go) => go.stepSeries(1)),
  entry("previous-series", "images", "Series before", "Page Up", "PageUp", (go) => go.stepSeries(-1)),
  entry("cine", "images", "Cine: play or pause", "C", "c", (go) => go.toggleCine(), "play"),
  entry("cine-faster", "images", "Cine faster", ".", ".", (go) => go.changeSpeed(1)),
  entry("cine-slower", "images", "Cine slower", ",", ",", (go) => go.changeSpeed(-1)),

  tool("window", "Window", "W", "contrast"),
  tool("pan", "Move", "M", "move"),
  tool("zoom", "Zoom", "Z", "zoom"),
  tool("scroll", "Scroll", "S", "scroll"),
  tool("crosshair", "Crosshair", "X", "crosshair"),
  tool("rotate", "Turn in 3D", "O", "orbit"),

  entry("preset", "picture", "Window preset", "1 to 9", DIGITS, (go, key) => go.usePreset(Number(key))),
  entry("auto-window", "picture", "Automatic window", "0", "0", (go) => go.usePreset(0)),
  entry("invert", "picture", "Invert", "I", "i", (go) => go.invert(), "invert"),
  entry("rotate-right", "picture", "Rotate right", "R", "r", (go) => go.rotate(90), "rotateRight"),
  entry("rotate-left", "picture", "Rotate left", "L", "l", (go) => go.rotate(-90), "rotateLeft"),
  entry(
    "flip-horizontal",
    "picture",
    "Flip left and right",
    "H",
    "h",
    (go) => go.flip("horizontal"),
    "flipH",
  ),
  entry("flip-vertical", "picture", "Flip top and bottom", "V", "v", (go) => go.flip("vertical"), "flipV"),
  entry("zoom-in", "picture", "Zoom in", "+", "+", (go) => go.zoom(1.25), "plus"),
  entry("zoom-out", "picture", "Zoom out", "−", "-", (go) => go.zoom(0.8), "minus"),
  entry("fit", "picture", "Fit to the view", "=", "=", (go) => go.fit(), "fit"),
  entry("actual-size", "picture", "1:1, a pixel for a pixel", "/", "/", (go) => go.actualSize(), "actual"),
  entry(
    "interpolation",
    "picture",
    "Pixels, not smoothed",
    "Y",
    "y",
    (go) => go.toggleInterpolation(),
    "pixels",
  ),
  entry("lossless", "picture", "Always full quality", "Q", "q", (go) => go.toggleLossless(), "diamond"),
  entry("reset", "picture", "Reset view", "Space", " ", (go) => go.reset(), "reset"),

  entry("layout", "layout", "Layout", "G", "g", (go) => go.chooseLayout(), "grid"),
  entry("cell-left", "layout", "Viewport before", "←", "ArrowLeft", (go) => go.moveCell("left")),
  entry("cell-right", "layout", "Next viewport", "→", "ArrowRight", (go) => go.moveCell("right")),
  entry("maximise-cell", "layout", "One viewport large, and back", "Enter", "Enter", (go) =>
    go.maximiseCell(),
  ),
  entry(
    "link-scroll",
    "layout",
    "Link scrolling by position",
    "K",
    "k",
    (go) => go.toggleLink("scroll"),
    "link",
  ),
  entry("link-window", "layout", "Link window", "Shift W", "Shift+W", (go) => go.toggleLink("window")),
  entry("link-zoom", "layout", "Link zoom and position", "Shift Z", "Shift+Z", (go) => go.toggleLink("zoom")),
  entry("link-lines", "layout", "Reference lines", "Shift L", "Shift+L", (go) => go.toggleLink("lines")),

  entry("crosshair", "volume", "Show the crosshair", "Shift X", "Shift+X", (go) => go.toggleCrosshair()),
  entry("crop", "volume", "Crop box", "B", "b", (go) => go.toggleCrop(), "crop"),
  entry("meshes", "volume", "Findings in 3D", "D", "d", (go) => go.toggleMeshes(), "spark"),

  {
    ...entry("ai", "findings", "AI overlay; hold for a glance", "A", "a", (go) => go.toggleAi()),
    isHeld: true,
  },
  entry("fainter", "findings", "Overlay fainter", "[", "[", (go) => go.fade(-0.1)),
  entry("stronger", "findings", "Overlay stronger", "]", "]", (go) => go.fade(0.1)),
  entry("next-finding", "findings", "Next finding", "N", "n", (go) => go.stepFinding(1)),
  entry("previous-finding", "findings", "Finding before", "P", "p", (go) => go.stepFinding(-1)),

  entry("text", "page", "Hide name and texts", "T", "t", (go) => go.toggleText(), "eyeOff"),
  entry("maximise", "page", "Images only, or with panels", "F", "f", (go) => go.maximise(), "panels"),
  entry("help", "page", "Keys and gestures", "?", "?", (go) => go.toggleHelp(), "keyboard"),
] as const;

export type CommandId = (typeof TABLE)[number]["id"];

export const COMMANDS: readonly Command[] = TABLE;
const BY_ID = new Map<string, Command>(COMMANDS.map((command) => [command.id, command]));

export function commandOf(id: CommandId): Command {
  const command = BY_ID.get(id);
  if (!command) throw new RangeError(`There is no command ${id}.`);
  return command;
}

/** What the mouse and fingers do; not keys, but looked for in the same place. */
export const POINTERS: readonly (readonly [string, string])[] = [
  ["Left drag", "The chosen tool; at first the window: across is width, up is brighter"],
  ["Right drag", "Zoom"],
  ["Middle drag", "Move"],
  ["Wheel", "Scroll; with Ctrl zoom"],
  ["Double click", "One viewport large, and back"],
  ["Drag a series", "Onto a viewport, to open it there"],
  ["One finger", "Scroll, or window when chosen in the toolbar; turn in 3D"],
  ["Two fingers", "Zoom and move"],
];
