// What the watch page says of a broadcast beside the picture: its logo, description, topics and links.

import { html, nothing, type TemplateResult } from 'lit';
import type { Info } from './info.ts';
import { languageText, type Texts } from './texts/texts.ts';

/** `null`: there is nothing to say. */
export function aboutView(texts: Texts, info: Info): TemplateResult | null {
  const { description, topics, language, logo, links } = info;
  const named = language === null ? null : languageText(texts, language);
  const nothingToSay = !description && topics.length === 0 && !named && !logo && links.length === 0;
  if (nothingToSay) return null;
  // Whoever wrote it wrote plain text; lines are kept by the page's styles.
  return html`
    ${logo ? html`<img src=${logo} alt="" loading="lazy" decoding="async">` : nothing}
    <div>
      ${description ? html`<p dir="auto" lang=${language ?? nothing}>${description}</p>` : nothing}
      ${
        topics.length > 0 || named
          ? html`<ul class="tags" aria-label=${texts.lobby.topics}>
              ${named ? html`<li class="language">${named}</li>` : nothing}
              ${topics.map((topic) => html`<li dir="auto">${topic}</li>`)}
            </ul>`
          : nothing
      }
      ${
        links.length > 0
          ? html`<ul class="links">
              ${links.map(
                ({ title, url }) =>
                  html`<li><a href=${url} rel="noopener noreferrer" target="_blank" dir="auto">${title}</a></li>`,
              )}
            </ul>`
          : nothing
      }
    </div>
  `;
}
