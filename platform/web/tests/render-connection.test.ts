import { deflateSync } from "node:zlib";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FrameFlag, PACKED_MAGIC } from "../src/transport/protocol.gen";
import { frameOf, MemoryPod, prefetched, stackState, WELCOME } from "./memory-pod";

beforeEach(() =>
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] }),
);
afterEach(() => vi.useRealTimers());

/** Blobs are read in tasks of Node's own, which no fake clock moves. */
const decoded = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

async function live(pod = new MemoryPod()) {
  const onPicture = vi.fn();
  const view = pod.connection.openView(onPicture);
  if (!view) throw new Error("no view");
  await pod.welcome();
  return { pod, view, onPicture };
}

test("a_ticket_travels_in_hello_and_never_in_the_address", async () => {
  const { pod } = await live();
  expect(pod.asked).toEqual([null]);
  expect(pod.socket.sent[0]).toEqual({ type: "hello", ticket: "t", accept: ["image/jpeg"] });
  expect(pod.connection.state).toBe("live");
});

test("nothing_is_opened_before_a_viewport_wants_it", async () => {
  const pod = new MemoryPod();
  await pod.settle();
  expect(pod.asked).toEqual([]);
  expect(pod.connection.state).toBe("idle");
});

test("states_of_one_screen_frame_are_said_in_one_message_the_newest", async () => {
  const { pod, view } = await live();
  for (const frame of [1, 2, 3]) view.set(stackState(frame));
  await pod.settle();
  expect(pod.views().map(({ state }) => state.kind === "stack" && state.frame)).toEqual([3]);
  for (const frame of [4, 5]) view.set(stackState(frame));
  await pod.settle();
  expect(pod.views()).toHaveLength(1);
  pod.nextFrame();
  expect(pod.views().at(-1)?.state).toMatchObject({ frame: 5 });
  const ids = pod.views().map(({ state_id }) => state_id);
  expect(ids).toEqual([...ids].sort((one, other) => one - other));
});

test("the_same_state_is_not_said_twice", async () => {
  const { pod, view } = await live();
  view.set(stackState(1));
  view.set(stackState(1));
  pod.nextFrame();
  expect(pod.views()).toHaveLength(1);
});

test("a_frame_is_acknowledged_once_it_was_painted", async () => {
  const { pod, view, onPicture } = await live();
  view.set(stackState(7));
  pod.nextFrame();
  await pod.say(frameOf({ seq: 1, stateId: 1, place: 7 }));
  await decoded();
  expect(onPicture).toHaveBeenCalled();
  expect(pod.acks()).toEqual([]);
  view.painted();
  view.painted();
  expect(pod.acks()).toEqual([[1, true]]);
});

test("a_frame_that_another_overtook_is_dropped_and_said_to_be", async () => {
  const { pod, view } = await live();
  pod.holdsDecoding = true;
  view.set(stackState(1));
  pod.nextFrame();
  view.set(stackState(2));
  pod.nextFrame();
  await pod.say(frameOf({ seq: 1, stateId: 1, place: 1 }));
  await pod.say(frameOf({ seq: 2, stateId: 2, place: 2 }));
  await decoded();
  pod.waiting.get(2)?.();
  await pod.settle();
  expect(view.shown?.frame.place).toBe(2);
  pod.waiting.get(1)?.();
  await pod.settle();
  expect(view.shown?.frame.place).toBe(2);
  expect(pod.acks()).toEqual([[1, false]]);
  view.painted();
  expect(pod.acks()).toEqual([
    [1, false],
    [2, true],
  ]);
});

test("a_frame_that_was_replaced_before_it_was_painted_is_acknowledged_unseen", async () => {
  const { pod, view } = await live();
  view.set(stackState(1));
  pod.nextFrame();
  await pod.say(frameOf({ seq: 1, stateId: 1, place: 1 }));
  await decoded();
  await pod.say(frameOf({ seq: 2, stateId: 1, place: 1, tier: 2, flags: FrameFlag.SETTLED }));
  await decoded();
  view.painted();
  expect(pod.acks()).toEqual([
    [1, false],
    [2, true],
  ]);
});

test("a_prefetched_frame_is_kept_and_shown_at_once_when_scrolled_to", async () => {
  const { pod, view } = await live();
  view.set(stackState(1), { prefetch: [2, 0, 3] });
  pod.nextFrame();
  await pod.say(frameOf({ seq: 1, stateId: 1, place: 1 }));
  await pod.say(prefetched(2, 1, 2));
  await decoded();
  expect(pod.acks()).toContainEqual([2, true]);
  expect(view.shown?.frame.place).toBe(1);
  view.set(stackState(2), { prefetch: [3, 1, 4] });
  expect(view.shown?.frame.place).toBe(2);
  expect(view.shown?.isHit).toBe(true);
  pod.nextFrame();
  // The pod learns what is shown already, and is not asked for what is kept.
  expect(pod.views().at(-1)).toMatchObject({ holds: 0, prefetch: [3, 4] });
});

