/** RFC 9457 problem details, as every refused or failed request answers. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly correlationId: string;

  constructor(init: { status: number; code: string; title: string; detail: string; correlationId: string }) {
    super(init.detail || init.title);
    this.name = "Problem";
    this.status = init.status;
    this.code = init.code;
    this.title = init.title;
    this.correlationId = init.correlationId;
  }

  /** The request may succeed if sent again unchanged. */
  get isTransient(): boolean {
    return this.status === 0 || this.status === 429 || (this.status >= 502 && this.status <= 504);
  }
}

const SENTENCES: Record<number, string> = {
  0: "The server cannot be reached. Check the connection; nothing was changed.",
  401: "Your session has ended. Sign in again to go on.",
  403: "Your role or the agreement does not allow this.",
  404: "This does not exist, or is not open to you.",
  409: "Somebody changed this in the meantime.",
  413: "This is larger than the server accepts.",
  429: "Too many requests. Wait a moment and try again.",
};

const FALLBACK = "The server failed to answer this request. Try again; if it stays, report the number below.";

/** Make a Problem from any failed answer, problem+json or not. */
export function problemFrom(status: number, body: string, correlationId: string | null): Problem {
  let fields: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === "object" && parsed !== null) fields = parsed as Record<string, unknown>;
  } catch {
    // A proxy's HTML error page carries no sentence for people.
  }
  const text = (key: string): string => (typeof fields[key] === "string" ? (fields[key] as string) : "");
  return new Problem({
    status,
    code: text("code") || `http.${status}`,
    title: text("title") || "Request failed",
    detail: text("detail") || SENTENCES[status] || FALLBACK,
    correlationId: text("correlation_id") || correlationId || "",
  });
}

export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const detail = error instanceof TypeError ? (SENTENCES[0] ?? "") : String(error);
  return new Problem({
    status: 0,
    code: "network.unreachable",
    title: "Not reachable",
    detail,
    correlationId: "",
  });
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
