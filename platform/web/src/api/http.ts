import { bootstrap } from "./bootstrap";
import { asProblem, isAbort, problemFrom } from "./problem";

/** Dispatched on window when the session is over. */
export const SIGNED_OUT = "gantry-signed-out";

interface RequestOptions {
  method?: "GET" | "POST" | "DELETE";
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** Send one same-origin request; throws Problem for anything but success, AbortError when aborted. */
export async function send(url: string, options: RequestOptions = {}): Promise<Response> {
  const method = options.method ?? "GET";
  const headers: Record<string, string> = { Accept: "application/json", ...options.headers };
  if (method !== "GET") headers["X-CSRFToken"] = bootstrap().csrf_token;
  const init: RequestInit = { method, headers, credentials: "same-origin", redirect: "error" };
  if (options.signal) init.signal = options.signal;
  if (options.body !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(options.body);
  }
  let answer: Response;
  try {
    answer = await fetch(url, init);
  } catch (error) {
    throw isAbort(error) ? error : asProblem(error);
  }
  if (answer.ok) return answer;
  if (answer.status === 401) window.dispatchEvent(new CustomEvent(SIGNED_OUT));
  throw problemFrom(answer.status, await answer.text(), answer.headers.get("X-Correlation-Id"));
}

export async function sendJson<T>(url: string, options: RequestOptions = {}): Promise<T> {
  const answer = await send(url, options);
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}
