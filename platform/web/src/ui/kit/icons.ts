import { html, svg, type TemplateResult } from "lit";

/** Our own drawings on a 20 by 20 grid, stroked in the text's colour. */
const PATHS = {
  accept: "M4 10.5 8 14.5 16 5.5",
  actual: "M4 6.5 6 5v10M13.5 6.5l2-1.5v10M10 8v.1M10 12v.1",
  alert: "M10 3 18 16.5H2ZM10 8v4M10 14.2v.1",
  arrived: "M10 3v9M6 8.5l4 4 4-4M3.5 16.5h13",
  back: "M12 4 6 10l6 6",
  cancel: "M5 5l10 10M15 5 5 15",
  chart: "M3 16.5h14M5 13l3-5 3.5 3L16 4.5",
  clock: "M10 2.8a7.2 7.2 0 1 0 0 14.4 7.2 7.2 0 0 0 0-14.4ZM10 6v4.3l2.8 1.7",
  contrast: "M10 2.8a7.2 7.2 0 1 0 0 14.4ZM10 2.8a7.2 7.2 0 0 1 0 14.4",
  crop: "M5.5 2v12.5H18M2 5.5h12.5V18",
  crosshair: "M10 2v6M10 12v6M2 10h6M12 10h6M10 9.9v.2",
  cube: "M10 2.5 16.5 6v8L10 17.5 3.5 14V6ZM3.5 6 10 9.6 16.5 6M10 9.6v7.9",
  diamond: "M6 3.5h8L18 8l-8 9L2 8ZM2 8h16M10 17 6.8 8 8.5 3.5M10 17l3.2-9-1.7-4.5",
  done: "M10 2.8a7.2 7.2 0 1 0 0 14.4 7.2 7.2 0 0 0 0-14.4ZM6.8 10.2l2.3 2.3 4.2-4.7",
  down: "M5 8l5 5 5-5",
  expand: "M12 3h5v5M17 3l-6 6M8 17H3v-5M3 17l6-6",
  eye: "M1.8 10S4.8 4.5 10 4.5 18.2 10 18.2 10 15.2 15.5 10 15.5 1.8 10 1.8 10ZM10 7.6a2.4 2.4 0 1 0 0 4.8 2.4 2.4 0 0 0 0-4.8",
  eyeOff:
    "M3 3l14 14M6.3 6.2C3.4 7.6 1.8 10 1.8 10S4.8 15.5 10 15.5c1.4 0 2.6-.4 3.6-.9M8.4 4.7c.5-.1 1-.2 1.6-.2 5.2 0 8.2 5.5 8.2 5.5s-.8 1.5-2.3 2.9",
  fit: "M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4",
  flipH: "M10 2.5v15M7.5 5 2 15h5.5ZM12.5 5 18 15h-5.5Z",
  flipV: "M2.5 10h15M5 7.5 15 2v5.5ZM5 12.5 15 18v-5.5Z",
  folder: "M2.5 5.5v10h15v-8.5h-7.5l-2-2.5h-4a1.5 1.5 0 0 0-1.5 1Z",
  grid: "M3 3h14v14H3ZM10 3v14M3 10h14",
  home: "M4 4h12v12H4ZM8 10h4M10 8v4",
  info: "M10 2.8a7.2 7.2 0 1 0 0 14.4 7.2 7.2 0 0 0 0-14.4ZM10 9v5M10 6.2v.1",
  invert: "M3 3h14v14H3ZM17 3 3 17V3Z",
  keyboard: "M2 5h16v10H2ZM5 8.2h.1M8.3 8.2h.1M11.7 8.2h.1M15 8.2h.1M6 12h8",
  layers: "M10 3 2.5 7 10 11l7.5-4ZM3 11l7 3.7L17 11",
  link: "M8 12l4-4M7 9l-2.5 2.5a2.8 2.8 0 0 0 4 4L11 13M13 11l2.5-2.5a2.8 2.8 0 0 0-4-4L9 7",
  menu: "M3 5.5h14M3 10h14M3 14.5h14",
  minus: "M4 10h12",
  more: "M4.5 10h.1M10 10h.1M15.5 10h.1",
  move: "M10 2v16M2 10h16M7.5 4.5 10 2l2.5 2.5M7.5 15.5 10 18l2.5-2.5M4.5 7.5 2 10l2.5 2.5M15.5 7.5 18 10l-2.5 2.5",
  next: "M8 4l6 6-6 6",
  orbit:
    "M10 3.2c2 0 3.4 3 3.4 6.8s-1.4 6.8-3.4 6.8S6.6 13.8 6.6 10 8 3.2 10 3.2ZM17.5 10c0 2-3.3 3.5-7.5 3.5S2.5 12 2.5 10 5.8 6.5 10 6.5 17.5 8 17.5 10Z",
  panels: "M2.5 4h15v12h-15ZM6.5 4v12M13.5 4v12",
  pause: "M6.5 4v12M13.5 4v12",
  person: "M10 3a3.3 3.3 0 1 0 0 6.6A3.3 3.3 0 0 0 10 3ZM3.5 17c.6-3.6 3-5.3 6.5-5.3s5.9 1.7 6.5 5.3",
  pixels: "M3 3h14v14H3ZM3 7.7h14M3 12.3h14M7.7 3v14M12.3 3v14",
  play: "M6 4l10 6-10 6Z",
  plus: "M10 4v12M4 10h12",
  refer: "M11 4l5.5 5-5.5 5v-3.3c-4 0-6.3 1.3-7.5 4.3 0-4.8 2.5-7.7 7.5-7.7Z",
  reset: "M4 4v4.5h4.5M4.5 8.2A6.5 6.5 0 1 1 3.6 12",
  rotateLeft: "M3.5 4.5V9H8M3.8 9A6.7 6.7 0 1 1 4.5 13.5",
  rotateRight: "M16.5 4.5V9H12M16.2 9A6.7 6.7 0 1 0 15.5 13.5",
  scroll: "M10 2.5v15M6.5 6 10 2.5 13.5 6M6.5 14l3.5 3.5 3.5-3.5",
  search: "M8.8 3a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8.8 3ZM13.2 13.2 17.5 17.5",
  shield: "M10 2.5 16.5 5v5c0 4-2.7 6.3-6.5 7.5C6.2 16.3 3.5 14 3.5 10V5Z",
  slab: "M3 6.5h14M3 10h14M3 13.5h14",
  sort: "M6 8l4-4 4 4M6 12l4 4 4-4",
  spark: "M10 2.5 11.9 8.1 17.5 10l-5.6 1.9L10 17.5l-1.9-5.6L2.5 10l5.6-1.9Z",
  text: "M4 5V3.5h12V5M10 3.5v13M7.5 16.5h5",
  up: "M5 12l5-5 5 5",
  upload: "M10 13V4M6 7.5 10 3.5l4 4M3.5 13v3.5h13V13",
  wait: "M6 2.8h8M6 17.2h8M6.5 2.8c0 4 7 5 7 7.2s-7 3.2-7 7.2M13.5 2.8c0 4-7 5-7 7.2s7 3.2 7 7.2",
  wheel: "M10 2.8a7.2 7.2 0 0 1 7.2 7.2",
  zoom: "M8.8 3a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8.8 3ZM13.2 13.2 17.5 17.5M6.3 8.8h5M8.8 6.3v5",
} as const;

export type IconName = keyof typeof PATHS;

/** A decorative icon: the words beside it, or the control's label, say what it means. */
export function icon(name: IconName, className = ""): TemplateResult {
  return html`<svg class="icon ${className}" viewBox="0 0 20 20" aria-hidden="true" focusable="false">${svg`<path d=${PATHS[name]}></path>`}</svg>`;
}
