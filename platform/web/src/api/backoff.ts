/**
 * Delay before the next attempt, ms: exponential with full jitter, so that a whole hospital
 * does not come back in the same second after a switch restarts.
 */
export function backoffMs(attempt: number, random: () => number, baseMs = 500, capMs = 15_000): number {
  return Math.round(random() * Math.min(capMs, baseMs * 2 ** attempt)) + 100;
}
