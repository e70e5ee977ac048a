import { bootstrap } from "../api/bootstrap";
import { SIGNED_OUT } from "../api/http";
import { Problem, problemFrom } from "../api/problem";
import { stowBody } from "./multipart";
import { readOutcome, type StowOutcome, type UploadItem } from "./stow";

export interface PostOptions {
  institutionId: string | null;
  onProgress: (sentBytes: number) => void;
  signal: AbortSignal;
}

const STALL_MS = 60_000;

const unreachable = (detail: string): Problem =>
  new Problem({ status: 0, code: "network.unreachable", title: "Not reachable", detail, correlationId: "" });

/** Send one batch by STOW-RS. Throws Problem; safe to repeat, since storing the same bytes again changes nothing. */
export function postBatch(items: readonly UploadItem[], options: PostOptions): Promise<StowOutcome> {
  const { body, contentType } = stowBody(items.map((item) => item.file));
  return new Promise((resolve, reject) => {
    // XMLHttpRequest, not fetch: only it tells how much of the body has been sent.
    const request = new XMLHttpRequest();
    let stall = setTimeout(() => request.abort(), STALL_MS);
    const stillMoving = (): void => {
      clearTimeout(stall);
      stall = setTimeout(() => request.abort(), STALL_MS * 3);
    };
    const cancel = (): void => request.abort();
    request.open("POST", `${bootstrap().urls.dicomweb}/studies`);
    request.setRequestHeader("Content-Type", contentType);
    request.setRequestHeader("Accept", "application/dicom+json");
    request.setRequestHeader("X-CSRFToken", bootstrap().csrf_token);
    if (options.institutionId) request.setRequestHeader("Gantry-Institution", options.institutionId);
    request.upload.onprogress = (event) => {
      stillMoving();
      options.onProgress(event.loaded);
    };
    request.onloadend = () => {
      clearTimeout(stall);
      options.signal.removeEventListener("abort", cancel);
    };
    request.onload = () => {
      const outcome = read(items, request);
      if (outcome) resolve(outcome);
      else
        reject(
          problemFrom(request.status, request.responseText, request.getResponseHeader("X-Correlation-Id")),
        );
    };
    request.onerror = () => reject(unreachable("The connection was lost."));
    request.onabort = () =>
      reject(
        options.signal.aborted
          ? new DOMException("Cancelled", "AbortError")
          : unreachable("The connection stalled."),
      );
    options.signal.addEventListener("abort", cancel);
    request.send(body);
  });
}

function read(items: readonly UploadItem[], request: XMLHttpRequest): StowOutcome | null {
  if (request.status === 401) window.dispatchEvent(new CustomEvent(SIGNED_OUT));
  if (![200, 202, 409].includes(request.status)) return null;
  if (!(request.getResponseHeader("Content-Type") ?? "").includes("dicom+json")) return null;
  try {
    return readOutcome(items, JSON.parse(request.responseText) as Parameters<typeof readOutcome>[1]);
  } catch {
    return null;
  }
}
