// `<console-findings>`: what the doctor says of picture and sound, the worst first, and read out as it appears.

import { css, html } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { colours } from '../colours.ts';
import { View } from './element.ts';
import { agoText } from './format.ts';
import { byWeight } from './live-state.ts';
import type { Finding } from './model.ts';
import { sheet } from './styles.ts';
import { findingText } from './texts/findings/findings.ts';

const TICK_MS = 15_000;

/** @prop {Finding[]} findings */
export class ConsoleFindings extends View {
  static override properties = { ...View.properties, findings: { attribute: false } };

  declare findings: readonly Finding[];

  static override styles = [
    colours,
    sheet,
    css`
      ul {
        gap: 0.75rem;
      }
      li {
        display: grid;
        gap: 0.25rem;
        padding: 0.75rem 1rem;
        border-inline-start: 0.25rem solid var(--_edge);
        border-radius: 0.375rem;
        background: var(--_soft);
      }
      .problem {
        border-color: var(--_wrong);
      }
      .warning {
        border-color: var(--_warn);
      }
      b {
        font-weight: 600;
      }
    `,
  ];

  constructor() {
    super();
    this.findings = [];
  }

  protected override entered(): void {
    this.every(TICK_MS);
  }

  override render() {
    const { live: T, lang, findings } = this.T;
    const kinds = { problem: 'bad', warning: 'warn', hint: '' } as const;
    const item = (finding: Finding) => {
      const text = findingText(lang, findings, finding);
      return html`<li class=${finding.severity}>
        <div class="row">
          <span class="badge ${kinds[finding.severity]}">${T.severities[finding.severity]}</span>
          <b lang=${text.lang}>${text.title}</b>
        </div>
        <p lang=${text.lang}>${text.detail}</p>
        <p><b>${T.remedy}:</b> <span lang=${text.lang}>${text.remedy}</span></p>
        <p class="hint" aria-live="off">${agoText(lang, finding.since, Date.now())}</p>
      </li>`;
    };
    return html`<div aria-live="polite">
      <ul class="plain">
        ${repeat(byWeight(this.findings), ({ code }) => code, item)}
      </ul>
    </div>`;
  }
}

customElements.define('console-findings', ConsoleFindings);
