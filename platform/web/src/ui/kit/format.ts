/** Dates, names and sizes as people read them; English, with months in letters so that no one misreads a day. */

const DAY = new Intl.DateTimeFormat("en-GB", {
  day: "2-digit",
  month: "short",
  year: "numeric",
  timeZone: "UTC",
});
const MOMENT = new Intl.DateTimeFormat("en-GB", {
  day: "2-digit",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
});
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

/** DICOM (20261121) or ISO (2026-11-21) date; null if it is neither. */
export function parseDay(text: string | null): Date | null {
  const parts = /^(\d{4})-?(\d{2})-?(\d{2})/.exec(text ?? "");
  if (!parts) return null;
  const date = new Date(Date.UTC(Number(parts[1]), Number(parts[2]) - 1, Number(parts[3])));
  return Number.isNaN(date.getTime()) ? null : date;
}

export function day(text: string | null): string {
  const date = parseDay(text);
  return date ? DAY.format(date) : text || "not given";
}

/** DICOM (031500) or ISO (03:15:00) time to the minute. */
export function timeOfDay(text: string | null): string {
  const parts = /^(\d{2}):?(\d{2})/.exec(text ?? "");
  return parts ? `${parts[1]}:${parts[2]}` : "";
}

/** A moment in the reader's own time zone; today's as a clock time. */
export function moment(iso: string | null, now = new Date()): string {
  if (!iso) return "";
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  return date.toDateString() === now.toDateString() ? `Today ${CLOCK.format(date)}` : MOMENT.format(date);
}

/** Age on the day of the study, in the unit that DICOM's AS would use. */
export function age(birth: string | null, at: string | null): string {
  const from = parseDay(birth);
  const to = parseDay(at);
  if (!from || !to || to < from) return "";
  let months = (to.getUTCFullYear() - from.getUTCFullYear()) * 12 + to.getUTCMonth() - from.getUTCMonth();
  if (to.getUTCDate() < from.getUTCDate()) months -= 1;
  if (months >= 24) return `${Math.floor(months / 12)} y`;
  if (months >= 1) return `${months} mo`;
  return `${Math.round((to.getTime() - from.getTime()) / 86_400_000)} d`;
}

/** DICOM person name (Family^Given^Middle^Prefix^Suffix) as read aloud from a list: FAMILY, Given. */
export function personName(name: string): string {
  const alphabetic = name.split("=").find((group) => group.trim()) ?? "";
  if (!alphabetic.includes("^")) return alphabetic.trim() || "Name not given";
  const [family = "", given = "", middle = ""] = alphabetic.split("^").map((part) => part.trim());
  const first = [given, middle].filter(Boolean).join(" ");
  return [family.toLocaleUpperCase("en"), first].filter(Boolean).join(", ") || "Name not given";
}

const SEXES: Record<string, string> = { M: "male", F: "female", O: "other" };

export function sexWord(sex: string): string {
  return SEXES[sex] ?? "sex not given";
}

const ROLES: Record<string, string> = { admin: "administrator", compliance: "compliance officer" };

export function roleWord(role: string): string {
  return ROLES[role] ?? role;
}

/** What a series holds where it is no images, by modality (PS3.3 C.7.3.1.1.1). */
const OBJECTS: Record<string, string> = {
  ANN: "Annotations",
  AU: "Sound",
  DOC: "Document",
  ECG: "Electrocardiogram",
  KO: "Key object selection",
  M3D: "3D mesh",
  PLAN: "Plan",
  PR: "Presentation state",
  REG: "Registration",
  RTDOSE: "Radiotherapy dose",
  RTPLAN: "Radiotherapy plan",
  RTSTRUCT: "Radiotherapy structures",
  RWV: "Real-world values",
  SEG: "Segmentation",
  SR: "Structured report",
};

export function objectWord(modality: string): string {
  return OBJECTS[modality] ?? "Data without images";
}

/** "3 images"; "2 objects" where no modality among them makes images. */
export function instances(total: number, modalities: readonly string[]): string {
  return count(
    total,
    modalities.length > 0 && modalities.every((one) => one in OBJECTS) ? "object" : "image",
  );
}

export function bytes(size: number): string {
  if (size < 1000) return `${size} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = size / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function count(total: number, one: string, many = `${one}s`): string {
  return `${total.toLocaleString("en")} ${total === 1 ? one : many}`;
}

/** Three significant digits at least, whole numbers above 100. */
export function quantity(value: number): string {
  if (!Number.isFinite(value)) return "not measured";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}
