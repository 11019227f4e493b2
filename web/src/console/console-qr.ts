// `<console-qr>`: a text as a QR code, black on white in the dark as well, for that is what phones read.

import { css, html, nothing } from 'lit';
import { colours } from '../colours.ts';
import { View } from './element.ts';
import { qrOf } from './qr.ts';
import { sheet } from './styles.ts';

/**
 * @prop {string} value - what it says
 * @prop {string} label - what it is
 */
export class ConsoleQr extends View {
  static override properties = { ...View.properties, value: {}, label: {} };

  declare value: string;
  declare label: string;

  static override styles = [
    colours,
    sheet,
    css`
      svg {
        display: block;
        width: min(100%, var(--size, 11rem));
        height: auto;
        border-radius: 0.5rem;
        background: #fff;
      }
    `,
  ];

  constructor() {
    super();
    this.value = '';
    this.label = '';
  }

  override render() {
    if (!this.value) return nothing;
    const { size, path } = qrOf(this.value);
    return html`<svg
      viewBox="0 0 ${size} ${size}" role="img" aria-label=${this.T.app.qr(this.label)}
      shape-rendering="crispEdges"
    ><path fill="#000" d=${path} /></svg>`;
  }
}

customElements.define('console-qr', ConsoleQr);
