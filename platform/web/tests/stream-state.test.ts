import { expect, test } from "vitest";
import {
  isRevoked,
  isSignedOut,
  type StreamFacts,
  streamWord,
  volumeOffer,
} from "../src/layout/stream-state";

const LIVE: StreamFacts = { state: "live", isSlow: false, reason: null, welcome: null };
const welcome = (volume: object | null, no_volume_sentence = ""): StreamFacts => ({
  ...LIVE,
  welcome: { volume, no_volume_sentence, presets: [] },
});
const refused: StreamFacts = {
  ...LIVE,
  state: "refused",
  reason: { code: "pack.no_pixels", sentence: "The series has no pixels." },
};

test("planes_and_volume_are_offered_when_nothing_speaks_against_them", () => {
  for (const stream of [LIVE, { ...LIVE, state: "idle" as const }, welcome({})])
    expect(volumeOffer(stream, 40)).toEqual({ refusal: "", isWaiting: false });
  expect(volumeOffer({ ...LIVE, state: "preparing" }, 40)).toEqual({ refusal: "", isWaiting: true });
});

test.each<[string, StreamFacts | null, number, string]>([
  ["tilted", welcome(null, "The gantry was tilted by 12°."), 40, "the gantry was tilted by 12°."],
  ["refused", refused, 40, "the series has no pixels."],
  ["away", { ...LIVE, state: "unavailable" }, 40, "cannot be reached"],
  ["without stream", null, 40, "cannot be reached"],
  ["two images", LIVE, 2, "too few images"],
])("the_reason_is_said_when_the_series_is_%s", (_, stream, count, reason) => {
  const { refusal } = volumeOffer(stream, count);
  expect(refusal).toMatch(/^MPR and 3D are not offered: /);
  expect(refusal).toContain(reason);
});

test("names_keep_their_capitals_in_a_reason", () => {
  expect(volumeOffer(welcome(null, "JPEG XL is not decoded."), 9).refusal).toContain(": JPEG XL");
});

test("the_page_says_nothing_when_all_is_well", () => {
  expect(streamWord(LIVE)).toBeNull();
  expect(streamWord(null)).toBeNull();
  expect(streamWord({ ...LIVE, isSlow: true })?.sentence).toBe("Slow connection");
  expect(streamWord({ ...LIVE, state: "lost" })?.isBusy).toBe(true);
  expect(streamWord(refused)?.sentence).toBe("The series has no pixels.");
});

test.each([
  ["session.absent", true, false],
  ["session.signed_out", true, true],
  ["agreement.not_in_force", true, false],
  ["session.erased", true, false],
  ["pack.no_pixels", false, false],
  ["session.taken_over", false, false],
])("the_right_to_look_has_ended_with_%s_%s", (code, isEnded, isHelpedBySigningIn) => {
  expect(isRevoked({ state: "refused", reason: { code, sentence: "" } })).toBe(isEnded);
  expect(isSignedOut(code)).toBe(isHelpedBySigningIn);
});
