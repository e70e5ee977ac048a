import { css } from "lit";

export const viewerStyles = css`
  .layout {
    display: grid;
    grid-template-columns: 148px minmax(0, 1fr) 360px;
    min-height: 0;
  }
  .layout.maximised {
    grid-template-columns: minmax(0, 1fr);
  }
  .maximised aside {
    display: none;
  }
  aside {
    min-height: 0;
    overflow-y: auto;
    background: var(--ground);
  }
  aside.rail {
    border-right: 1px solid var(--line);
  }
  aside.findings {
    border-left: 1px solid var(--line);
  }
  .stage {
    display: grid;
    grid-template-rows: auto minmax(0, 1fr);
    min-height: 0;
    min-width: 0;
  }
  .stage > .state {
    grid-row: 1 / -1;
  }
  .state {
    display: grid;
    place-content: center;
    justify-items: center;
    gap: 14px;
    padding: 24px;
    text-align: center;
  }
  .tabs {
    display: none;
  }
  @media (max-width: 1100px) {
    .layout {
      grid-template-columns: 128px minmax(0, 1fr) 300px;
    }
  }
  @media (max-width: 720px) {
    .layout,
    .layout.maximised {
      grid-template-columns: minmax(0, 1fr);
      grid-template-rows: minmax(0, 1fr) auto;
    }
    .layout > * {
      grid-area: 1 / 1;
    }
    .layout aside {
      z-index: 2;
      display: none;
      border: 0;
    }
    .layout[data-tab="series"] .rail,
    .layout[data-tab="findings"] .findings {
      display: block;
    }
    .tabs {
      grid-area: 2 / 1;
      display: grid;
      grid-template-columns: repeat(3, 1fr);
      border-top: 1px solid var(--line);
      background: var(--surface);
      padding-bottom: env(safe-area-inset-bottom);
    }
    .tabs .button {
      min-height: 52px;
      border-radius: 0;
    }
  }
`;
