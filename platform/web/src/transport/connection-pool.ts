import { bootstrap } from "../api/bootstrap";
import { SIGNED_OUT, sendJson } from "../api/http";
import type { Series } from "../api/types";
import { SUBPROTOCOL } from "./protocol.gen";
import { type Opening, RenderConnection, type RenderSocket } from "./render-connection";

export interface PoolOptions {
  studyId: string;
}

const MIB = 2 ** 20;
/** Decoded everywhere; AVIF joins them where this browser shows that it can. */
const ACCEPT = ["image/jpeg", "image/png", "image/webp"];
/** One grey pixel. */
const AVIF =
  "AAAAHGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZgAAAOltZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAAA5waXRtAAAAAAABAAAAHmlsb2MAAAAARAAAAQABAAAAAQAAAQ0AAAAZAAAAKGlpbmYAAAAAAAEAAAAaaW5mZQIAAAAAAQAAYXYwMUNvbG9yAAAAAGhpcHJwAAAASWlwY28AAAAUaXNwZQAAAAAAAAABAAAAAQAAAA5waXhpAAAAAAEIAAAADGF2MUOBABwAAAAAE2NvbHJuY2x4AAEADQAGgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAAIW1kYXQSAAoHGAAGmAhoNTIMF4YhhJJlAABIVD6w";

let asked: Promise<void> | undefined;

/** Find out once whether AVIF is decoded: a third fewer bytes for a settled frame on a slow link. */
function askForAvif(): Promise<void> {
  asked ??= decode(
    new Blob([Uint8Array.from(atob(AVIF), (letter) => letter.charCodeAt(0))], { type: "image/avif" }),
  ).then(
    () => void ACCEPT.push("image/avif"),
    () => {},
  );
  return asked;
}

/** Values as they are encoded: no profile of the screen may change a grey. */
const decode = (blob: Blob): Promise<ImageBitmap> =>
  createImageBitmap(blob, { colorSpaceConversion: "none" });

/** One connection a series, for as long as the page lives. */
export class ConnectionPool {
  #studyId: string;
  #connections = new Map<string, RenderConnection>();

  constructor({ studyId }: PoolOptions) {
    this.#studyId = studyId;
    window.addEventListener("online", this.#wake);
    document.addEventListener("visibilitychange", this.#wake);
  }

  /** The connection of a series; it opens when a viewport first uses it. */
  get(series: Series): RenderConnection {
    const known = this.#connections.get(series.id);
    if (known) return known;
    const opened = this.#make(series.id);
    this.#connections.set(series.id, opened);
    return opened;
  }

  /** The pack of a series was written: no need to wait for the next poll. */
  packed(seriesId: string): void {
    const connection = this.#connections.get(seriesId);
    if (connection?.state === "preparing") connection.retry();
  }

  /** The network is back, or the reader: try at once what waits for its next try. */
  wake(): void {
    for (const connection of this.#connections.values())
      if (connection.state === "lost" || connection.state === "unavailable" || connection.isDenied)
        connection.retry();
  }

  close(): void {
    window.removeEventListener("online", this.#wake);
    document.removeEventListener("visibilitychange", this.#wake);
    for (const connection of this.#connections.values()) connection.close();
    this.#connections.clear();
  }

  #wake = (): void => {
    if (!document.hidden) this.wake();
  };

  #make(seriesId: string): RenderConnection {
    const url = `${bootstrap().urls.api}/studies/${this.#studyId}/series/${seriesId}/render-session`;
    const isSmall = matchMedia("(pointer: coarse)").matches;
    return new RenderConnection({
      open: async (session) => {
        const asking = sendJson<Opening>(url, { method: "POST", body: { session } });
        const [opening] = await Promise.all([asking, askForAvif()]);
        return opening;
      },
      connect: (path) => {
        const address = new URL(path, location.href);
        address.protocol = address.protocol.replace("http", "ws");
        return new WebSocket(address, SUBPROTOCOL) as RenderSocket;
      },
      decode,
      accept: ACCEPT,
      onSignedOut: () => window.dispatchEvent(new CustomEvent(SIGNED_OUT)),
      bounds: { encodedBytes: (isSmall ? 32 : 96) * MIB, decodedBytes: (isSmall ? 24 : 96) * MIB },
      // None comes while the page is hidden; nor does anything need to be painted then.
      onNextFrame: (callback) => {
        if (document.hidden) setTimeout(callback);
        else requestAnimationFrame(callback);
      },
      // The next task comes after the rendering that the animation frame is the beginning of.
      afterPaint: (callback) => void setTimeout(callback),
    });
  }
}
