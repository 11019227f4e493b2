// `<console-chart>`: one figure over the last minutes as a line, with the same as a table for those who do not
// see the line.

import { css, html, nothing, svg } from 'lit';
import { colours } from '../colours.ts';
import { areaPath, linePath, niceMax, type Sample, thin } from './chart.ts';
import { View } from './element.ts';
import { sheet } from './styles.ts';

const WIDTH = 320;
const HEIGHT = 72;
const SPAN_MS = 300_000;
const HEADROOM = 1.2;
/** As many rows as one may want to hear: one of about ten seconds. */
const ROWS_MAX = 30;

/**
 * @prop {string} label - what is measured
 * @prop {Sample[]} samples - oldest first
 * @prop {(value: number) => string} format - a value in words
 */
export class ConsoleChart extends View {
  static override properties = {
    ...View.properties,
    label: {},
    samples: { attribute: false },
    format: { attribute: false },
    open: { state: true },
  };

  declare label: string;
  declare samples: readonly Sample[];
  declare format: (value: number) => string;
  declare private open: boolean;

  static override styles = [
    colours,
    sheet,
    css`
      figure {
        display: grid;
        gap: 0.375rem;
        margin: 0;
      }
      figcaption {
        display: flex;
        flex-wrap: wrap;
        justify-content: space-between;
        gap: 0 1rem;
      }
      figcaption b {
        font-weight: 600;
        font-variant-numeric: tabular-nums;
      }
      svg {
        display: block;
        width: 100%;
        height: 5rem;
        overflow: visible;
      }
      .line {
        fill: none;
        stroke: var(--_accent);
        stroke-width: 1.75;
        stroke-linecap: round;
        stroke-linejoin: round;
        vector-effect: non-scaling-stroke;
      }
      .area {
        fill: color-mix(in srgb, var(--_accent) 14%, transparent);
      }
      .grid {
        stroke: var(--_line);
        stroke-width: 1;
        vector-effect: non-scaling-stroke;
      }
      .axis {
        display: flex;
        justify-content: space-between;
        color: var(--_quiet);
        font-size: 0.75rem;
      }
      .plot {
        position: relative;
      }
      .max {
        position: absolute;
        inset-block-start: 0.125rem;
        inset-inline-start: 0.25rem;
        color: var(--_quiet);
        font-size: 0.75rem;
        line-height: 1;
      }
      summary {
        color: var(--_quiet);
        font-size: 0.8125rem;
      }
      .table {
        max-height: 14rem;
        overflow: auto;
      }
    `,
  ];

  constructor() {
    super();
    this.label = '';
    this.samples = [];
    this.format = String;
    this.open = false;
  }

  override render() {
    const { live: T, lang } = this.T;
    const { samples, format, label } = this;
    const toMs = samples.at(-1)?.atMs ?? 0;
    const fromMs = toMs - SPAN_MS;
    const shown = samples.filter(({ atMs }) => atMs >= fromMs);
    const values = shown.flatMap(({ value }) => (value === null ? [] : [value]));
    const most = Math.max(0, ...values);
    // The line does not run through what the axis says at its top.
    const max = niceMax(most * HEADROOM);
    const frame = { width: WIDTH, height: HEIGHT, fromMs, toMs, max };
    const now = shown.at(-1)?.value ?? null;
    const told = T.chartText(label, now === null ? '–' : format(now), format(most));
    return html`<figure>
      <figcaption><span>${label}</span><b>${now === null ? '–' : format(now)}</b></figcaption>
      ${
        values.length === 0
          ? html`<p class="hint">${T.nothingMeasured}</p>`
          : html`<div class="plot">
                <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${told}>
                  ${[0, 0.5, 1].map(
                    (at) => svg`<path class="grid" d="M0 ${at * HEIGHT}H${WIDTH}"/>`,
                  )}
                  <path class="area" d=${areaPath(shown, frame)} />
                  <path class="line" d=${linePath(shown, frame)} />
                </svg>
                <span class="max" aria-hidden="true">${format(max)}</span>
              </div>
              <div class="axis" aria-hidden="true">
                <span>${ago(lang, -5)}</span><span>${ago(lang, 0)}</span>
              </div>
              <details
                @toggle=${(event: Event) => {
                  this.open = (event.target as HTMLDetailsElement).open;
                }}
              >
                <summary>${T.asTable}<span class="unseen">: ${label}</span></summary>
                ${this.open ? this.#table(shown) : nothing}
              </details>`
      }
    </figure>`;
  }

  #table(samples: readonly Sample[]) {
    const { live: T, lang } = this.T;
    const rows = [...thin(samples, ROWS_MAX)].reverse();
    return html`<div class="table" tabindex="0" role="group" aria-label=${this.label}>
      <table>
        <thead><tr><th scope="col">${T.time}</th><th scope="col">${this.label}</th></tr></thead>
        <tbody>
          ${rows.map(
            ({ atMs, value }) => html`<tr>
              <td>${new Date(atMs).toLocaleTimeString(lang)}</td>
              <td>${value === null ? '–' : this.format(value)}</td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>`;
  }
}

function ago(lang: string, minutes: number): string {
  return minutes === 0
    ? new Intl.RelativeTimeFormat(lang, { numeric: 'auto' }).format(0, 'second')
    : new Intl.RelativeTimeFormat(lang, { style: 'short' }).format(minutes, 'minute');
}

customElements.define('console-chart', ConsoleChart);
