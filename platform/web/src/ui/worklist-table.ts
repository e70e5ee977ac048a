import { css, html, LitElement, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { seesUnreviewed } from "../api/bootstrap";
import type { SortKey, StudyRow, WorklistQuery } from "../api/types";
import { age, count, day, instances, moment, personName, timeOfDay } from "./kit/format";
import { icon } from "./kit/icons";
import { reviewChip, runStatus } from "./kit/status";
import { controls } from "./kit/styles";

const COLUMNS: readonly { key: SortKey; word: string }[] = [
  { key: "patient_name", word: "Patient" },
  { key: "description", word: "Study" },
  { key: "study_date", word: "Study date" },
  { key: "modality", word: "Modality" },
  { key: "received", word: "Received" },
  { key: "state", word: "AI status" },
];

/** Who sees only accepted results is not told of runs before: none is not "not started" there. */
function renderRun(analysis: StudyRow["analysis"]) {
  if (analysis.state !== "none" || seesUnreviewed()) return runStatus(analysis);
  return html`<span class="chip" data-testid="run-state">${icon("clock", "small")}No accepted result</span>`;
}

/** The rows; cards on a phone. A row opens by click, its link by keyboard. */
@customElement("gantry-worklist-table")
export class WorklistTable extends LitElement {
  static override styles = [
    controls,
    css`
      :host {
        display: block;
      }
      table {
        width: 100%;
        border-collapse: collapse;
        table-layout: fixed;
      }
      th {
        position: sticky;
        top: 0;
        z-index: 1;
        padding: 0;
        border-bottom: 1px solid var(--line-strong);
        background: var(--surface);
        text-align: left;
      }
      th:nth-child(1) { width: 24%; }
      th:nth-child(2) { width: 20%; }
      th:nth-child(3) { width: 11%; }
      th:nth-child(4) { width: 9%; }
      th:nth-child(5) { width: 11%; }
      th .button {
        justify-content: flex-start;
        width: 100%;
        padding: 0 12px;
        border-radius: 0;
        color: var(--muted);
        font-size: 0.8125rem;
        font-weight: 550;
      }
      th[aria-sort] .button {
        color: var(--text);
      }
      td {
        padding: 10px 12px;
        border-bottom: 1px solid var(--line);
        vertical-align: top;
        overflow-wrap: anywhere;
      }
      tr.study {
        cursor: pointer;
        transition: background var(--quick);
      }
      tr.study:hover {
        background: var(--hover);
      }
      tr.study:focus-within {
        background: var(--selected);
        box-shadow: inset 3px 0 0 var(--accent);
      }
      tr.arrived {
        animation: arrive 900ms ease-out;
      }
      @keyframes arrive {
        from {
          background: var(--selected);
          opacity: 0;
          transform: translateY(-10px);
        }
        40% {
          background: var(--selected);
          opacity: 1;
          transform: none;
        }
      }
      @media (prefers-reduced-motion: reduce) {
        tr.arrived {
          animation: none;
        }
      }
      .name {
        color: var(--text);
        font-weight: 600;
        text-decoration: none;
      }
      .name:hover {
        text-decoration: underline;
      }
      .run {
        display: grid;
        gap: 5px;
        min-width: 0;
        max-width: 100%;
      }
      .run progress {
        max-width: 220px;
      }
      .sentence {
        color: var(--muted);
        overflow-wrap: anywhere;
      }
      .status {
        display: flex;
        flex-wrap: wrap;
        gap: 6px;
        align-items: center;
      }
      @media (max-width: 1100px) {
        th:not([aria-sort]) .icon {
          display: none;
        }
        th:nth-child(3) { width: 13%; }
        th:nth-child(4) { width: 10%; }
        td:nth-child(3) > div:first-child {
          white-space: nowrap;
        }
        td {
          padding-right: 8px;
        }
      }
      @media (max-width: 720px) {
        table,
        tbody {
          display: block;
        }
        thead {
          display: none;
        }
        tr.study {
          display: grid;
          grid-template-columns: minmax(0, 1fr) auto;
          gap: 4px 12px;
          padding: 12px 16px;
          border-bottom: 1px solid var(--line);
        }
        td {
          padding: 0;
          border: 0;
        }
        td:nth-child(2) {
          grid-row: 2;
        }
        td:nth-child(3) {
          grid-row: 2;
          text-align: right;
        }
        td:nth-child(4) {
          grid-row: 1;
          grid-column: 2;
          text-align: right;
        }
        td:nth-child(5) {
          display: none;
        }
        td:nth-child(6) {
          grid-column: 1 / -1;
          padding-top: 4px;
        }
        .wide {
          display: none;
        }
      }
    `,
  ];

  @property({ attribute: false }) rows: readonly StudyRow[] = [];
  @property({ attribute: false }) arrived: ReadonlySet<string> = new Set();
  @property({ attribute: false }) sort: Pick<WorklistQuery, "sort" | "order"> = {
    sort: "received",
    order: "desc",
  };
  @property() base = "";

  /** Move the focus by whole rows. */
  step(by: 1 | -1): void {
    const links = [...this.renderRoot.querySelectorAll<HTMLAnchorElement>("a.name")];
    const at = links.indexOf(this.shadowRoot?.activeElement as HTMLAnchorElement);
    const next = links[Math.min(links.length - 1, Math.max(0, at + by))];
    next?.focus();
    next?.closest("tr")?.scrollIntoView({ block: "nearest" });
  }

  #sortBy(key: SortKey): void {
    const isSame = this.sort.sort === key;
    const isFirstUp = key === "patient_name" || key === "description" || key === "modality";
    const order = isSame ? (this.sort.order === "asc" ? "desc" : "asc") : isFirstUp ? "asc" : "desc";
    this.dispatchEvent(new CustomEvent("sort-change", { detail: { sort: key, order } }));
  }

  #open(event: MouseEvent, row: StudyRow): void {
    const isOnLink = event.composedPath().some((target) => target instanceof HTMLAnchorElement);
    const isSelecting = (getSelection()?.toString() ?? "") !== "";
    if (isOnLink || isSelecting || event.defaultPrevented) return;
    if (event.ctrlKey || event.metaKey) window.open(`${this.base}studies/${row.id}/`, "_blank", "noopener");
    else location.assign(`${this.base}studies/${row.id}/`);
  }

  #renderHead() {
    return html`<thead>
      <tr>
        ${COLUMNS.map(({ key, word }) => {
          const isSorted = this.sort.sort === key;
          const direction = this.sort.order === "asc" ? "ascending" : "descending";
          return html`<th scope="col" aria-sort=${isSorted ? direction : nothing}>
            <button class="button quiet" @click=${() => this.#sortBy(key)}>
              ${word}${icon(isSorted ? (this.sort.order === "asc" ? "up" : "down") : "sort", "small")}
            </button>
          </th>`;
        })}
      </tr>
    </thead>`;
  }

  #renderPatient({ id, patient, study_date, is_referred }: StudyRow) {
    const years = age(patient.birth_date, study_date);
    return html`<td>
      <a class="name" href="${this.base}studies/${id}/" data-testid="row-patient">${personName(patient.name)}</a>
      <div class="muted small number">
        ${patient.patient_id} · born ${day(patient.birth_date)}${years ? `, ${years}` : ""}${patient.sex ? `, ${patient.sex}` : ""}
      </div>
      ${is_referred ? html`<span class="chip">${icon("refer", "small")}Referred</span>` : nothing}
      ${
        patient.identity_differs
          ? html`<span class="chip warn" data-testid="identity-differs">
              ${icon("alert", "small")}Check identity: other name or birth date under this ID
            </span>`
          : nothing
      }
    </td>`;
  }

  #renderStatus(row: StudyRow) {
    const isReceiving = row.state === "receiving";
    const hasRun = row.analysis.state !== "none" || !isReceiving;
    const hasFindings = row.findings_count > 0;
    return html`<td>
      <div class="status" data-testid="study-status" data-state=${row.analysis.state}>
        ${isReceiving ? html`<span class="chip busy">${icon("arrived", "small")}Receiving images</span>` : nothing}
        ${hasRun ? renderRun(row.analysis) : nothing}
        ${
          hasFindings
            ? html`${reviewChip(row.review)}<span class="muted small">${count(row.findings_count, "finding")}</span>`
            : nothing
        }
        ${
          row.newer_instances
            ? html`<span class="chip warn" data-testid="newer-images">
                ${icon("alert", "small")}Newer images than the AI result
              </span>`
            : nothing
        }
      </div>
    </td>`;
  }

  #renderRow(row: StudyRow) {
    return html`<tr
      class="study ${this.arrived.has(row.id) ? "arrived" : ""}"
      data-testid="worklist-row"
      data-study=${row.id}
      @click=${(event: MouseEvent) => this.#open(event, row)}
    >
      ${this.#renderPatient(row)}
      <td>
        <div>${row.study_description || html`<span class="muted">No description</span>`}</div>
        <div class="muted small wide">${row.accession_number ? `Acc. ${row.accession_number} · ` : ""}${row.institution.name}</div>
      </td>
      <td class="number">
        <div>${day(row.study_date)}</div>
        <div class="muted small wide">${timeOfDay(row.study_time)}</div>
      </td>
      <td>
        <div><strong>${row.modalities.join(", ")}</strong></div>
        <div class="muted small number">${instances(row.number_of_instances, row.modalities)}</div>
      </td>
      <td class="number muted">${moment(row.received_at)}</td>
      ${this.#renderStatus(row)}
    </tr>`;
  }

  override render() {
    return html`<table aria-label="Studies">
      ${this.#renderHead()}
      <tbody>
        ${repeat(
          this.rows,
          (row) => row.id,
          (row) => this.#renderRow(row),
        )}
      </tbody>
    </table>`;
  }
}
