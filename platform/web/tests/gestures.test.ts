import { beforeEach, expect, test, vi } from "vitest";
import { type Drag, type GestureHandlers, Gestures } from "../src/viewport/gestures";

/** An element that hears what is dispatched to it, without a browser. */
class Surface extends EventTarget {
  setPointerCapture(): void {}
  getBoundingClientRect(): DOMRect {
    return { left: 0, top: 0 } as DOMRect;
  }
}

const fire = (surface: Surface, type: string, fields: Record<string, unknown>): void => {
  const event = new Event(type, { cancelable: true });
  for (const [name, value] of Object.entries({ pointerId: 1, pointerType: "mouse", button: 0, ...fields }))
    Object.defineProperty(event, name, { value });
  surface.dispatchEvent(event);
};

let surface: Surface;
let said: string[];
let drag: Drag | null;

beforeEach(() => {
  surface = new Surface();
  said = [];
  drag = null;
  const handlers: GestureHandlers = {
    scroll: (steps) => said.push(`scroll ${steps}`),
    window: (dx, dy, isOver) => said.push(`window ${dx} ${dy}${isOver ? " over" : ""}`),
    zoom: (factor) => said.push(factor > 1 ? "in" : "out"),
    pan: (dx, dy) => said.push(`pan ${dx} ${dy}`),
    pinch: () => said.push("pinch"),
    pixelsPerSlice: () => 10,
    dragAt: (_, button, isTouch) =>
      drag ?? (isTouch ? "scroll" : ((["window", "pan", "zoom"] as const)[button] ?? null)),
    rotate: (dx, dy) => said.push(`rotate ${dx} ${dy}`),
    crosshair: (at) => said.push(`crosshair ${at.x} ${at.y}`),
    grab: (at, from) => said.push(`grab ${at.x - from.x} ${at.y - from.y}`),
    moving: (isMoving) => said.push(isMoving ? "moving" : "rest"),
    doubleTap: () => said.push("double tap"),
    hover: vi.fn(),
  };
  new Gestures(surface as unknown as HTMLElement, handlers);
});

test("buttons_do_what_readers_expect", () => {
  for (const button of [0, 1, 2]) {
    fire(surface, "pointerdown", { button, clientX: 0, clientY: 0 });
    fire(surface, "pointermove", { button, clientX: 5, clientY: -7 });
    fire(surface, "pointerup", { button, clientX: 5, clientY: -7 });
  }
  expect(said).toEqual([
    "moving",
    "window 5 -7",
    "window 5 -7 over",
    "rest",
    "moving",
    "pan 5 -7",
    "rest",
    "moving",
    "in",
    "rest",
  ]);
});

test("a_wheel_down_is_the_next_slice", () => {
  fire(surface, "wheel", { deltaY: 120, deltaMode: 0, ctrlKey: false });
  fire(surface, "wheel", { deltaY: -120, deltaMode: 0, ctrlKey: false });
  expect(said).toEqual(["scroll 1", "scroll -1"]);
});

test("one_finger_scrolls_and_a_second_pinches", () => {
  const touch = { pointerType: "touch" };
  fire(surface, "pointerdown", { ...touch, clientX: 0, clientY: 0 });
  fire(surface, "pointermove", { ...touch, clientX: 0, clientY: 25 });
  fire(surface, "pointerdown", { ...touch, pointerId: 2, clientX: 50, clientY: 0 });
  fire(surface, "pointermove", { ...touch, pointerId: 2, clientX: 80, clientY: 0 });
  fire(surface, "pointerup", { ...touch, pointerId: 2, clientX: 80, clientY: 0 });
  fire(surface, "pointerup", { ...touch, clientX: 0, clientY: 25 });
  expect(said).toEqual(["moving", "scroll 2", "pinch", "rest"]);
});

test("two_quick_taps_are_a_double_tap_and_a_swipe_is_none", () => {
  const tap = (timeStamp: number, to = 0): void => {
    const touch = { pointerType: "touch", clientX: 10, clientY: 10 };
    fire(surface, "pointerdown", { ...touch, timeStamp });
    fire(surface, "pointerup", { ...touch, clientX: 10 + to, timeStamp: timeStamp + 80 });
  };
  tap(0);
  tap(200);
  expect(said).toEqual(["double tap"]);
  tap(2000);
  tap(2200, 60);
  expect(said).toEqual(["double tap"]);
});

test("a_crosshair_goes_where_the_pointer_came_down_and_what_is_grabbed_follows", () => {
  drag = "crosshair";
  fire(surface, "pointerdown", { clientX: 3, clientY: 4 });
  fire(surface, "pointerup", { clientX: 3, clientY: 4 });
  drag = "grab";
  fire(surface, "pointerdown", { clientX: 0, clientY: 0 });
  fire(surface, "pointermove", { clientX: 8, clientY: 9 });
  fire(surface, "pointerup", { clientX: 8, clientY: 9 });
  expect(said).toEqual(["crosshair 3 4", "moving", "grab 8 9", "rest"]);
});
