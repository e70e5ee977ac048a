/** What the render stream of a series means for the reader: what can be offered, and one sentence for the page. */

/** The part of a connection that is looked at; `RenderConnection` is one. */
export interface StreamFacts {
  readonly state: "idle" | "opening" | "preparing" | "live" | "lost" | "refused" | "unavailable" | "closed";
  readonly isSlow: boolean;
  readonly reason: { code: string; sentence: string } | null;
  readonly welcome: { volume: object | null; no_volume_sentence: string; presets: readonly string[] } | null;
}

/** `refusal` is empty where MPR and 3D can be chosen. */
export interface VolumeOffer {
  refusal: string;
  /** Chosen now, they show once the series has been prepared. */
  isWaiting: boolean;
}

const AWAY = "the server that draws them cannot be reached";

/** Whether MPR and 3D can be had of a series; unknown counts as yes, the stream says it on opening. */
export function volumeOffer(stream: StreamFacts | null, imageCount: number): VolumeOffer {
  const refuse = (why: string): VolumeOffer => ({
    refusal: `MPR and 3D are not offered: ${lowerFirst(why)}`,
    isWaiting: false,
  });
  if (imageCount < 3) return refuse("the series has too few images for a volume.");
  if (!stream) return refuse(`${AWAY}.`);
  const { state, reason, welcome } = stream;
  if (welcome && !welcome.volume) return refuse(welcome.no_volume_sentence || "the series is not a volume.");
  if (state === "refused" || state === "closed")
    return refuse(reason?.sentence || "the server refuses the series.");
  if (state === "unavailable") return refuse(reason?.sentence || `${AWAY}.`);
  return { refusal: "", isWaiting: state === "preparing" };
}

/** A sentence that goes on after a colon; names such as "JPEG XL" keep their capitals. */
function lowerFirst(sentence: string): string {
  const [first = "", second = ""] = sentence;
  return second === second.toLowerCase() && second !== " "
    ? first.toLowerCase() + sentence.slice(1)
    : sentence;
}

export interface StreamWord {
  tone: "info" | "warn" | "bad";
  sentence: string;
  isBusy: boolean;
}

/** What the page says of the active series' stream; null where all is well. */
export function streamWord(stream: StreamFacts | null): StreamWord | null {
  if (!stream) return null;
  const { state, reason, isSlow } = stream;
  if (state === "preparing") return { tone: "info", sentence: "Preparing MPR and 3D…", isBusy: true };
  if (state === "lost") return { tone: "warn", sentence: "Connection lost. Trying again…", isBusy: true };
  if (state === "unavailable")
    return {
      tone: "warn",
      sentence: "Images come one by one: the fast path is away. No MPR or 3D.",
      isBusy: false,
    };
  if (state === "refused" || state === "closed")
    return reason ? { tone: "bad", sentence: reason.sentence, isBusy: false } : null;
  return isSlow ? { tone: "warn", sentence: "Slow connection", isBusy: true } : null;
}

/** The reader's right to look has ended: signed out, no longer shared, the agreement suspended, the images erased. */
export function isRevoked({ state, reason }: Pick<StreamFacts, "state" | "reason">): boolean {
  const code = reason?.code ?? "";
  return (
    state === "refused" && /^(session\.(absent|erased|signed_out)|identity\.|agreement\.|access\.)/.test(code)
  );
}

/** Signing in again helps. */
export const isSignedOut = (code: string): boolean => /^(session\.signed_out|identity\.)/.test(code);
