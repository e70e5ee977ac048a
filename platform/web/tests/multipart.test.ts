import { expect, test } from "vitest";
import { stowBody } from "../src/upload/multipart";

test("stowBody_frames_every_file_when_several_are_sent", async () => {
  const files = [new Blob([new Uint8Array([1, 0, 255])]), new Blob(["two"])];
  const { body, contentType } = stowBody(files, "edge");
  expect(contentType).toBe('multipart/related; type="application/dicom"; boundary=edge');
  const text = Buffer.from(await body.arrayBuffer()).toString("latin1");
  expect(text).toBe(
    "--edge\r\nContent-Type: application/dicom\r\n\r\n\x01\x00\xff\r\n" +
      "--edge\r\nContent-Type: application/dicom\r\n\r\ntwo\r\n--edge--\r\n",
  );
});

test("stowBody_takes_a_fresh_boundary_when_none_is_given", () => {
  expect(stowBody([]).contentType).not.toBe(stowBody([]).contentType);
});
