import { backoffMs } from "./backoff";
import type { Cursor, LiveData } from "./types";

export type LiveState = "connecting" | "live" | "reconnecting" | "polling" | "signed-out" | "refused";

export interface LiveHandlers {
  onEvent(event: string, data: LiveData): void;
  /** History is gone, or sockets are blocked: fetch the state anew, then subscribe again with its cursor. */
  onRefetch(): void;
}

interface Subscription {
  epoch: string;
  seq: number;
  handlers: LiveHandlers;
  /** What came lately, for a state that was fetched before it came and arrives after. */
  recent: { seq: number; event: string; data: LiveData }[];
}

interface ServerMessage {
  type: string;
  stream?: string;
  epoch?: string;
  seq?: number;
  event?: string;
  data?: LiveData;
}

/** The part of WebSocket that is used; tests drive the client through an in-memory one. */
export interface Socket {
  onopen: (() => void) | null;
  onmessage: ((message: { data: unknown }) => void) | null;
  onclose: ((close: { code: number }) => void) | null;
  send(text: string): void;
  close(): void;
}

export interface LiveOptions {
  connect: () => Socket;
  onState: (state: LiveState) => void;
  random?: () => number;
}

const PING_EVERY_MS = 20_000;
const SILENCE_MS = 45_000;
const POLL_EVERY_MS = 5_000;
const FAILURES_BEFORE_POLLING = 3;
const RECENT = 64;

/**
 * Events of several streams over one socket: in order, once each, across reconnections.
 * While no socket can be had, it asks the page to refetch every five seconds and keeps trying.
 */
export class LiveConnection {
  #subscriptions = new Map<string, Subscription>();
  #options: LiveOptions;
  #random: () => number;
  #socket: Socket | null = null;
  #isOpen = false;
  #failures = 0;
  #lastHeard = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #ping: ReturnType<typeof setInterval> | undefined;
  #poll: ReturnType<typeof setInterval> | undefined;
  #state: LiveState = "connecting";

  constructor(options: LiveOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
  }

  get state(): LiveState {
    return this.#state;
  }

  /**
   * Follow a stream from the cursor that came with the fetched state. Called again after a
   * refetch, it replays events newer than that state instead of losing them.
   */
  subscribe(cursor: Cursor, handlers: LiveHandlers): void {
    const known = this.#subscriptions.get(cursor.stream);
    if (known?.epoch === cursor.epoch) {
      known.handlers = handlers;
      for (const { seq, event, data } of known.recent) if (seq > cursor.seq) handlers.onEvent(event, data);
      known.seq = Math.max(known.seq, cursor.seq);
      return;
    }
    this.#subscriptions.set(cursor.stream, { epoch: cursor.epoch, seq: cursor.seq, handlers, recent: [] });
    if (this.#isOpen) this.#sendSubscribe(cursor.stream);
    else if (!this.#socket) this.#connect();
  }

  close(): void {
    this.#stopTimers();
    this.#subscriptions.clear();
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  /** Try at once: the network came back, the tab woke up, or the user signed in again. */
  wake(): void {
    if (this.#isOpen && this.#state === "live") {
      this.#socket?.send(JSON.stringify({ type: "ping" }));
      return;
    }
    this.#failures = 0;
    clearTimeout(this.#retry);
    if (!this.#socket) this.#connect();
  }

  #connect(): void {
    this.#setState(this.#state === "connecting" ? "connecting" : this.#poll ? "polling" : "reconnecting");
    let socket: Socket;
    try {
      socket = this.#options.connect();
    } catch {
      this.#lost();
      return;
    }
    this.#socket = socket;
    socket.onopen = () => {
      if (socket !== this.#socket) return;
      this.#isOpen = true;
      this.#failures = 0;
      this.#stopTimers();
      this.#lastHeard = Date.now();
      this.#ping = setInterval(() => this.#checkPulse(), PING_EVERY_MS);
      this.#setState("live");
      for (const stream of this.#subscriptions.keys()) this.#sendSubscribe(stream);
    };
    socket.onmessage = (message) => {
      if (socket === this.#socket) this.#receive(message.data);
    };
    socket.onclose = (close) => {
      if (socket !== this.#socket) return;
      this.#socket = null;
      if (close.code === 4401) this.#stop("signed-out");
      else if (close.code === 4403 || close.code === 4404) this.#stop("refused");
      else this.#lost();
    };
  }

  #stop(state: "signed-out" | "refused"): void {
    this.#isOpen = false;
    this.#stopTimers();
    this.#setState(state);
  }

  #lost(): void {
    this.#isOpen = false;
    this.#socket = null;
    clearInterval(this.#ping);
    this.#failures += 1;
    const isBlocked = this.#failures >= FAILURES_BEFORE_POLLING;
    if (isBlocked && !this.#poll) this.#poll = setInterval(() => this.#refetchAll(), POLL_EVERY_MS);
    this.#setState(isBlocked ? "polling" : "reconnecting");
    this.#retry = setTimeout(() => this.#connect(), backoffMs(this.#failures, this.#random));
  }

  #checkPulse(): void {
    if (Date.now() - this.#lastHeard > SILENCE_MS) {
      // A half-open connection closes late or never: give it up ourselves.
      const socket = this.#socket;
      this.#lost();
      socket?.close();
      return;
    }
    this.#socket?.send(JSON.stringify({ type: "ping" }));
  }

  #sendSubscribe(stream: string): void {
    const subscription = this.#subscriptions.get(stream);
    if (!subscription) return;
    const { epoch, seq } = subscription;
    this.#socket?.send(JSON.stringify({ type: "subscribe", stream, epoch, seq }));
  }

  #receive(data: unknown): void {
    this.#lastHeard = Date.now();
    if (typeof data !== "string") return;
    const message = JSON.parse(data) as ServerMessage;
    const subscription = this.#subscriptions.get(message.stream ?? "");
    if (!subscription || message.epoch === undefined || message.seq === undefined) return;
    const isOtherHistory = message.epoch !== subscription.epoch;
    if (message.type === "reset" || (message.type === "event" && isOtherHistory)) {
      subscription.epoch = message.epoch;
      subscription.seq = message.seq;
      subscription.recent = [];
      subscription.handlers.onRefetch();
    } else if (message.type === "event" && message.seq > subscription.seq) {
      const { event = "", data = {} } = message;
      subscription.seq = message.seq;
      subscription.recent = [...subscription.recent.slice(1 - RECENT), { seq: message.seq, event, data }];
      subscription.handlers.onEvent(event, data);
    }
  }

  #refetchAll(): void {
    for (const { handlers } of this.#subscriptions.values()) handlers.onRefetch();
  }

  #stopTimers(): void {
    clearTimeout(this.#retry);
    clearInterval(this.#ping);
    clearInterval(this.#poll);
    this.#poll = undefined;
  }

  #setState(state: LiveState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#options.onState(state);
  }
}

/** The live connection of this page, over the browser's WebSocket. */
export function openLive(path: string, onState: (state: LiveState) => void): LiveConnection {
  const live = new LiveConnection({
    connect: () => {
      const url = new URL(path, location.href);
      url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
      return new WebSocket(url) as unknown as Socket;
    },
    onState,
  });
  window.addEventListener("online", () => live.wake());
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") live.wake();
  });
  return live;
}
