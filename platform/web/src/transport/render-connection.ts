import { backoffMs } from "../api/backoff";
import { type CacheBounds, type Decode, FrameCache } from "./frame-cache";
import {
  type Bye,
  CLOSE_CODES_TO_RETRY,
  type ClientMessage,
  CloseCode,
  type Link,
  MAX_VIEWS,
  type Notice,
  PACKED_MAGIC,
  type Probed,
  type Progress,
  readFrame,
  type ServerMessage,
  type Welcome,
} from "./protocol.gen";
import { type Fate, StreamView, type ViewHost } from "./stream-view";

export type ConnectionState =
  | "idle"
  | "opening"
  | "preparing"
  | "live"
  | "lost"
  | "refused"
  | "unavailable"
  | "closed";

export interface Reason {
  code: string;
  sentence: string;
  retryAfterMs: number | null;
}

/** What the control plane answers to the wish to open a session. */
export type Opening =
  | { state: "ready"; session: string; ticket: string; socket: string; expires_in_s: number }
  | { state: "preparing"; sentence: string }
  | { state: "refused"; code: string; sentence: string };

/** The part of WebSocket that is used; tests drive the connection through an in-memory one. */
export interface RenderSocket {
  binaryType: BinaryType;
  onopen: (() => void) | null;
  onmessage: ((message: { data: unknown }) => void) | null;
  onclose: ((close: { code: number }) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

export interface ConnectionOptions {
  /** Ask for a ticket; the same session goes on where one is named. Rejects with a Problem. */
  open: (session: string | null) => Promise<Opening>;
  connect: (path: string) => RenderSocket;
  decode: Decode;
  accept: readonly string[];
  bounds: CacheBounds;
  /** Run before the next picture of the screen. */
  onNextFrame: (callback: () => void) => void;
  /** Called in an animation frame; run once what that frame painted is on its way to the screen. */
  afterPaint: (callback: () => void) => void;
  /** The pod says that the session of the person is over. */
  onSignedOut?: () => void;
  random?: () => number;
  now?: () => number;
}

const POLL_MS = 3_000;
const HEARTBEAT_MS = 20_000;
const SILENCE_MS = 3_000;
/** A socket that says nothing for so long, though something is due, is given up. */
const GIVE_UP_MS = 9_000;
const WATCH_MS = 500;
const LINGER_MS = 10_000;
const RETRY_UNAVAILABLE_MS = 1_000;
const RETRY_UNAVAILABLE_MOST_MS = 15_000;
/** Answers and ends that say: not this person, not now. Nothing else may be asked for either. */
const DENIED_STATUS: readonly number[] = [401];
const DENIED_CLOSE: readonly number[] = [CloseCode.SIGNED_OUT, CloseCode.REFUSED, CloseCode.ABSENT];
/** A pod that is gone is replaced at once; only then is waiting any use. */
const FIRST_RETRY_MS = 100;
/** A pod that fell is there again, or another is, within three seconds; after so many tries something else is wrong. */
const QUICK_TRIES = 4;
const QUICK_MS = 700;
const NORMAL_CLOSURE = 1000;

/** The JSON of a long message: a zlib stream after one byte. */
const unpack = (message: ArrayBuffer): Promise<string> =>
  new Response(
    new Blob([new Uint8Array(message, 1)]).stream().pipeThrough(new DecompressionStream("deflate")),
  ).text();

/** One series of one viewing session: its socket, its views, and what is known of them. */
export class RenderConnection extends EventTarget {
  state: ConnectionState = "idle";
  isSlow = false;
  /** The right to look at the series is gone: what was shown must go from the screen too. */
  isDenied = false;
  reason: Reason | null = null;
  welcome: Welcome | null = null;
  progress: Progress | null = null;
  link: Link | null = null;
  notices: readonly Notice[] = [];
  readonly cache: FrameCache;
  #host: ViewHost;
  #options: ConnectionOptions;
  #views = new Map<number, StreamView>();
  #socket: RenderSocket | null = null;
  #isWelcome = false;
  #session: string | null = null;
  #turn = 0;
  #failures = 0;
  #unavailable = 0;
  #bye: Bye | null = null;
  #dueSince: number | null = null;
  /** When each frame came that is not acknowledged yet. */
  #arrivals = new Map<number, number>();
  #lastSent = 0;
  #isFlushPlanned = false;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #linger: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #probes = new Map<number, (probed: Probed | null) => void>();
  #probeId = 0;
  #inbox: Promise<void> = Promise.resolve();

  constructor(options: ConnectionOptions) {
    super();
    this.#options = options;
    this.cache = new FrameCache(options.decode, options.bounds);
    this.#host = {
      cache: this.cache,
      changed: () => this.#plan(),
      acknowledge: (seq, fate) => this.#acknowledge(seq, fate),
      dropped: (view) => this.#dropped(view),
    };
  }

  get hasVolume(): boolean {
    return Boolean(this.welcome?.volume);
  }

  /** Show the series once more; null where so many views are open that the pod takes no other. */
  openView(onPicture: () => void): StreamView | null {
    const id = Array.from({ length: MAX_VIEWS }, (_, at) => at).find((at) => !this.#views.has(at));
    if (id === undefined || this.state === "closed") return null;
    clearTimeout(this.#linger);
    const view = new StreamView(id, this.#host, onPicture);
    this.#views.set(id, view);
    if (this.state === "idle") void this.#open();
    return view;
  }

  /** The value under the cursor; null where nobody can say now. */
  probe(what: { frame: number; column: number; row: number } | { point: readonly [number, number, number] }) {
    const answer = new Promise<Probed | null>((resolve) => {
      if (!this.#isWelcome) return resolve(null);
      this.#probeId += 1;
      this.#probes.set(this.#probeId, resolve);
      const isPoint = "point" in what;
      this.#send({
        type: "probe",
        id: this.#probeId,
        frame: isPoint ? null : what.frame,
        column: isPoint ? 0 : what.column,
        row: isPoint ? 0 : what.row,
        point_lps_mm: isPoint ? what.point : null,
      });
    });
    return answer;
  }

  /** Try now: the reader asks, the network came back, or the pack was written. */
  retry(): void {
    if (this.state === "live" || this.state === "opening" || this.state === "idle" || this.state === "closed")
      return;
    this.#failures = 0;
    this.#unavailable = 0;
    void this.#open();
  }

  close(): void {
    this.#stop();
    for (const view of [...this.#views.values()]) view.close();
    this.#set("closed", null);
    this.cache.clear();
  }

  #changed(): void {
    this.dispatchEvent(new Event("change"));
  }

  #set(state: ConnectionState, reason: Reason | null): void {
    this.state = state;
    this.reason = reason;
    if (state !== "live") this.isSlow = false;
    this.#changed();
  }

  async #open(): Promise<void> {
    this.#stop();
    const turn = this.#turn;
    if (this.state !== "lost" && this.state !== "preparing") this.#set("opening", null);
    let opening: Opening;
    try {
      opening = await this.#options.open(this.#session);
    } catch (error) {
      if (turn === this.#turn) this.#notOpened(error);
      return;
    }
    if (turn !== this.#turn) return;
    if (opening.state === "ready") {
      this.#session = opening.session;
      this.#connect(opening.socket, opening.ticket);
    } else if (opening.state === "preparing") {
      this.#set("preparing", { code: "pack.preparing", sentence: opening.sentence, retryAfterMs: POLL_MS });
      this.#later(POLL_MS);
    } else {
      const { code, sentence } = opening;
      this.#set("refused", { code, sentence, retryAfterMs: null });
    }
  }

  #notOpened(error: unknown): void {
    const {
      code = "",
      status = 0,
      message = "",
    } = error as {
      code?: string;
      status?: number;
      message?: string;
    };
    // Nobody answered: the network, most likely. A pod that was there a moment ago comes back, or another does.
    const isPassing = status >= 500 && this.#session !== null && this.#failures < QUICK_TRIES;
    if (status === 0 || isPassing) {
      this.#lose();
      return;
    }
    if (status >= 400 && status < 500 && status !== 429) {
      if (DENIED_STATUS.includes(status)) this.#deny();
      this.#set("refused", { code, sentence: message, retryAfterMs: null });
      return;
    }
    const retryAfterMs = Math.min(RETRY_UNAVAILABLE_MOST_MS, RETRY_UNAVAILABLE_MS * 2 ** this.#unavailable);
    this.#unavailable += 1;
    this.#set("unavailable", { code, sentence: message, retryAfterMs });
    this.#later(retryAfterMs);
  }

  #connect(path: string, ticket: string): void {
    const socket = this.#options.connect(path);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#bye = null;
    this.#dueSince = this.#now();
    this.#arrivals.clear();
    this.#watch = setInterval(() => this.#look(), WATCH_MS);
    socket.onopen = () => {
      if (this.#socket === socket) this.#send({ type: "hello", ticket, accept: this.#options.accept });
    };
    socket.onmessage = ({ data }) => {
      if (this.#socket === socket) this.#receive(data);
    };
    socket.onclose = ({ code }) => {
      const turn = this.#turn;
      // The words of farewell are read first.
      void this.#inbox.then(() => {
        if (this.#socket === socket && turn === this.#turn) this.#closed(code);
      });
    };
  }

  #receive(data: unknown): void {
    this.#heard();
    if (data instanceof ArrayBuffer && new Uint8Array(data, 0, 1)[0] !== PACKED_MAGIC) {
      const frame = readFrame(data);
      const view = frame && this.#views.get(frame.view);
      if (frame) this.#arrivals.set(frame.seq, this.#now());
      if (view) view.take(frame);
      else if (frame) this.#acknowledge(frame.seq, "dropped");
      return;
    }
    // Unpacking takes a moment; what comes meanwhile waits its turn.
    const turn = this.#turn;
    const text = data instanceof ArrayBuffer ? unpack(data) : String(data);
    this.#inbox = this.#inbox.then(async () => {
      const json = await text;
      if (turn === this.#turn) this.#read(JSON.parse(json) as ServerMessage);
    });
    this.#inbox = this.#inbox.catch(() => {
      if (turn === this.#turn) this.#lose();
    });
  }

  #read(message: ServerMessage): void {
    if (message.type === "welcome") this.#welcomed(message);
    else if (message.type === "progress") this.progress = message;
    else if (message.type === "link") this.link = message;
    else if (message.type === "notice") this.#notice(message);
    else if (message.type === "bye") this.#bye = message;
    else if (message.type === "probed") {
      this.#probes.get(message.id)?.(message);
      this.#probes.delete(message.id);
    }
    if (message.type !== "pong" && message.type !== "probed") this.#changed();
  }

