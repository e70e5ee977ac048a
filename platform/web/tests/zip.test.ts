import { crc32, deflateRawSync } from "node:zlib";
import { expect, test } from "vitest";
import { LIMITS, listEntries, refusal, unpack, type ZipLimits } from "../src/upload/zip";

interface Member {
  name: string;
  data: Buffer;
  flags?: number;
  method?: number;
  /** Sizes and offset in the large-file record, as archives over 4 GB have them. */
  isZip64?: boolean;
  /** What the directory claims; the truth if left out. */
  claims?: { size?: number; crc?: number };
}

/** A ZIP built byte by byte, so that it can lie. */
function zip(members: Member[], comment = ""): Blob {
  const local: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const { name, data, flags = 0, method = 8, isZip64, claims = {} } of members) {
    const packed = method === 8 ? deflateRawSync(data) : data;
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(flags, 2);
    fields.writeUInt16LE(method, 4);
    fields.writeUInt32LE(claims.crc ?? crc32(data), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(claims.size ?? data.length, 18);
    fields.writeUInt16LE(Buffer.byteLength(name), 22);
    const head = Buffer.concat([Buffer.from("PK\x03\x04"), fields, Buffer.from(name), packed]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    const extra = Buffer.alloc(isZip64 ? 28 : 0);
    const listed = Buffer.from(fields);
    if (isZip64) {
      extra.writeUInt16LE(1, 0);
      extra.writeUInt16LE(24, 2);
      [data.length, packed.length, offset].forEach((value, at) => {
        extra.writeBigUInt64LE(BigInt(value), 4 + 8 * at);
      });
      listed.writeUInt32LE(0xffffffff, 14);
      listed.writeUInt32LE(0xffffffff, 18);
      listed.writeUInt16LE(extra.length, 24);
      tail.writeUInt32LE(0xffffffff, 10);
    }
    central.push(Buffer.concat([Buffer.from("PK\x01\x02\x14\x00"), listed, tail, Buffer.from(name), extra]));
    local.push(head);
    offset += head.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", 0, "latin1");
  end.writeUInt16LE(members.length, 8);
  end.writeUInt16LE(members.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  end.writeUInt16LE(comment.length, 20);
  return new Blob([Buffer.concat([...local, directory, end, Buffer.from(comment)])]);
}

const DICOM = Buffer.from("pixel data ".repeat(500));
const limits = (part: Partial<ZipLimits>): ZipLimits => ({ ...LIMITS, ...part });

async function first(archive: Blob) {
  const [entry] = await listEntries(archive);
  if (!entry) throw new Error("no entry");
  return entry;
}

test.each([
  ["deflated", 8],
  ["stored", 0],
])("unpack_returns_the_bytes_when_they_are_%s", async (_, method) => {
  const archive = zip(
    [
      { name: "a/", data: Buffer.alloc(0), method: 0 },
      { name: "a/1.dcm", data: DICOM, method },
    ],
    "note",
  );
  const entries = await listEntries(archive);
  expect(entries.map(({ name }) => name)).toEqual(["a/1.dcm"]);
  const [entry] = entries;
  if (entry) expect(Buffer.from(await (await unpack(archive, entry)).arrayBuffer()).equals(DICOM)).toBe(true);
});

test("unpack_finds_the_bytes_when_sizes_are_in_the_large_file_record", async () => {
  const archive = zip([
    { name: "0", data: DICOM },
    { name: "1", data: DICOM, isZip64: true },
  ]);
  const entry = (await listEntries(archive))[1];
  expect(entry).toMatchObject({ name: "1", size: DICOM.length });
  if (entry) expect((await unpack(archive, entry)).size).toBe(DICOM.length);
});

test("listEntries_refuses_when_there_are_too_many", async () => {
  const archive = zip(["1", "2", "3"].map((name) => ({ name, data: DICOM })));
  await expect(listEntries(archive, limits({ entries: 2 }))).rejects.toThrow("3 files");
});

test("listEntries_refuses_when_the_total_is_too_large", async () => {
  const archive = zip([
    { name: "1", data: DICOM },
    { name: "2", data: DICOM },
  ]);
  await expect(listEntries(archive, limits({ totalBytes: DICOM.length }))).rejects.toThrow("limit");
});

test("listEntries_says_damaged_when_the_end_is_missing", async () => {
  const archive = zip([{ name: "1", data: DICOM }]);
  await expect(listEntries(archive.slice(0, archive.size - 30))).rejects.toThrow("damaged");
  await expect(listEntries(new Blob(["PK\x03\x04 no more"]))).rejects.toThrow("damaged");
});

test("refusal_names_the_password_when_an_entry_is_encrypted", async () => {
  expect(refusal(await first(zip([{ name: "1", data: DICOM, flags: 1 }])))).toContain("password");
});

test("refusal_names_the_method_when_browsers_cannot_unpack_it", async () => {
  expect(refusal(await first(zip([{ name: "1", data: DICOM, method: 14 }])))).toContain("method");
});

test("refusal_names_a_bomb_when_the_ratio_is_absurd", async () => {
  const entry = await first(zip([{ name: "1", data: Buffer.alloc(8 * 2 ** 20) }]));
  expect(refusal(entry)).toContain("ZIP bomb");
  expect(refusal(entry, limits({ ratio: 2000 }))).toBeNull();
});

test("unpack_cuts_off_when_an_entry_lies_about_its_size", async () => {
  const archive = zip([{ name: "1", data: Buffer.alloc(8 * 2 ** 20), claims: { size: 1000 } }]);
  await expect(unpack(archive, await first(archive))).rejects.toThrow("more than the ZIP says");
});

test("unpack_refuses_when_the_checksum_does_not_match", async () => {
  const archive = zip([{ name: "1", data: DICOM, claims: { crc: 7 } }]);
  await expect(unpack(archive, await first(archive))).rejects.toThrow("checksum");
});
