import { FrameFlag } from "../transport/protocol.gen";
import type { RenderConnection } from "../transport/render-connection";
import type { StreamView } from "../transport/stream-view";
import type { SceneHost } from "./scene";

/** What the scenes that only the stream can show have in common. */
export abstract class StreamScene {
  protected host: SceneHost;
  protected view: StreamView | null = null;
  #connection: RenderConnection | null = null;

  constructor(host: SceneHost) {
    this.host = host;
  }

  abstract look(): void;

  update(_changed: ReadonlySet<string>): void {
    const { connection } = this.host;
    if (connection !== this.#connection) {
      this.close();
      this.#connection = connection;
      connection?.addEventListener("change", this.#changed);
      this.view = connection?.openView(() => this.host.requestUpdate()) ?? null;
    }
    this.look();
  }

  close(): void {
    this.#connection?.removeEventListener("change", this.#changed);
    this.#connection = null;
    this.view?.close();
    this.view = null;
  }

  retry(): void {
    this.#connection?.retry();
  }

  #changed = (): void => {
    this.look();
    this.host.requestUpdate();
  };

  protected streamStatus() {
    const shown = this.view?.shown ?? null;
    const flags = shown?.frame.flags ?? 0;
    const isExact = (flags & FrameFlag.LOSSLESS) !== 0;
    const notice = this.#connection?.notices.find((one) => one.view === this.view?.id);
    return {
      source: shown ? ("stream" as const) : ("none" as const),
      tier: shown?.frame.tier ?? -1,
      isSettled: (isExact || (flags & FrameFlag.SETTLED) !== 0) && (this.view?.isCurrent ?? false),
      isRefining: this.view?.isRefining ?? false,
      hasPicture: shown !== null,
      error: notice && !shown ? new Error(notice.sentence) : null,
      isLoading: !shown && this.#connection?.state === "live",
    };
  }
}
