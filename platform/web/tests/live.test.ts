import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LiveConnection, type LiveHandlers, type LiveState, type Socket } from "../src/api/live";

class MemorySocket implements Socket {
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: unknown }) => void) | null = null;
  onclose: ((close: { code: number }) => void) | null = null;
  sent: unknown[] = [];
  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(): void {
    this.onclose?.({ code: 1000 });
  }
  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

function arrange() {
  const sockets: MemorySocket[] = [];
  const states: LiveState[] = [];
  const seen: string[] = [];
  let refetches = 0;
  const live = new LiveConnection({
    connect: () => {
      const socket = new MemorySocket();
      sockets.push(socket);
      return socket;
    },
    onState: (state) => states.push(state),
    random: () => 0.5,
  });
  const handlers: LiveHandlers = {
    onEvent: (event, data) => seen.push(`${event}:${data.study_id}`),
    onRefetch: () => {
      refetches += 1;
    },
  };
  live.subscribe({ stream: "worklist", epoch: "e1", seq: 4 }, handlers);
  const event = (seq: number, epoch = "e1") => ({
    type: "event",
    stream: "worklist",
    epoch,
    seq,
    event: "study.arrived.v1",
    data: { study_id: `s${seq}` },
  });
  const last = (): MemorySocket => sockets.at(-1) ?? new MemorySocket();
  return { live, sockets, last, states, seen, event, handlers, refetches: () => refetches };
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("subscribe_resumes_from_the_cursor_when_the_socket_opens", () => {
  const { last } = arrange();
  last().onopen?.();
  expect(last().sent).toEqual([{ type: "subscribe", stream: "worklist", epoch: "e1", seq: 4 }]);
});

test("events_are_handed_over_once_when_the_server_repeats_them", () => {
  const { last, seen, event } = arrange();
  last().onopen?.();
  for (const seq of [4, 5, 6, 5, 6, 7]) last().say(event(seq));
  expect(seen).toEqual(["study.arrived.v1:s5", "study.arrived.v1:s6", "study.arrived.v1:s7"]);
});

test("connection_resumes_after_the_last_event_when_it_was_lost", () => {
  const { last, sockets, states, event } = arrange();
  last().onopen?.();
  last().say(event(5));
  last().onclose?.({ code: 1006 });
  expect(states.at(-1)).toBe("reconnecting");
  vi.advanceTimersByTime(2000);
  expect(sockets).toHaveLength(2);
  last().onopen?.();
  expect(last().sent).toEqual([{ type: "subscribe", stream: "worklist", epoch: "e1", seq: 5 }]);
  expect(states.at(-1)).toBe("live");
});

test("state_is_refetched_when_history_is_gone", () => {
  const { last, refetches, seen, event } = arrange();
  last().onopen?.();
  last().say({ type: "reset", stream: "worklist", epoch: "e2", seq: 1 });
  expect(refetches()).toBe(1);
  last().say(event(1, "e2"));
  last().say(event(2, "e2"));
  expect(seen).toEqual(["study.arrived.v1:s2"]);
});

test("newer_events_are_replayed_when_a_refetched_state_is_older", () => {
  const { live, last, seen, event, handlers } = arrange();
  last().onopen?.();
  last().say(event(5));
  last().say(event(6));
  live.subscribe({ stream: "worklist", epoch: "e1", seq: 5 }, handlers);
  expect(seen.slice(2)).toEqual(["study.arrived.v1:s6"]);
  live.subscribe({ stream: "worklist", epoch: "e1", seq: 9 }, handlers);
  last().say(event(8));
  expect(seen).toHaveLength(3);
});

test("page_polls_every_five_seconds_when_sockets_are_blocked", () => {
  const { last, states, refetches } = arrange();
  for (let failure = 0; failure < 3; failure += 1) {
    last().onclose?.({ code: 1006 });
    if (failure < 2) vi.advanceTimersByTime(10_000);
  }
  expect(states.at(-1)).toBe("polling");
  const before = refetches();
  vi.advanceTimersByTime(5_000);
  expect(refetches()).toBe(before + 1);
  last().onopen?.();
  expect(states.at(-1)).toBe("live");
  const after = refetches();
  vi.advanceTimersByTime(15_000);
  expect(refetches()).toBe(after);
});

test("client_stays_closed_when_the_session_is_over", () => {
  const { last, sockets, states } = arrange();
  last().onopen?.();
  last().onclose?.({ code: 4401 });
  vi.advanceTimersByTime(60_000);
  expect(states.at(-1)).toBe("signed-out");
  expect(sockets).toHaveLength(1);
});

test("connection_is_given_up_when_it_falls_silent", () => {
  const { last, sockets, states } = arrange();
  last().onopen?.();
  vi.advanceTimersByTime(61_000);
  expect(states).toContain("reconnecting");
  vi.advanceTimersByTime(20_000);
  expect(sockets.length).toBeGreaterThan(1);
});