test("a_prefetched_frame_is_acknowledged_at_once_and_a_painted_one_after_its_animation_frame", async () => {
  const painted: (() => void)[] = [];
  const { pod, view } = await live(new MemoryPod({ afterPaint: (callback) => painted.push(callback) }));
  view.set(stackState(1), { prefetch: [2] });
  pod.nextFrame();
  await pod.say(prefetched(1, 1, 2));
  await pod.say(frameOf({ seq: 2, stateId: 1, place: 1 }));
  await decoded();
  expect(pod.acks()).toEqual([[1, true]]);
  view.painted();
  for (const callback of painted) callback();
  expect(pod.acks()).toEqual([
    [1, true],
    [2, true],
  ]);
});

test("a_late_frame_of_the_former_place_does_not_replace_what_was_at_hand", async () => {
  const { pod, view } = await live();
  view.set(stackState(1), { prefetch: [2] });
  pod.nextFrame();
  await pod.say(prefetched(1, 1, 2));
  await decoded();
  view.set(stackState(2));
  await pod.say(frameOf({ seq: 2, stateId: 1, place: 1 }));
  await decoded();
  expect(view.shown?.frame.place).toBe(2);
  expect(pod.acks()).toContainEqual([2, false]);
});

test("a_frame_of_a_view_that_was_left_is_acknowledged_unseen", async () => {
  const { pod, view } = await live();
  view.set(stackState(1));
  pod.nextFrame();
  view.close();
  await pod.say(frameOf({ seq: 5, stateId: 1, place: 1 }));
  expect(pod.socket.sent).toContainEqual({ type: "drop", view: 0 });
  expect(pod.acks()).toEqual([[5, false]]);
});

test("the_same_session_goes_on_with_its_newest_states_after_the_pod_was_lost", async () => {
  const { pod, view } = await live();
  view.set(stackState(3));
  pod.nextFrame();
  await pod.say(frameOf({ seq: 1, stateId: 1, place: 3 }));
  await decoded();
  await pod.hangUp(1006);
  expect(pod.connection.state).toBe("lost");
  expect(view.shown?.frame.place).toBe(3);
  view.set(stackState(4));
  await vi.advanceTimersByTimeAsync(150);
  await pod.welcome();
  expect(pod.asked).toEqual([null, "one"]);
  expect(pod.sockets).toHaveLength(2);
  expect(pod.connection.state).toBe("live");
  expect(pod.views().map(({ state }) => state.kind === "stack" && state.frame)).toEqual([4]);
});

test("attempts_wait_longer_when_they_keep_failing", async () => {
  const { pod } = await live();
  pod.openings = Array.from({ length: 6 }, () => new TypeError("offline"));
  await pod.hangUp(1006);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(pod.connection.state).not.toBe("closed");
  expect(pod.asked.length).toBeGreaterThan(2);
});

test("a_pod_that_fell_is_waited_for_even_where_nobody_else_serves_meanwhile", async () => {
  const { pod } = await live();
  const none = (): Error => Object.assign(new Error("None."), { status: 503, code: "render.unavailable" });
  pod.openings = Array.from({ length: 4 }, none);
  await pod.hangUp(1006);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(pod.sockets).toHaveLength(2);
  expect(pod.asked.at(-1)).toBe("one");
});

test("nothing_stays_on_the_screen_when_the_right_to_look_is_gone", async () => {
  const onSignedOut = vi.fn();
  const { pod, view } = await live(new MemoryPod({ onSignedOut }));
  view.set(stackState(3));
  pod.nextFrame();
  await pod.say(frameOf({ seq: 1, stateId: 1, place: 3 }));
  await decoded();
  await pod.say({ type: "bye", code: "session.signed_out", sentence: "Signed out.", retry_after_ms: null });
  await pod.hangUp(4401);
  expect(pod.connection.isDenied).toBe(true);
  expect(view.shown).toBeNull();
  expect(pod.connection.cache.has(stackState(3))).toBe(false);
  expect(onSignedOut).toHaveBeenCalledOnce();
});

test("words_of_farewell_are_shown_and_final_where_trying_again_does_not_help", async () => {
  const { pod } = await live();
  await pod.say({
    type: "bye",
    code: "agreement.suspended",
    sentence: "The agreement is suspended.",
    retry_after_ms: null,
  });
  await pod.hangUp(4403);
  expect(pod.connection.state).toBe("refused");
  expect(pod.connection.reason?.sentence).toBe("The agreement is suspended.");
  await vi.advanceTimersByTimeAsync(60_000);
  expect(pod.sockets).toHaveLength(1);
  pod.connection.retry();
  await pod.settle();
  expect(pod.sockets).toHaveLength(2);
});

