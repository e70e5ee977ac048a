import { type Pinch, type Point, pinchOf, wholeSteps } from "./geometry";

/** What one finger does on a touch screen; the mouse has a button for each. */
export type TouchTool = "scroll" | "window";

/** What a drag of one button or finger does. */
export type Drag = "window" | "zoom" | "pan" | "scroll" | "rotate" | "crosshair" | "grab";

export interface GestureHandlers {
  scroll(steps: number): void;
  /** Distance from where the drag began; `isOver` once, at its end. */
  window(dx: number, dy: number, isOver: boolean): void;
  zoom(factor: number, at: Point): void;
  pan(dx: number, dy: number): void;
  pinch(from: Pinch, to: Pinch): void;
  /** Screen pixels of finger travel for one slice. */
  pixelsPerSlice(): number;
  /** What a button or one finger means where it came down; null: nothing. */
  dragAt(at: Point, button: number, isTouch: boolean): Drag | null;
  rotate?(dx: number, dy: number): void;
  crosshair?(at: Point): void;
  /** Something under the pointer is moved; `from` is where it was taken. */
  grab?(at: Point, from: Point): void;
  /** A drag or pinch began or ended. */
  moving?(isMoving: boolean): void;
  hover?(at: Point | null): void;
  doubleTap?(at: Point): void;
  /** What the wheel does instead of scrolling. */
  wheelZooms?(): boolean;
}

/** A wheel that reports more than this at once clicks; less is a track pad gliding. */
const CLICK_PX = 80;
const GLIDE_PX = 30;
/** A tap: shorter and nearer than this; two of them within the first are a double tap (viewer.md §1.1). */
const TAP_MS = 300;
const TAP_PX = 24;

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
  #isMoving = false;
  #downAt = 0;
  #lastTap: { at: Point; time: number } | null = null;

  constructor(element: HTMLElement, handlers: GestureHandlers) {
    this.#element = element;
    this.#handlers = handlers;
    element.addEventListener("pointerdown", this.#down);
    element.addEventListener("pointermove", this.#move);
    element.addEventListener("pointerup", this.#up);
    element.addEventListener("pointercancel", this.#up);
    element.addEventListener("pointerleave", () => handlers.hover?.(null));
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
      this.#lastTap = null;
      this.#setMoving(true);
      return;
    }
    this.#start = at;
    this.#last = at;
    this.#travel = 0;
    this.#downAt = event.timeStamp;
    this.#drag = this.#handlers.dragAt(at, event.button, event.pointerType === "touch");
    if (this.#drag === "crosshair") this.#handlers.crosshair?.(at);
  };

  #move = (event: PointerEvent): void => {
    const before = this.#pointers.get(event.pointerId);
    const at = this.#at(event);
    if (!before) {
      if (event.pointerType === "mouse") this.#handlers.hover?.(at);
      return;
    }
    if (this.#pointers.size === 2) {
      const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
      if (other) this.#handlers.pinch(pinchOf(before, other), pinchOf(at, other));
    } else if (this.#drag) this.#dragTo(at);
    this.#pointers.set(event.pointerId, at);
  };

  #dragTo(at: Point): void {
    const dx = at.x - this.#last.x;
    const dy = at.y - this.#last.y;
    if (dx === 0 && dy === 0) return;
    this.#last = at;
    this.#setMoving(true);
    const { window, pan, zoom, rotate, crosshair, grab } = this.#handlers;
    if (this.#drag === "window") window(at.x - this.#start.x, at.y - this.#start.y, false);
    else if (this.#drag === "pan") pan(dx, dy);
    else if (this.#drag === "zoom") zoom(Math.exp(-dy / 150), this.#start);
    else if (this.#drag === "rotate") rotate?.(dx, dy);
    else if (this.#drag === "crosshair") crosshair?.(at);
    else if (this.#drag === "grab") grab?.(at, this.#start);
    else {
      const { steps, rest } = wholeSteps(this.#travel + dy, this.#handlers.pixelsPerSlice());
      this.#travel = rest;
      if (steps !== 0) this.#handlers.scroll(steps);
    }
  }

  #up = (event: PointerEvent): void => {
    if (!this.#pointers.delete(event.pointerId)) return;
    if (this.#pointers.size > 0) return;
    this.#endDrag();
    this.#setMoving(false);
    if (event.pointerType === "touch" && event.type === "pointerup") this.#tap(event);
  };

  #tap(event: PointerEvent): void {
    const at = this.#at(event);
    const isTap =
      event.timeStamp - this.#downAt < TAP_MS &&
      Math.hypot(at.x - this.#start.x, at.y - this.#start.y) < TAP_PX;
    const former = this.#lastTap;
    this.#lastTap = isTap ? { at, time: event.timeStamp } : null;
    if (!isTap || !former || event.timeStamp - former.time > TAP_MS + 100) return;
    if (Math.hypot(at.x - former.at.x, at.y - former.at.y) > 2 * TAP_PX) return;
    this.#lastTap = null;
    this.#handlers.doubleTap?.(at);
  }

  #setMoving(isMoving: boolean): void {
    if (isMoving === this.#isMoving) return;
    this.#isMoving = isMoving;
    this.#handlers.moving?.(isMoving);
  }

  #endDrag(): void {
    const isMoved = this.#last.x !== this.#start.x || this.#last.y !== this.#start.y;
    if (this.#drag === "window" && isMoved)
      this.#handlers.window(this.#last.x - this.#start.x, this.#last.y - this.#start.y, true);
    this.#drag = null;
  }

  #wheel = (event: WheelEvent): void => {
    event.preventDefault();
    const isZoom = this.#handlers.wheelZooms?.() ?? false;
    if (event.ctrlKey || isZoom) {
      // A pinch on a track pad arrives as a wheel with Ctrl.
      this.#handlers.zoom(Math.exp(-event.deltaY / (event.ctrlKey ? 200 : 600)), this.#at(event));
      return;
    }
    const { steps, rest } = wheelSteps(event, this.#glide);
    this.#glide = rest;
    if (steps !== 0) this.#handlers.scroll(steps);
  };
}
