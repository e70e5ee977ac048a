import { html, svg, type TemplateResult } from "lit";
import { quantity } from "../ui/kit/format";

export interface AreaPoint {
  index: number;
  area: number;
}

const WIDTH = 240;
const HEIGHT = 34;

/** Path of the area under the points over all slices of a series, in a 240 by 34 box. */
export function areaPath(points: readonly AreaPoint[], count: number): string {
  const largest = Math.max(...points.map(({ area }) => area), 1e-9);
  const byIndex = new Map(points.map(({ index, area }) => [index, area]));
  const step = WIDTH / Math.max(1, count);
  const tops = Array.from({ length: count }, (_, index) => {
    const y = HEIGHT - ((byIndex.get(index) ?? 0) / largest) * (HEIGHT - 2);
    return `L${(index * step).toFixed(1)} ${y.toFixed(1)}H${((index + 1) * step).toFixed(1)}`;
  });
  return `M0 ${HEIGHT}${tops.join("")}V${HEIGHT}Z`;
}

/** Area of a finding from slice to slice; a click goes to the slice. */
export function sparkline(
  points: readonly AreaPoint[],
  count: number,
  current: number,
  color: string,
  go: (index: number) => void,
): TemplateResult {
  const largest = points.reduce((most, point) => (point.area > most.area ? point : most), {
    index: 0,
    area: 0,
  });
  const at = (event: MouseEvent): void => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const index = Math.floor(((event.clientX - box.left) / box.width) * count);
    go(Math.min(count - 1, Math.max(0, index)));
  };
  const words = `Area by slice; largest ${quantity(largest.area)} mm² at slice ${largest.index + 1}`;
  const x = ((current + 0.5) / Math.max(1, count)) * WIDTH;
  return html`<svg
    class="sparkline" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${words}
    data-testid="finding-areas"
    @click=${at}
  >
    <title>${words}. Click to go to a slice.</title>
    ${svg`<rect width=${WIDTH} height=${HEIGHT} fill="transparent"></rect>
      <path d=${areaPath(points, count)} fill=${color} fill-opacity="0.55"></path>
      <path d="M${x} 0V${HEIGHT}" stroke="#fff" stroke-width="1.5" vector-effect="non-scaling-stroke"></path>`}
  </svg>`;
}
