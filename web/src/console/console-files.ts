// `<console-files>`: what viewers wrote and who attended, as links to files.

import { html, nothing } from 'lit';
import { colours } from '../colours.ts';
import { View } from './element.ts';
import { ICONS } from './icons.ts';
import type { Broadcast } from './model.ts';
import { sheet } from './styles.ts';

/** @prop {Broadcast} broadcast */
export class ConsoleFiles extends View {
  static override properties = { ...View.properties, broadcast: { attribute: false } };

  declare broadcast: Broadcast;

  static override styles = [colours, sheet];

  override render() {
    const { files: T } = this.T;
    const { attendance, registration, role } = this.broadcast;
    const hosts = role !== 'moderator';
    return html`<div class="stack">
      <div class="stack tight">
        <h2 tabindex="-1" data-heading>${T.title}</h2>
        <p class="quiet">${T.text}</p>
      </div>
      ${this.#card(T.comments, T.commentsText, ['comments.csv', 'comments.json'])}
      ${
        hosts
          ? html`${
              attendance
                ? this.#card(T.attendance, T.attendanceText, ['attendance.csv'])
                : this.#card(T.attendance, T.noAttendance, [])
            }
              ${this.app.can('registration') ? this.#registrations(registration !== null) : nothing}`
          : nothing
      }
    </div>`;
  }

  #registrations(asked: boolean) {
    const { files: T } = this.T;
    return asked
      ? this.#card(T.registrations, T.registrationsText, ['registrations.csv'])
      : this.#card(T.registrations, T.noRegistrations, []);
  }

  #card(title: string, text: string, files: readonly string[]) {
    const { files: T } = this.T;
    const { id } = this.broadcast;
    return html`<section class="card">
      <h3>${title}</h3>
      <p class="quiet">${text}</p>
      ${
        files.length > 0
          ? html`<div class="row">
              ${files.map((file) => {
                const kind = file.endsWith('.json') ? T.json : T.csv;
                return html`<a
                  class="button small" href=${this.app.api.broadcasts.file(id, file)}
                  download="${id}-${file}" aria-label="${title}: ${kind}"
                >${ICONS.download} ${kind}</a>`;
              })}
            </div>`
          : nothing
      }
    </section>`;
  }
}

customElements.define('console-files', ConsoleFiles);
