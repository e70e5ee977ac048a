import { html, svg, type TemplateResult } from "lit";

/** Our own drawings on a 20 by 20 grid, stroked in the text's colour. */
const PATHS = {
  accept: "M4 10.5 8 14.5 16 5.5",
  alert: "M10 3 18 16.5H2ZM10 8v4M10 14.2v.1",
  arrived: "M10 3v9M6 8.5l4 4 4-4M3.5 16.5h13",
  back: "M12 4 6 10l6 6",
  cancel: "M5 5l10 10M15 5 5 15",
  chart: "M3 16.5h14M5 13l3-5 3.5 3L16 4.5",
  clock: "M10 2.8a7.2 7.2 0 1 0 0 14.4 7.2 7.2 0 0 0 0-14.4ZM10 6v4.3l2.8 1.7",
  contrast: "M10 2.8a7.2 7.2 0 1 0 0 14.4ZM10 2.8a7.2 7.2 0 0 1 0 14.4",
  done: "M10 2.8a7.2 7.2 0 1 0 0 14.4 7.2 7.2 0 0 0 0-14.4ZM6.8 10.2l2.3 2.3 4.2-4.7",
  down: "M5 8l5 5 5-5",
  eye: "M1.8 10S4.8 4.5 10 4.5 18.2 10 18.2 10 15.2 15.5 10 15.5 1.8 10 1.8 10ZM10 7.6a2.4 2.4 0 1 0 0 4.8 2.4 2.4 0 0 0 0-4.8",
  eyeOff:
    "M3 3l14 14M6.3 6.2C3.4 7.6 1.8 10 1.8 10S4.8 15.5 10 15.5c1.4 0 2.6-.4 3.6-.9M8.4 4.7c.5-.1 1-.2 1.6-.2 5.2 0 8.2 5.5 8.2 5.5s-.8 1.5-2.3 2.9",
  fit: "M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4",
  folder: "M2.5 5.5v10h15v-8.5h-7.5l-2-2.5h-4a1.5 1.5 0 0 0-1.5 1Z",
  home: "M4 4h12v12H4ZM8 10h4M10 8v4",
  info: "M10 2.8a7.2 7.2 0 1 0 0 14.4 7.2 7.2 0 0 0 0-14.4ZM10 9v5M10 6.2v.1",
  invert: "M3 3h14v14H3ZM17 3 3 17V3Z",
  keyboard: "M2 5h16v10H2ZM5 8.2h.1M8.3 8.2h.1M11.7 8.2h.1M15 8.2h.1M6 12h8",
  layers: "M10 3 2.5 7 10 11l7.5-4ZM3 11l7 3.7L17 11",
  link: "M8 12l4-4M7 9l-2.5 2.5a2.8 2.8 0 0 0 4 4L11 13M13 11l2.5-2.5a2.8 2.8 0 0 0-4-4L9 7",
  menu: "M3 5.5h14M3 10h14M3 14.5h14",
  next: "M8 4l6 6-6 6",
  person: "M10 3a3.3 3.3 0 1 0 0 6.6A3.3 3.3 0 0 0 10 3ZM3.5 17c.6-3.6 3-5.3 6.5-5.3s5.9 1.7 6.5 5.3",
  play: "M6 4l10 6-10 6Z",
  refer: "M11 4l5.5 5-5.5 5v-3.3c-4 0-6.3 1.3-7.5 4.3 0-4.8 2.5-7.7 7.5-7.7Z",
  reset: "M4 4v4.5h4.5M4.5 8.2A6.5 6.5 0 1 1 3.6 12",
  scroll: "M10 2.5v15M6.5 6 10 2.5 13.5 6M6.5 14l3.5 3.5 3.5-3.5",
  search: "M8.8 3a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8.8 3ZM13.2 13.2 17.5 17.5",
  shield: "M10 2.5 16.5 5v5c0 4-2.7 6.3-6.5 7.5C6.2 16.3 3.5 14 3.5 10V5Z",
  sort: "M6 8l4-4 4 4M6 12l4 4 4-4",
  spark: "M10 2.5 11.9 8.1 17.5 10l-5.6 1.9L10 17.5l-1.9-5.6L2.5 10l5.6-1.9Z",
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
