/** Reading the answer to a STOW-RS request (PS3.18 10.5.3 and annex I). */
export interface UploadItem {
  path: string;
  file: Blob;
  /** From the file's head; "" where it has none. */
  sopInstanceUid: string;
}

export interface StowOutcome {
  stored: UploadItem[];
  failed: { item: UploadItem; reason: string }[];
  studyInstanceUids: string[];
}

type Json = Record<string, { Value?: unknown[] } | undefined>;

const FAILED = "00081198";
const REFERENCED = "00081199";
const INSTANCE_UID = "00081155";
const FAILURE_REASON = "00081197";
const ERROR_COMMENT = "00000902";
const RETRIEVE_URL = "00081190";

const REASONS: Record<number, string> = {
  272: "The server could not process this file.",
  290: "This kind of DICOM object is not accepted.",
  42752: "The server has no room left.",
  43264: "What the file contains does not match its kind.",
  49152: "The server could not understand this file.",
  49442: "The compression of this file is not supported.",
};

const UNANSWERED = "The server did not say whether this file was stored. Retry it.";

function itemsOf(body: Json, tag: string): Json[] {
  return (body[tag]?.Value ?? []) as Json[];
}

function textOf(item: Json, tag: string): string {
  const value = item[tag]?.Value?.[0];
  return typeof value === "string" ? value : "";
}

function reasonOf(item: Json): string {
  const comment = textOf(item, ERROR_COMMENT);
  const code = item[FAILURE_REASON]?.Value?.[0];
  if (comment) return comment;
  const hex = typeof code === "number" ? code.toString(16).toUpperCase().padStart(4, "0") : "none given";
  return (typeof code === "number" ? REASONS[code] : undefined) ?? `Refused by the server (reason ${hex}).`;
}

/**
 * Say which files of a batch were stored and which were not. Files are matched by SOP Instance
 * UID; what has none is matched to what is left over, and what nobody mentions is not stored.
 */
export function readOutcome(items: readonly UploadItem[], body: Json): StowOutcome {
  const referenced = itemsOf(body, REFERENCED);
  const refusals = itemsOf(body, FAILED);
  const good = new Set(referenced.map((item) => textOf(item, INSTANCE_UID)));
  const bad = new Map(refusals.map((item) => [textOf(item, INSTANCE_UID), reasonOf(item)]));
  const stored: UploadItem[] = [];
  const failed: StowOutcome["failed"] = [];
  const unnamed: UploadItem[] = [];
  for (const item of items) {
    const reason = bad.get(item.sopInstanceUid);
    if (item.sopInstanceUid && reason !== undefined) failed.push({ item, reason });
    else if (item.sopInstanceUid && good.has(item.sopInstanceUid)) stored.push(item);
    else unnamed.push(item);
  }
  const known = new Set(items.map((item) => item.sopInstanceUid).filter(Boolean));
  const spareGood = referenced.filter((item) => !known.has(textOf(item, INSTANCE_UID))).length;
  const spareBad = refusals.filter((item) => !known.has(textOf(item, INSTANCE_UID))).map(reasonOf);
  for (const item of unnamed) {
    if (spareBad.length === 0 && unnamed.length <= spareGood) stored.push(item);
    else failed.push({ item, reason: spareBad.shift() ?? UNANSWERED });
  }
  const urls = [body, ...referenced].map((item) => textOf(item, RETRIEVE_URL));
  const studies = urls.map((url) => /\/studies\/([0-9.]+)/.exec(url)?.[1] ?? "").filter(Boolean);
  return { stored, failed, studyInstanceUids: [...new Set(studies)] };
}
