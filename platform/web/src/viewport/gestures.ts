import { type Pinch, type Point, pinchOf, wholeSteps } from "./geometry";

/** What one finger does on a touch screen; the mouse has a button for each. */
export type TouchTool = "scroll" | "window";

export interface GestureHandlers {
  scroll(steps: number): void;
  /** Distance from where the drag began; `isOver` once, at its end. */
  window(dx: number, dy: number, isOver: boolean): void;
  zoom(factor: number, at: Point): void;
  pan(dx: number, dy: number): void;
  pinch(from: Pinch, to: Pinch): void;
  /** Screen pixels of finger travel for one slice. */
  pixelsPerSlice(): number;
  touchTool(): TouchTool;
}

type Drag = "window" | "zoom" | "pan" | "scroll";

const MOUSE_DRAGS: Record<number, Drag> = { 0: "window", 1: "pan", 2: "zoom" };
/** A wheel that reports more than this at once clicks; less is a track pad gliding. */
const CLICK_PX = 80;
const GLIDE_PX = 30;

/** Whole slices for a wheel event, down = next; what is left of a glide is carried over. */
export function wheelSteps(
  event: { deltaY: number; deltaMode: number },
  rest: number,
): { steps: number; rest: number } {
  const isClick = event.deltaMode !== 0 || Math.abs(event.deltaY) >= CLICK_PX;
  if (!isClick) return wholeSteps(rest + event.deltaY, GLIDE_PX);
  const clicks = event.deltaMode === 0 ? Math.round(Math.abs(event.deltaY) / 120) : 1;
  return { steps: Math.sign(event.deltaY) * Math.max(1, clicks), rest: 0 };
}

/** Turns pointers and wheel on one element into what they mean. */
export class Gestures {
  #element: HTMLElement;
  #handlers: GestureHandlers;
  #pointers = new Map<number, Point>();
  #start: Point = { x: 0, y: 0 };
  #last: Point = { x: 0, y: 0 };
  #drag: Drag | null = null;
  #travel = 0;
  #glide = 0;

  constructor(element: HTMLElement, handlers: GestureHandlers) {
    this.#element = element;
    this.#handlers = handlers;
    element.addEventListener("pointerdown", this.#down);
    element.addEventListener("pointermove", this.#move);
    element.addEventListener("pointerup", this.#up);
    element.addEventListener("pointercancel", this.#up);
    element.addEventListener("wheel", this.#wheel, { passive: false });
    element.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  #at(event: MouseEvent): Point {
    const box = this.#element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #down = (event: PointerEvent): void => {
    const at = this.#at(event);
    this.#pointers.set(event.pointerId, at);
    this.#element.setPointerCapture(event.pointerId);
    if (event.pointerType === "mouse" && event.button === 1) event.preventDefault();
    if (this.#pointers.size > 1) {
      // The second finger turns a drag into a pinch.
      this.#endDrag();
      return;
    }
    this.#start = at;
    this.#last = at;
    this.#travel = 0;
    const isTouch = event.pointerType === "touch";
    this.#drag = isTouch ? this.#handlers.touchTool() : (MOUSE_DRAGS[event.button] ?? null);
  };

  #move = (event: PointerEvent): void => {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const at = this.#at(event);
    if (this.#pointers.size === 2) {
      const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
      if (other) this.#handlers.pinch(pinchOf(before, other), pinchOf(at, other));
    } else if (this.#drag) this.#dragTo(at);
    this.#pointers.set(event.pointerId, at);
  };

  #dragTo(at: Point): void {
    const dx = at.x - this.#last.x;
    const dy = at.y - this.#last.y;
    this.#last = at;
    if (this.#drag === "window") this.#handlers.window(at.x - this.#start.x, at.y - this.#start.y, false);
    else if (this.#drag === "pan") this.#handlers.pan(dx, dy);
    else if (this.#drag === "zoom") this.#handlers.zoom(Math.exp(-dy / 150), this.#start);
    else {
      const { steps, rest } = wholeSteps(this.#travel + dy, this.#handlers.pixelsPerSlice());
      this.#travel = rest;
      if (steps !== 0) this.#handlers.scroll(steps);
    }
  }

  #up = (event: PointerEvent): void => {
    this.#pointers.delete(event.pointerId);
    if (this.#pointers.size === 0) this.#endDrag();
  };

  #endDrag(): void {
    const isMoved = this.#last.x !== this.#start.x || this.#last.y !== this.#start.y;
    if (this.#drag === "window" && isMoved)
      this.#handlers.window(this.#last.x - this.#start.x, this.#last.y - this.#start.y, true);
    this.#drag = null;
  }

  #wheel = (event: WheelEvent): void => {
    event.preventDefault();
    if (event.ctrlKey) {
      // A pinch on a track pad arrives as a wheel with Ctrl.
      this.#handlers.zoom(Math.exp(-event.deltaY / 200), this.#at(event));
      return;
    }
    const { steps, rest } = wheelSteps(event, this.#glide);
    this.#glide = rest;
    if (steps !== 0) this.#handlers.scroll(steps);
  };
}
