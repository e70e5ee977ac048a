/** Reading ZIP archives by their central directory, under limits; nothing is held whole in memory. */
export interface ZipEntry {
  name: string;
  size: number;
  compressedSize: number;
  method: number;
  isEncrypted: boolean;
  crc32: number;
  headerOffset: number;
}

export interface ZipLimits {
  entries: number;
  entryBytes: number;
  totalBytes: number;
  /** Inflated over compressed size of one entry; honest DICOM stays far below. */
  ratio: number;
}

export const LIMITS: ZipLimits = {
  entries: 50_000,
  entryBytes: 4 * 2 ** 30,
  totalBytes: 64 * 2 ** 30,
  ratio: 200,
};

/** A sentence for the person who chose the archive. */
export class ZipError extends Error {}

const END = 0x06054b50;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const END_BYTES = 22;
const COMMENT_BYTES = 0xffff;
const UNKNOWN_32 = 0xffffffff;
const RATIO_FLOOR_BYTES = 2 ** 20;
const DIRECTORY_BYTES = 64 * 2 ** 20;
const FOLD_BYTES = 16 * 2 ** 20;

async function view(archive: Blob, start: number, end: number): Promise<DataView> {
  if (start < 0 || end > archive.size) throw new ZipError("The ZIP is damaged or was not copied completely.");
  return new DataView(await archive.slice(start, end).arrayBuffer());
}

async function findDirectory(archive: Blob): Promise<{ offset: number; size: number; count: number }> {
  const start = Math.max(0, archive.size - END_BYTES - COMMENT_BYTES);
  const tail = await view(archive, start, archive.size);
  let at = tail.byteLength - END_BYTES;
  while (at >= 0 && tail.getUint32(at, true) !== END) at -= 1;
  if (at < 0) throw new ZipError("The ZIP has no directory: it is damaged or was not copied completely.");
  if (tail.getUint16(at + 4, true) !== 0)
    throw new ZipError("The ZIP is one part of several. Join the parts first.");
  const count = tail.getUint16(at + 10, true);
  const size = tail.getUint32(at + 12, true);
  const offset = tail.getUint32(at + 16, true);
  if (count !== 0xffff && size !== UNKNOWN_32 && offset !== UNKNOWN_32) return { offset, size, count };
  const locator = await view(archive, start + at - 20, start + at);
  if (locator.getUint32(0, true) !== LOCATOR_64) return { offset, size, count };
  const end64 = Number(locator.getBigUint64(8, true));
  const record = await view(archive, end64, end64 + 56);
  if (record.getUint32(0, true) !== END_64) throw new ZipError("The ZIP's large-file directory is damaged.");
  return {
    count: Number(record.getBigUint64(32, true)),
    size: Number(record.getBigUint64(40, true)),
    offset: Number(record.getBigUint64(48, true)),
  };
}

/** Sizes and offset from the ZIP64 extra field, in the order of those that did not fit 32 bits. */
function readZip64(entry: ZipEntry, extra: DataView): ZipEntry {
  for (let at = 0; at + 4 <= extra.byteLength; ) {
    const length = extra.getUint16(at + 2, true);
    if (extra.getUint16(at, true) === 0x0001) {
      let field = at + 4;
      const next = (): number => {
        if (field + 8 > extra.byteLength) throw new ZipError("The ZIP's large-file record is damaged.");
        field += 8;
        return Number(extra.getBigUint64(field - 8, true));
      };
      const size = entry.size === UNKNOWN_32 ? next() : entry.size;
      const compressedSize = entry.compressedSize === UNKNOWN_32 ? next() : entry.compressedSize;
      const headerOffset = entry.headerOffset === UNKNOWN_32 ? next() : entry.headerOffset;
      return { ...entry, size, compressedSize, headerOffset };
    }
    at += 4 + length;
  }
  return entry;
}

