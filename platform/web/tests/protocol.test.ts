import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { FrameFlag, MediaType, mimeOf, readFrame, Tier } from "../src/transport/protocol.gen";

/** Made by Python; tests/contract/test_render_protocol.py holds it to gantry_render.protocol. */
const hex = readFileSync(new URL("./fixtures/frame.hex", import.meta.url), "utf-8").trim();
const message = (): ArrayBuffer =>
  Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)).buffer;

describe("readFrame", () => {
  it("reads what Python packed", () => {
    const frame = readFrame(message());
    expect(frame).toMatchObject({
      mediaType: MediaType.JPEG,
      tier: Tier.T2,
      flags: FrameFlag.SETTLED | FrameFlag.INVERTED,
      view: 3,
      seq: 4_000_000_001,
      stateId: 70_000,
      width: 512,
      height: 384,
      place: -123.625,
      region: [10.5, 20, 256, 192],
      windowCenter: 40,
      windowWidth: 400,
      queuedUs: 1500,
      renderUs: 2500,
      encodeUs: 3500,
    });
    expect(frame && mimeOf(frame)).toBe("image/jpeg");
    expect(frame && new TextDecoder("latin1").decode(frame.payload)).toBe("\xff\xd8 picture \xff\xd9");
  });

  it("takes nothing that is cut short, of another version or of an unknown encoding", () => {
    expect(readFrame(message().slice(0, 71))).toBeNull();
    for (const at of [0, 1, 2]) {
      const spoilt = message();
      new DataView(spoilt).setUint8(at, 99);
      expect(readFrame(spoilt)).toBeNull();
    }
  });
});
