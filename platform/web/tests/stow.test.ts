import { expect, test } from "vitest";
import { sniff } from "../src/upload/sniff";
import { readOutcome, type UploadItem } from "../src/upload/stow";

const item = (uid: string): UploadItem => ({
  path: `${uid}.dcm`,
  file: new Blob(["x"]),
  sopInstanceUid: uid,
});
const referenced = (...uids: string[]) => ({
  Value: uids.map((uid) => ({
    "00081155": { Value: [uid] },
    "00081190": { Value: [`https://x/studies/1.2.3/series/4/instances/${uid}`] },
  })),
});
const failed = (uid: string, code: number, comment = "") => ({
  "00081155": { Value: [uid] },
  "00081197": { Value: [code] },
  "00000902": { Value: comment ? [comment] : [] },
});

test("readOutcome_tells_stored_from_failed_when_a_batch_is_mixed", () => {
  const outcome = readOutcome([item("1"), item("2")], {
    "00081199": referenced("1"),
    "00081198": { Value: [failed("2", 0xa900, "Already in another study.")] },
  });
  expect(outcome.stored.map(({ sopInstanceUid }) => sopInstanceUid)).toEqual(["1"]);
  expect(outcome.failed.map(({ reason }) => reason)).toEqual(["Already in another study."]);
  expect(outcome.studyInstanceUids).toEqual(["1.2.3"]);
});

test("readOutcome_finds_words_when_only_a_code_is_given", () => {
  const outcome = readOutcome([item("2")], {
    "00081198": { Value: [failed("2", 0xc122), failed("9", 0xbeef)] },
  });
  expect(outcome.failed[0]?.reason).toContain("compression");
});

test("readOutcome_never_calls_a_file_stored_when_nobody_mentions_it", () => {
  const outcome = readOutcome([item("1"), item("2")], { "00081199": referenced("1") });
  expect(outcome.failed.map(({ item: { path } }) => path)).toEqual(["2.dcm"]);
});

test("readOutcome_matches_what_is_left_over_when_a_file_has_no_uid", () => {
  const stored = readOutcome([item(""), item("1")], { "00081199": referenced("1", "7") });
  expect(stored.stored).toHaveLength(2);
  const refused = readOutcome([item("")], {
    "00081198": { Value: [failed("", 0xc000, "No SOP Instance UID.")] },
  });
  expect(refused.failed.map(({ reason }) => reason)).toEqual(["No SOP Instance UID."]);
});

test("readOutcome_fails_nobody_when_the_whole_batch_is_stored_twice", () => {
  const outcome = readOutcome([item("1"), item("1")], { "00081199": referenced("1") });
  expect([outcome.stored.length, outcome.failed.length]).toEqual([2, 0]);
});

function part10(uid: string): Blob {
  const element = Buffer.alloc(8);
  element.writeUInt16LE(2, 0);
  element.writeUInt16LE(3, 2);
  element.write("UI", 4, "latin1");
  element.writeUInt16LE(uid.length, 6);
  return new Blob([Buffer.alloc(128), "DICM", element, uid, Buffer.alloc(20)]);
}

test.each([
  ["a DICOM file", part10("1.2.840.99\0"), "IM0001", { kind: "dicom", sopInstanceUid: "1.2.840.99" }],
  ["an empty file", new Blob([]), "x.dcm", { kind: "other", reason: "The file is empty." }],
  ["a ZIP", new Blob(["PK\x03\x04 and more"]), "a.zip", { kind: "zip" }],
  ["text", new Blob(["hello"]), "readme.txt", { kind: "other", reason: "Not a DICOM file." }],
  [
    "an index",
    part10("1.2"),
    "disc/DICOMDIR",
    { kind: "other", reason: "A DICOMDIR is an index, not an image." },
  ],
  [
    "a data set without preamble",
    new Blob([Buffer.from([8, 0, 5, 0, 10, 0, 0, 0, ...Buffer.from("ISO_IR 100")])]),
    "raw",
    { kind: "dicom", sopInstanceUid: "" },
  ],
])("sniff_recognises_%s_when_it_looks_inside", async (_, file, name, expected) => {
  expect(await sniff(file, name)).toEqual(expected);
});
