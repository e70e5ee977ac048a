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
    /* Holds what is hidden from sight but read aloud, which would else widen the page. */
    position: relative;
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 2px;
    padding: 2px 4px;
  }
  .pair {
    display: inline-flex;
    gap: 2px;
  }
  .rule {
    align-self: stretch;
    width: 1px;
    margin: 8px 2px;
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
  select.input {
    width: auto;
    max-width: 152px;
    padding: 0 6px;
  }
  select.input.speed {
    width: 68px;
  }
  .fade {
    display: flex;
    align-items: center;
  }
  .fade input {
    width: 72px;
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
  /* One row down to a small laptop: the pictures must not jump when another viewport has other tools. */
  @media (max-width: 1420px) {
    .bar {
      gap: 0;
    }
    .rule {
      display: none;
    }
    .mode {
      --menu-word: none;
    }
    select.input {
      max-width: 126px;
    }
    .fade input {
      width: 48px;
    }
  }
  @media ${phone} {
    .mode {
      --menu-word: inline;
    }
    .bar {
      flex-wrap: nowrap;
      padding: 2px 28px 2px 4px;
      overflow-x: auto;
      scrollbar-width: none;
      /* What fades at the edge tells that there is more. */
      mask-image: linear-gradient(to right, #000 calc(100% - 32px), transparent);
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
    select.input {
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
      padding: 4px 2px 28px;
      overflow: hidden auto;
      mask-image: linear-gradient(to bottom, #000 calc(100% - 32px), transparent);
    }
    .pair {
      flex-direction: column;
    }
    select.input,
    select.input.speed {
      width: 64px;
    }
    .fade {
      display: none;
    }
  }
`;
