/** Least recently used entries leave when the sum of weights passes the limit. */
export class Lru<V> {
  #entries = new Map<string, { value: V; weight: number }>();
  #weight = 0;
  #limit: number;
  #onEvict: (value: V, key: string) => void;

  constructor(limit: number, onEvict: (value: V, key: string) => void = () => {}) {
    this.#limit = limit;
    this.#onEvict = onEvict;
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  set(key: string, value: V, weight: number): void {
    this.delete(key);
    this.#entries.set(key, { value, weight });
    this.#weight += weight;
    for (const oldest of this.#entries.keys()) {
      if (this.#weight <= this.#limit || oldest === key) break;
      this.delete(oldest);
    }
  }

  clear(): void {
    for (const key of [...this.#entries.keys()]) this.delete(key);
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#weight -= entry.weight;
    this.#onEvict(entry.value, key);
  }
}