test("a_pod_that_drains_is_followed_by_another_after_the_time_that_it_named", async () => {
  const { pod } = await live();
  await pod.say({ type: "bye", code: "pod.draining", sentence: "Moving.", retry_after_ms: 400 });
  await pod.hangUp(4504);
  expect(pod.connection.reason).toMatchObject({ code: "pod.draining", retryAfterMs: 400 });
  await vi.advanceTimersByTimeAsync(399);
  expect(pod.sockets).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(2);
  expect(pod.sockets).toHaveLength(2);
});

test("a_pack_that_is_being_written_is_asked_for_every_three_seconds_or_when_it_is_told_of", async () => {
  const pod = new MemoryPod();
  const preparing = { state: "preparing", sentence: "Being prepared." } as const;
  pod.openings = [preparing, preparing, preparing];
  pod.connection.openView(() => {});
  await pod.settle();
  expect(pod.connection.state).toBe("preparing");
  await vi.advanceTimersByTimeAsync(3_000);
  expect(pod.asked).toHaveLength(2);
  pod.connection.retry();
  await pod.settle();
  expect(pod.asked).toHaveLength(3);
});

test("a_refusal_says_why", async () => {
  const pod = new MemoryPod();
  pod.openings = [{ state: "refused", code: "pack.video", sentence: "Video is not rendered." }];
  pod.connection.openView(() => {});
  await pod.settle();
  expect(pod.connection.state).toBe("refused");
  expect(pod.connection.reason).toMatchObject({ code: "pack.video", sentence: "Video is not rendered." });
});

test("a_missing_render_service_is_unavailable_and_asked_for_again_later", async () => {
  const pod = new MemoryPod();
  pod.openings = [
    Object.assign(new Error("No render service."), { status: 503, code: "render.unavailable" }),
  ];
  pod.connection.openView(() => {});
  await pod.settle();
  expect(pod.connection.state).toBe("unavailable");
  await vi.advanceTimersByTimeAsync(1_000);
  expect(pod.asked).toHaveLength(2);
});

test("silence_while_something_is_due_is_said_after_three_seconds_and_given_up_after_nine", async () => {
  const { pod, view } = await live();
  const pass = async (ms: number): Promise<void> => {
    pod.now += ms;
    await vi.advanceTimersByTimeAsync(500);
  };
  await pass(10_000);
  expect(pod.connection.isSlow).toBe(false);
  view.set(stackState(1));
  pod.nextFrame();
  await pass(3_100);
  expect(pod.connection.isSlow).toBe(true);
  expect(pod.socket.sent.at(-1)).toEqual({ type: "ping" });
  await pod.say({ type: "pong" });
  expect(pod.connection.isSlow).toBe(false);
  view.set(stackState(2));
  pod.nextFrame();
  await pass(9_100);
  expect(pod.connection.state).toBe("lost");
});

test("a_quiet_socket_is_kept_open", async () => {
  const { pod } = await live();
  pod.now += 20_500;
  await vi.advanceTimersByTimeAsync(500);
  expect(pod.socket.sent.filter(({ type }) => type === "ping")).toHaveLength(1);
});

test("the_socket_is_left_ten_seconds_after_the_last_view", async () => {
  const { pod, view } = await live();
  view.close();
  await vi.advanceTimersByTimeAsync(9_000);
  expect(pod.connection.state).toBe("live");
  await vi.advanceTimersByTimeAsync(2_000);
  expect(pod.connection.state).toBe("idle");
  expect(pod.socket.isClosed).toBe(true);
});

test("a_long_message_comes_packed", async () => {
  const pod = new MemoryPod();
  pod.connection.openView(() => {});
  await pod.settle();
  pod.socket.onopen?.();
  const packed = deflateSync(JSON.stringify({ ...WELCOME, modality: "MR" }));
  const message = Uint8Array.of(PACKED_MAGIC, ...packed).buffer;
  await pod.say(message);
  await vi.waitFor(() => expect(pod.connection.welcome?.modality).toBe("MR"));
});

test("a_probe_is_answered_by_its_number_and_by_nobody_when_the_socket_ends", async () => {
  const { pod } = await live();
  const one = pod.connection.probe({ frame: 3, column: 10, row: 20 });
  const other = pod.connection.probe({ point: [1, 2, 3] });
  await pod.say({ type: "probed", id: 1, value: 40, text: "40 HU" });
  expect((await one)?.text).toBe("40 HU");
  await pod.hangUp(1006);
  expect(await other).toBeNull();
});
