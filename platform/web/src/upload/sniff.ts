/** A look at the first bytes of a file: is it DICOM, and which instance is it? */
export type Sniffed =
  | { kind: "dicom"; sopInstanceUid: string }
  | { kind: "zip" }
  | { kind: "other"; reason: string };

const HEAD_BYTES = 2048;
const PREAMBLE = 128;

/** Media Storage SOP Instance UID (0002,0003) of the file meta information, "" if not found. */
function metaInstanceUid(head: DataView): string {
  let at = PREAMBLE + 4;
  while (at + 8 <= head.byteLength) {
    const group = head.getUint16(at, true);
    const element = head.getUint16(at + 2, true);
    if (group !== 0x0002) break;
    const vr = String.fromCharCode(head.getUint8(at + 4), head.getUint8(at + 5));
    const isLong = ["OB", "UN", "OW", "SQ", "UT"].includes(vr);
    const start = at + (isLong ? 12 : 8);
    if (start > head.byteLength) break;
    const length = isLong ? head.getUint32(at + 8, true) : head.getUint16(at + 6, true);
    if (element === 0x0003 && start + length <= head.byteLength) {
      const bytes = new Uint8Array(head.buffer, head.byteOffset + start, length);
      return String.fromCharCode(...bytes).replace(/[\0 ]+$/, "");
    }
    at = start + length;
  }
  return "";
}

/** Some archives write data sets without preamble: group 0008, little endian, a short first element. */
function looksLikeBareDataSet(head: DataView): boolean {
  if (head.byteLength < 16 || head.getUint16(0, true) !== 0x0008) return false;
  const element = head.getUint16(2, true);
  const vr = String.fromCharCode(head.getUint8(4), head.getUint8(5));
  const isExplicit = /^(CS|UI|UL|DA|TM|SH)$/.test(vr);
  return element <= 0x0018 && (isExplicit || head.getUint32(4, true) <= 128);
}

/** Say what a file is from its beginning; never reads more than two kilobytes. */
export async function sniff(file: Blob, name: string): Promise<Sniffed> {
  if (file.size === 0) return { kind: "other", reason: "The file is empty." };
  const base = name.split("/").at(-1) ?? name;
  if (/^dicomdir$/i.test(base)) return { kind: "other", reason: "A DICOMDIR is an index, not an image." };
  const head = new DataView(await file.slice(0, HEAD_BYTES).arrayBuffer());
  if (head.byteLength >= PREAMBLE + 4 && head.getUint32(PREAMBLE) === 0x4449434d)
    return { kind: "dicom", sopInstanceUid: metaInstanceUid(head) };
  const magic = head.byteLength >= 4 ? head.getUint32(0) : 0;
  if (magic === 0x504b0304 || magic === 0x504b0506) return { kind: "zip" };
  if (looksLikeBareDataSet(head)) return { kind: "dicom", sopInstanceUid: "" };
  return { kind: "other", reason: "Not a DICOM file." };
}
