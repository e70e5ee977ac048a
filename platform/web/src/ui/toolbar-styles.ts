import { css } from "lit";
import { phone, sideways } from "./kit/phone";

export const toolbarStyles = css`
  :host {
    display: block;
    min-width: 0;
    border-bottom: 1px solid var(--line);
    background: var(--surface);
  }
  .bar {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 2px;
    padding: 2px 8px;
  }
  .pair {
    display: inline-flex;
    gap: 2px;
  }
  .rule {
    align-self: stretch;
    width: 1px;
    margin: 8px 4px;
    background: var(--line);
  }
  .button.ai {
    padding: 0 10px;
  }
  .button.square[aria-pressed="true"] {
    color: #fff;
  }
  .button.wide {
    justify-content: start;
    width: 100%;
    padding: 0 10px;
  }
  .name {
    flex: 1;
    text-align: left;
  }
  .list {
    display: grid;
    gap: 2px;
    min-width: 264px;
    max-width: 320px;
  }
  .check {
    display: flex;
    align-items: center;
    gap: 12px;
    min-height: var(--touch);
    padding: 0 10px;
    cursor: pointer;
  }
  .note {
    display: flex;
    gap: 8px;
    padding: 8px 10px;
    color: var(--muted);
    white-space: normal;
  }
  select {
    width: auto;
    max-width: 180px;
    padding: 0 6px;
  }
  select.speed {
    width: 68px;
  }
  .fade {
    display: flex;
    align-items: center;
  }
  .fade input {
    width: 84px;
  }
  .touch,
  .narrow {
    display: none;
  }
  @media (any-pointer: coarse) {
    .touch {
      display: inline-flex;
    }
  }
  @media ${phone} {
    .bar {
      flex-wrap: nowrap;
      padding: 2px 4px;
      overflow-x: auto;
      /* What is cut off at the edge tells that there is more. */
      scrollbar-width: none;
    }
    .bar > * {
      flex: none;
    }
    .desktop,
    .rule {
      display: none;
    }
    .narrow {
      display: block;
    }
    select {
      max-width: 118px;
    }
    .fade input {
      width: 64px;
    }
  }
  @media ${sideways} {
    :host {
      border-right: 1px solid var(--line);
      border-bottom: 0;
    }
    .bar {
      flex-direction: column;
      height: 100%;
      padding: 4px 2px;
      overflow: hidden auto;
    }
    .pair {
      flex-direction: column;
    }
    select,
    select.speed {
      width: 60px;
    }
    .fade {
      display: none;
    }
  }
`;
