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
    outline-offset: -3px;
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
    text-shadow: 0 0 3px #000, 0 0 3px #000, 0 1px 2px #000;
    font-variant-numeric: tabular-nums;
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
    justify-items: end;
    text-align: right;
  }
  .chip {
    background: rgb(10 13 16 / 88%);
    text-shadow: none;
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
    text-shadow: 0 0 4px #000, 0 0 4px #000;
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
  .scale {
    display: block;
    overflow: visible;
  }
  @media (max-width: 720px) {
    .corner {
      font-size: 0.75rem;
    }
    .start {
      left: 10px;
    }
  }
`;
