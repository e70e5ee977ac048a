import {
  type ClientMessage,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  FrameFlag,
  type StackState,
  VERSION,
  type View,
  type Welcome,
} from "../src/transport/protocol.gen";
import {
  type ConnectionOptions,
  type Opening,
  RenderConnection,
  type RenderSocket,
} from "../src/transport/render-connection";

export const WELCOME: Welcome = {
  type: "welcome",
  version: VERSION,
  session: "one",
  frames: [],
  modality: "CT",
  unit: "HU",
  frame_of_reference_uid: "1.2",
  volume: null,
  no_volume_code: "",
  no_volume_sentence: "",
  presets: [],
  results: [],
  frame_time_ms: null,
  engine: "memory",
};

export const stackState = (frame: number, more: Partial<StackState> = {}): StackState => ({
  kind: "stack",
  frame,
  size: [512, 512],
  region: null,
  voi: { kind: "window", center: 40, width: 400, function: "linear", index: 0 },
  invert: false,
  ...more,
});

interface FrameFields {
  view?: number;
  seq: number;
  stateId: number;
  place: number;
  tier?: number;
  flags?: number;
  region?: readonly [number, number, number, number];
  side?: number;
}

/** A binary message as a pod sends it; the payload is its sequence number. */
export function frameOf(fields: FrameFields): ArrayBuffer {
  const {
    view = 0,
    seq,
    stateId,
    place,
    tier = 1,
    flags = 0,
    region = [0, 0, 512, 512],
    side = 512,
  } = fields;
  const message = new ArrayBuffer(FRAME_HEADER_BYTES + 4);
  const data = new DataView(message);
  data.setUint8(0, FRAME_MAGIC);
  data.setUint8(1, VERSION);
  data.setUint8(2, 1);
  data.setUint8(3, tier);
  data.setUint16(4, flags, true);
  data.setUint16(6, view, true);
  data.setUint32(8, seq, true);
  data.setUint32(12, stateId, true);
  data.setUint16(16, side, true);
  data.setUint16(18, side, true);
  data.setFloat64(24, place, true);
  region.forEach((value, at) => {
    data.setFloat32(32 + 4 * at, value, true);
  });
  data.setFloat64(48, 40, true);
  data.setFloat64(56, 400, true);
  data.setUint32(FRAME_HEADER_BYTES, seq, true);
  return message;
}

export const prefetched = (seq: number, stateId: number, place: number): ArrayBuffer =>
  frameOf({ seq, stateId, place, tier: 0, flags: FrameFlag.PREFETCHED, side: 256 });

class MemorySocket implements RenderSocket {
  binaryType: BinaryType = "blob";
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: unknown }) => void) | null = null;
  onclose: ((close: { code: number }) => void) | null = null;
  sent: ClientMessage[] = [];
  isClosed = false;

  send(text: string): void {
    this.sent.push(JSON.parse(text) as ClientMessage);
  }

  close(): void {
    this.isClosed = true;
  }
}

/** A pod and a control plane in memory: says what it is told to say, and keeps what it hears. */
export class MemoryPod {
  openings: (Opening | Error)[] = [];
  asked: (string | null)[] = [];
  sockets: MemorySocket[] = [];
  /** Pictures whose decoding waits, by sequence number, where `holdsDecoding`. */
  holdsDecoding = false;
  waiting = new Map<number, () => void>();
  closed: number[] = [];
  now = 0;
  #frames: (() => void)[] = [];

  readonly connection: RenderConnection;

  constructor(more: Partial<ConnectionOptions> = {}) {
    this.connection = new RenderConnection({
      open: async (session) => {
        this.asked.push(session);
        const opening = this.openings.shift() ?? {
          state: "ready",
          session: "one",
          ticket: "t",
          socket: "/render",
          expires_in_s: 60,
        };
        if (opening instanceof Error) throw opening;
        return opening as Opening;
      },
      connect: () => {
        const socket = new MemorySocket();
        this.sockets.push(socket);
        return socket;
      },
      decode: (blob) => this.#decode(blob),
      accept: ["image/jpeg"],
      bounds: { encodedBytes: 1 << 20, decodedBytes: 16 << 20 },
      onNextFrame: (callback) => this.#frames.push(callback),
      afterPaint: (callback) => callback(),
      random: () => 0,
      now: () => this.now,
      ...more,
    });
  }

  get socket(): MemorySocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error("No socket was opened.");
    return socket;
  }

  /** Let what is on its way arrive. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  }

  nextFrame(): void {
    const frames = this.#frames;
    this.#frames = [];
    for (const frame of frames) frame();
  }

  async welcome(welcome: Welcome = WELCOME): Promise<void> {
    await this.settle();
    this.socket.onopen?.();
    await this.say(welcome);
    this.nextFrame();
  }

  async say(message: object | ArrayBuffer): Promise<void> {
    this.socket.onmessage?.({ data: message instanceof ArrayBuffer ? message : JSON.stringify(message) });
    await this.settle();
  }

  async hangUp(code: number): Promise<void> {
    this.socket.onclose?.({ code });
    await this.settle();
  }

  views(): View[] {
    return this.socket.sent.filter((message) => message.type === "view");
  }

  acks(): [number, boolean][] {
    return this.socket.sent.flatMap((message) =>
      message.type === "ack" ? [[message.seq, message.painted]] : [],
    );
  }

  async #decode(blob: Blob): Promise<ImageBitmap> {
    const seq = new DataView(await blob.arrayBuffer()).getUint32(0, true);
    if (this.holdsDecoding) await new Promise<void>((resolve) => this.waiting.set(seq, resolve));
    return { width: 512, height: 512, close: () => this.closed.push(seq) } as ImageBitmap;
  }
}
