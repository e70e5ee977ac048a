import { expect, test } from "vitest";
import { decodeRing, Outlines } from "../src/viewport/contours";

test("decodeRing_sums_differences_when_given_quarter_pixels", () => {
  expect([...decodeRing([40, 80, 4, 0, 0, -2, -4, 2])]).toEqual([10, 20, 11, 20, 11, 19.5, 10, 20]);
});

test("decodeRing_keeps_negative_positions_when_a_ring_crosses_the_edge", () => {
  expect([...decodeRing([-2, -2, 1, 1])]).toEqual([-0.5, -0.5, -0.25, -0.25]);
});

test("decodeRing_refuses_half_a_point", () => {
  expect(() => decodeRing([1, 2, 3])).toThrow(RangeError);
});

test("outlines_refuse_an_encoding_when_it_is_unknown", () => {
  const contours = { encoding: "svg" as "quarter-pixel-delta-v1", slices: {} };
  expect(() => new Outlines(contours)).toThrow("unknown encoding");
});

test("outlines_know_their_slices_when_asked", () => {
  const outlines = new Outlines({
    encoding: "quarter-pixel-delta-v1",
    slices: { "1.2": [[0, 0, 4, 0, 0, 4]], "1.3": [] },
  });
  expect([outlines.has("1.2"), outlines.has("1.3"), outlines.has("1.4")]).toEqual([true, false, false]);
});
