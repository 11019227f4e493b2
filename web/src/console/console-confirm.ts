// `<console-confirm>`: asks before something is done that cannot be taken back, in words that say what will
// happen. The button that does nothing has the focus.

import { html, nothing } from 'lit';
import { colours } from '../colours.ts';
import type { Asked } from './context.ts';
import { View } from './element.ts';
import { dialogSheet, sheet } from './styles.ts';

export class ConsoleConfirm extends View {
  static override properties = { ...View.properties, asked: { state: true } };

  declare private asked: Asked | null;

  static override styles = [colours, sheet, dialogSheet];

  constructor() {
    super();
    this.asked = null;
  }

  protected override entered(): void {
    this.hear('asked', (asked) => {
      this.asked?.answer(false);
      this.asked = asked;
    });
  }

  protected override left(): void {
    this.#answer(false);
  }

  override updated(): void {
    const dialog = this.renderRoot.querySelector('dialog');
    if (dialog && !dialog.open) dialog.showModal();
  }

  override render() {
    const { asked } = this;
    if (!asked) return nothing;
    return html`<dialog
      aria-labelledby="title" aria-describedby="text" role="alertdialog"
      @close=${() => this.#answer(false)}
    >
      <div>
        <h2 id="title">${asked.title}</h2>
        <p id="text">${asked.text}</p>
        <div class="actions">
          <button type="button" autofocus @click=${() => this.#answer(false)}>${
            asked.otherwise ?? this.T.app.cancel
          }</button>
          <button
            type="button" class="primary ${asked.danger ? 'danger' : ''}" @click=${() => this.#answer(true)}
          >${asked.action}</button>
        </div>
      </div>
    </dialog>`;
  }

  #answer(yes: boolean): void {
    const { asked } = this;
    if (!asked) return;
    this.asked = null;
    // Closed first, so that the focus is back where it was before anything else happens.
    this.renderRoot.querySelector('dialog')?.close();
    asked.answer(yes);
  }
}

customElements.define('console-confirm', ConsoleConfirm);
