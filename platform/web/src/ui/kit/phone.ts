import { css } from "lit";

/** A phone, upright or on its side: one viewport, and the panels behind tabs. */
const QUERY = "(max-width: 720px), (max-height: 480px) and (any-pointer: coarse)";

export const phone = css`(max-width: 720px), (max-height: 480px) and (any-pointer: coarse)`;
/** A phone on its side. */
export const sideways = css`(max-height: 480px) and (min-width: 560px) and (any-pointer: coarse)`;

/** Follow whether this is a phone; returns the function that stops it. */
export function followPhone(onChange: (isPhone: boolean) => void): () => void {
  const query = matchMedia(QUERY);
  const tell = (): void => onChange(query.matches);
  query.addEventListener("change", tell);
  tell();
  return () => query.removeEventListener("change", tell);
}
