import { css } from "lit";

export const viewportStyles = css`
  :host {
    position: relative;
    display: block;
    min-width: 0;
    min-height: 0;
    overflow: hidden;
    background: #000;
    contain: strict;
    container-type: size;
  }
  .surface {
    position: absolute;
    inset: 0;
    cursor: crosshair;
    touch-action: none;
    user-select: none;
    -webkit-user-select: none;
  }
  .surface:focus-visible {
    outline: none;
  }
  .surface:focus-visible::after {
    content: "";
    position: absolute;
    inset: 0;
    border: 2px solid var(--focus);
  }
  canvas {
    position: absolute;
    inset: 0;
    width: 100%;
    height: 100%;
    pointer-events: none;
  }
  .corner {
    position: absolute;
    display: grid;
    gap: 2px;
    max-width: 46%;
    pointer-events: none;
    font-size: 0.8125rem;
    line-height: 1.35;
    font-variant-numeric: tabular-nums;
  }
  /* Readable on white as on black: an inverted picture lies beneath as often as a dark one. */
  .corner > :not(.chip, svg),
  .letter {
    padding: 0 5px;
    border-radius: 3px;
    background: rgb(0 0 0 / 62%);
  }
  .start > * {
    justify-self: start;
  }
  .end > * {
    justify-self: end;
  }
  .top {
    top: 10px;
  }
  .bottom {
    bottom: 10px;
  }
  .start {
    left: 14px;
  }
  .end {
    right: 40px;
    text-align: right;
  }
  .chip {
    background: rgb(10 13 16 / 88%);
  }
  .chip.ai {
    background: var(--ai-fill);
  }
  .laterality {
    justify-self: start;
    padding: 0 8px;
    border: 2px solid currentcolor;
    border-radius: 4px;
    font-size: 1rem;
    font-weight: 700;
  }
  .letter {
    position: absolute;
    color: #fff;
    font-size: 1.0625rem;
    font-weight: 650;
    pointer-events: none;
  }
  .letter.left {
    left: 14px;
    top: 50%;
    translate: 0 -50%;
  }
  .letter.right {
    right: 40px;
    top: 50%;
    translate: 0 -50%;
  }
  .letter.topmost {
    top: 10px;
    left: 50%;
    translate: -50% 0;
  }
  .letter.lowest {
    bottom: 10px;
    left: 50%;
    translate: -50% 0;
  }
  .center {
    position: absolute;
    inset: 0;
    display: grid;
    place-content: center;
    justify-items: center;
    gap: 12px;
    padding: 24px;
    text-align: center;
    pointer-events: none;
  }
  .center .message {
    max-width: 420px;
    pointer-events: auto;
    text-align: left;
  }
  .center.low {
    place-content: end center;
    padding-bottom: 56px;
  }
  .surface.stale #picture {
    filter: grayscale(1) brightness(0.55);
  }
  .refining {
    width: 10px;
    height: 10px;
    padding: 0;
    border-radius: 50%;
    background: #ffd54a;
  }
  .scale {
    display: block;
    overflow: visible;
  }
  .short {
    display: none;
  }
  @container (max-width: 480px) {
    .corner,
    .chip {
      font-size: 0.75rem;
    }
    .start {
      left: 10px;
    }
    /* Beneath the series, so that the letters stay free. */
    .top.start {
      max-width: 40%;
      white-space: nowrap;
    }
    .top.start > :not(.chip) {
      overflow: hidden;
      max-width: 100%;
      text-overflow: ellipsis;
    }
    .top.end {
      top: 50px;
      right: auto;
      left: 10px;
      display: flex;
      flex-wrap: wrap;
      max-width: calc(100% - 50px);
      gap: 4px 6px;
    }
    :host([data-side]) .top.end {
      top: 84px;
    }
    .chip {
      padding: 1px 6px;
      white-space: nowrap;
    }
    .long {
      display: none;
    }
    .short {
      display: inline;
    }
  }
`;
