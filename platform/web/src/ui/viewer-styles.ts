import { css } from "lit";
import { phone, sideways } from "./kit/phone";

export const viewerStyles = css`
  .layout {
    display: grid;
    grid-template: auto minmax(0, 1fr) / 148px minmax(0, 1fr) 360px;
    min-height: 0;
  }
  .layout.maximised {
    grid-template-columns: minmax(0, 1fr);
  }
  .maximised aside {
    display: none;
  }
  gantry-toolbar {
    grid-column: 1 / -1;
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
    position: relative;
    display: grid;
    grid-template-rows: minmax(0, 1fr);
    min-height: 0;
    min-width: 0;
  }
  /* Over the lower middle of the pictures: never over the tags that say what may not be trusted. */
  .stream {
    position: absolute;
    z-index: 1;
    bottom: 34px;
    left: 50%;
    max-width: calc(100% - 24px);
    translate: -50% 0;
    background: rgb(10 13 16 / 92%);
    pointer-events: none;
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
  @media ${phone} {
    .layout,
    .layout.maximised {
      grid-template: auto minmax(0, 1fr) auto / minmax(0, 1fr);
    }
    gantry-toolbar {
      grid-area: 1 / 1;
    }
    .stage {
      grid-area: 2 / 1;
    }
    .layout aside {
      z-index: 2;
      grid-area: 1 / 1 / 3 / 2;
      display: none;
      border: 0;
    }
    .layout[data-tab="series"] .rail,
    .layout[data-tab="findings"] .findings {
      display: block;
    }
    .tabs {
      grid-area: 3 / 1;
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
    .stream {
      bottom: 46px;
      font-size: 0.75rem;
    }
  }
  /* On its side height is scarce: tools and tabs stand beside the picture. */
  @media ${sideways} {
    .layout,
    .layout.maximised {
      grid-template: minmax(0, 1fr) / auto minmax(0, 1fr) auto;
      padding: 0 env(safe-area-inset-right) 0 env(safe-area-inset-left);
    }
    gantry-toolbar {
      grid-area: 1 / 1;
      min-height: 0;
    }
    .stage {
      grid-area: 1 / 2;
    }
    .layout aside {
      grid-area: 1 / 1 / 2 / 3;
    }
    .tabs {
      grid-area: 1 / 3;
      grid-template: repeat(3, 1fr) / 76px;
      border-top: 0;
      border-left: 1px solid var(--line);
      padding-bottom: 0;
    }
    .tabs .button {
      padding: 0 4px;
      font-size: 0.8125rem;
      white-space: normal;
    }
  }
`;
