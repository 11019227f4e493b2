// The line above the comments: which of them are shown, how many watch, and what there is to say about
// the connection. A template of `<lectern-comments>`.

import { html, nothing } from 'lit';
import type { Texts } from '../texts/texts.ts';
import type { View } from './ask.ts';
import type { Desk } from './desk.ts';
import { COMMENT_ICONS } from './icons.ts';
import { linkText } from './sentences.ts';

/** The views are there once there is more than one. */
export function header(texts: Texts, desk: Desk | null, shown: View, look: (view: View) => void) {
  const { comments: T, room: R, lang } = texts;
  const questions = desk?.room.questions() ?? [];
  const open = questions.filter(({ answered }) => !answered).length;
  const several = shown !== 'all' || questions.length > 0;
  const view = (view: View, name: string, count: number) => html`
    <button
      type="button" aria-pressed=${view === shown ? 'true' : 'false'} @click=${() => look(view)}
    >${name}${count > 0 ? html` <b>${count.toLocaleString(lang)}</b>` : nothing}</button>
  `;
  return html`<header part="header" lang=${lang}>
    <h2 class=${several ? 'unseen' : ''}>${T.title}</h2>
    ${
      several
        ? html`<div class="views" role="group" aria-label=${R.view}>
            ${view('all', T.title, 0)} ${view('questions', R.questions, open)}
          </div>`
        : nothing
    }
    ${viewers(texts, desk?.viewers ?? null)}
    <span class="link" role="status">${linkText(texts, desk?.link)}</span>
  </header>`;
}

/** A number beside an eye, in words for who hears it; it is not read out by itself. */
function viewers({ lang, room: R }: Texts, count: number | null) {
  if (count === null) return nothing;
  const words = R.viewers(count);
  return html`<span class="viewers" title=${words}>
    ${COMMENT_ICONS.eye}
    <span aria-hidden="true">${count.toLocaleString(lang)}</span>
    <span class="unseen">${words}</span>
  </span>`;
}
