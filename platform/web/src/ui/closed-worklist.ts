import { html, type TemplateResult } from "lit";
import { bootstrap, may } from "../api/bootstrap";
import { roleWord } from "./kit/format";
import { icon } from "./kit/icons";

/** Why this user has no worklist at all, as the page says it; null where there is one. */
export function closedWorklist(): TemplateResult | null {
  const { agreement, role, tenant, urls } = bootstrap();
  if (!may("study.view"))
    return html`<section class="state" data-testid="worklist-closed" data-reason="role">
      ${icon("person")}
      <h2>Your role (${roleWord(role)}) does not include patient data</h2>
      <p class="muted">Studies of ${tenant.name} are open to those who care for the patients.</p>
      <a class="button" href=${urls.sessions}>Account and sessions</a>
    </section>`;
  if (!agreement.in_force)
    return html`<section class="state" data-testid="worklist-closed" data-reason="agreement">
      ${icon("shield")}
      <h2>No agreement in force</h2>
      <p class="muted" data-testid="agreement-banner">${agreement.sentence}</p>
      <button class="button" @click=${() => location.reload()}>${icon("reset")}Check again</button>
    </section>`;
  return null;
}