  #welcomed(welcome: Welcome): void {
    this.welcome = welcome;
    this.#isWelcome = true;
    this.#failures = 0;
    this.#unavailable = 0;
    this.isDenied = false;
    this.notices = [];
    this.#set("live", null);
    for (const view of this.#views.values()) view.repeat();
    this.#flush();
  }

  #notice(notice: Notice): void {
    const { code, view, place } = notice;
    const others = this.notices.filter(
      (one) => one.code !== code || one.view !== view || (place !== null && one.place !== place),
    );
    this.notices = notice.is_over ? others : [...others.slice(-20), notice];
  }

  #closed(code: number): void {
    const bye = this.#bye;
    const isLastWord = bye
      ? bye.retry_after_ms === null
      : code >= 4400 && !CLOSE_CODES_TO_RETRY.includes(code);
    if (isLastWord) {
      this.#stop();
      if (DENIED_CLOSE.includes(code)) this.#deny(code);
      const sentence = bye?.sentence ?? "The server ended the connection.";
      this.#set("refused", { code: bye?.code ?? `close.${code}`, sentence, retryAfterMs: null });
      return;
    }
    this.#lose(bye);
  }

  #deny(code?: number): void {
    this.isDenied = true;
    this.cache.clear();
    for (const view of this.#views.values()) view.forget();
    if (code === CloseCode.SIGNED_OUT) this.#options.onSignedOut?.();
  }

  #lose(bye: Bye | null = null): void {
    this.#stop();
    const waitMs = this.#waitMs();
    this.#failures += 1;
    const retryAfterMs = Math.max(waitMs, bye?.retry_after_ms ?? 0);
    this.#set("lost", {
      code: bye?.code ?? "connection.lost",
      sentence: bye?.sentence ?? "Connection lost, reconnecting.",
      retryAfterMs,
    });
    this.#later(retryAfterMs);
  }

  #waitMs(): number {
    if (this.#failures === 0) return FIRST_RETRY_MS;
    const random = this.#options.random ?? Math.random;
    if (this.#failures < QUICK_TRIES) return backoffMs(1, random, QUICK_MS / 2, QUICK_MS);
    return backoffMs(this.#failures - QUICK_TRIES, random, 1_000, 10_000);
  }

  #later(ms: number): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => void this.#open(), ms);
  }

  /** Leave socket and timers behind; what is known and shown stays. */
  #stop(): void {
    this.#turn += 1;
    clearTimeout(this.#retry);
    clearTimeout(this.#linger);
    clearInterval(this.#watch);
    const socket = this.#socket;
    this.#socket = null;
    this.#isWelcome = false;
    this.#dueSince = null;
    for (const resolve of this.#probes.values()) resolve(null);
    this.#probes.clear();
    socket?.close(NORMAL_CLOSURE);
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }

  #heard(): void {
    this.#dueSince = null;
    if (this.isSlow) {
      this.isSlow = false;
      this.#changed();
    }
  }

  /** Heartbeats, and silence where an answer is due. */
  #look(): void {
    const now = this.#now();
    const silence = this.#dueSince === null ? 0 : now - this.#dueSince;
    if (silence >= GIVE_UP_MS) {
      this.#lose();
      return;
    }
    if (silence >= SILENCE_MS && !this.isSlow && this.#isWelcome) {
      this.isSlow = true;
      // A pod that is busy answers this at once; then it is the picture that takes its time.
      this.#send({ type: "ping" });
      this.#changed();
    } else if (this.#isWelcome && now - this.#lastSent >= HEARTBEAT_MS) this.#send({ type: "ping" });
  }

  /** One message a view and picture of the screen: the first at once, what follows with the next. */
  #plan(): void {
    if (this.#isFlushPlanned) return;
    this.#isFlushPlanned = true;
    // A microtask: what one event changes is said in one message.
    queueMicrotask(() => this.#flush());
    this.#options.onNextFrame(() => {
      this.#isFlushPlanned = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (!this.#isWelcome) return;
    for (const view of this.#views.values()) {
      const message = view.message();
      if (message) this.#send(message);
    }
  }

  #send(message: ClientMessage): void {
    if (!this.#socket) return;
    this.#lastSent = this.#now();
    const expectsAnswer = message.type !== "ack" && message.type !== "drop";
    if (expectsAnswer) this.#dueSince ??= this.#lastSent;
    this.#socket.send(JSON.stringify(message));
  }

  #acknowledge(seq: number, fate: Fate): void {
    if (!this.#isWelcome) return;
    const socket = this.#socket;
    const arrived = this.#arrivals.get(seq) ?? this.#now();
    this.#arrivals.delete(seq);
    const send = (): void => {
      const held_ms = Math.round(this.#now() - arrived);
      if (this.#socket === socket) this.#send({ type: "ack", seq, painted: fate !== "dropped", held_ms });
    };
    if (fate === "painted") this.#options.afterPaint(send);
    else send();
  }

  #dropped(view: StreamView): void {
    this.#views.delete(view.id);
    if (this.#isWelcome) this.#send({ type: "drop", view: view.id });
    if (this.#views.size > 0) return;
    clearTimeout(this.#linger);
    this.#linger = setTimeout(() => {
      this.#stop();
      this.cache.rest();
      this.#set("idle", null);
    }, LINGER_MS);
  }
}