/** The files of an archive, refused with a sentence where it breaks a limit. */
export async function listEntries(archive: Blob, limits = LIMITS): Promise<ZipEntry[]> {
  const directory = await findDirectory(archive);
  if (directory.count > limits.entries)
    throw new ZipError(`The ZIP holds ${directory.count} files; ${limits.entries} are the limit.`);
  if (directory.size > DIRECTORY_BYTES) throw new ZipError("The ZIP's directory is too large to be genuine.");
  const records = await view(archive, directory.offset, directory.offset + directory.size);
  const entries: ZipEntry[] = [];
  let total = 0;
  for (let at = 0; at + 46 <= records.byteLength && records.getUint32(at, true) === CENTRAL; ) {
    const nameBytes = records.getUint16(at + 28, true);
    const extraBytes = records.getUint16(at + 30, true);
    const commentBytes = records.getUint16(at + 32, true);
    const end = at + 46 + nameBytes + extraBytes;
    if (end > records.byteLength) throw new ZipError("The ZIP's directory is damaged.");
    const name = new TextDecoder().decode(new Uint8Array(records.buffer, at + 46, nameBytes));
    const entry = readZip64(
      {
        name,
        method: records.getUint16(at + 10, true),
        isEncrypted: (records.getUint16(at + 8, true) & 1) === 1,
        crc32: records.getUint32(at + 16, true),
        compressedSize: records.getUint32(at + 20, true),
        size: records.getUint32(at + 24, true),
        headerOffset: records.getUint32(at + 42, true),
      },
      new DataView(records.buffer, at + 46 + nameBytes, extraBytes),
    );
    at = end + commentBytes;
    if (name.endsWith("/")) continue;
    total += entry.size;
    if (total > limits.totalBytes) throw new ZipError("The ZIP unpacks to more than the limit of 64 GB.");
    if (entries.push(entry) > limits.entries)
      throw new ZipError(`The ZIP holds more than ${limits.entries} files.`);
  }
  return entries;
}

/** Why an entry cannot be unpacked, or null if it can. */
export function refusal(entry: ZipEntry, limits = LIMITS): string | null {
  if (entry.isEncrypted) return "Protected by a password. Unpack the ZIP first.";
  if (entry.method !== 0 && entry.method !== 8)
    return "Packed by a method that browsers cannot unpack. Unpack the ZIP first.";
  if (entry.size > limits.entryBytes) return "Larger than the limit of 4 GB for one file.";
  const isBomb = entry.size > RATIO_FLOOR_BYTES && entry.size > entry.compressedSize * limits.ratio;
  return isBomb ? `Unpacks to more than ${limits.ratio} times its size: refused as a ZIP bomb.` : null;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/**
 * Unpack one entry. What comes out is counted and summed as it comes: an entry that lies about
 * its size is cut off, a damaged one refused.
 */
export async function unpack(archive: Blob, entry: ZipEntry, limits = LIMITS): Promise<Blob> {
  const reason = refusal(entry, limits);
  if (reason) throw new ZipError(reason);
  const header = await view(archive, entry.headerOffset, entry.headerOffset + 30);
  if (header.getUint32(0, true) !== LOCAL) throw new ZipError("Damaged inside the ZIP.");
  const start = entry.headerOffset + 30 + header.getUint16(26, true) + header.getUint16(28, true);
  if (start + entry.compressedSize > archive.size) throw new ZipError("Cut off inside the ZIP.");
  const packed = archive.slice(start, start + entry.compressedSize).stream();
  const stream = entry.method === 0 ? packed : packed.pipeThrough(new DecompressionStream("deflate-raw"));
  const reader = stream.getReader();
  let parts: BlobPart[] = [];
  let loose = 0;
  let size = 0;
  let crc = 0xffffffff;
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      size += step.value.byteLength;
      if (size > entry.size) throw new ZipError("Unpacks to more than the ZIP says: refused.");
      for (const byte of step.value) crc = (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
      parts.push(step.value);
      loose += step.value.byteLength;
      if (loose > FOLD_BYTES) {
        // A blob may leave memory for the browser's disk store; an array may not.
        parts = [new Blob(parts)];
        loose = 0;
      }
    }
  } catch (error) {
    void reader.cancel().catch(() => {});
    throw error instanceof ZipError ? error : new ZipError("Damaged inside the ZIP.");
  }
  if (size !== entry.size || (crc ^ 0xffffffff) >>> 0 !== entry.crc32)
    throw new ZipError("Damaged inside the ZIP: its checksum does not match.");
  return new Blob(parts);
}
