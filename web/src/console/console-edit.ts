// `<console-edit>`: what there is to say of a broadcast, new or known. Owns what was written until it is
// saved, and what is done when somebody else saved first.

import { css, html, nothing } from 'lit';
import { live } from 'lit/directives/live.js';
import { colours } from '../colours.ts';
import { ApiError } from './api.ts';
import './console-clash.ts';
import type { ConsoleClash } from './console-clash.ts';
import './console-registration.ts';
import type { ConsoleRegistration } from './console-registration.ts';
import './console-topics.ts';
import type { ConsoleTopics } from './console-topics.ts';
import { aboutOf, BLANK, DESCRIPTION_MAX, LINKS_MAX, TITLE_MAX, tidy } from './draft.ts';
import { View } from './element.ts';
import { area, Form, input, select, tick } from './form.ts';
import { languageText, localInput, nameOf, timeOfInput, zoneText } from './format.ts';
import { ICONS } from './icons.ts';
import { type Merge, merge, patchOf, same, settle } from './merge.ts';
import type { About, Broadcast, Link, Visibility } from './model.ts';
import { idOfTitle, isId } from './names.ts';
import { sheet } from './styles.ts';

/** What lectures are held in, beside what a broadcast has already. */
const LANGUAGES =
  'ar bn ca cs da de el en es eu fa fi fr gl he hi hr hu id it ja ko nl no pl pt ro ru sk sl sr sv sw th tr uk ur vi zh'.split(
    ' ',
  );
const VISIBILITIES: readonly Visibility[] = ['public', 'unlisted', 'token'];

/** @prop {Broadcast | null} broadcast - null for a new one */
export class ConsoleEdit extends View {
  static override properties = {
    ...View.properties,
    broadcast: { attribute: false },
    draft: { state: true },
    newId: { state: true },
    clash: { state: true },
  };

  declare broadcast: Broadcast | null;
  declare private draft: About;
  /** What was written as id; null while it follows the title. */
  declare private newId: string | null;
  declare private clash: { readonly merge: Merge<About>; readonly theirs: Broadcast } | null;
  /** What the draft was made of. */
  #base: Broadcast | null = null;
  readonly #form = new Form(this);

  static override styles = [
    colours,
    sheet,
    css`
      form {
        max-width: 46rem;
      }
      .choice {
        display: grid;
        grid-template-columns: 1.25rem minmax(0, 1fr);
        gap: 0 0.75rem;
        padding: 0.6875rem 0.875rem;
        border: 0.0625rem solid var(--_line);
        border-radius: 0.625rem;
        cursor: pointer;
      }
      .choice:has(:checked) {
        border-color: var(--_accent);
        background: var(--_tint);
      }
      .choice .hint {
        grid-column: 2;
      }
      .choice b {
        font-weight: 600;
      }
      .links {
        gap: 0.625rem;
      }
      .links li {
        display: grid;
        grid-template-columns: minmax(0, 2fr) minmax(0, 3fr) auto;
        align-items: end;
        gap: 0.625rem;
      }
      details > summary {
        color: var(--_accent);
        font-weight: 600;
      }
      details[open] > summary {
        margin-bottom: 1.125rem;
      }
      .inset {
        padding-inline-start: 1.875rem;
      }
      .danger-zone {
        max-width: 46rem;
        margin-top: 1rem;
        padding-top: 1.5rem;
        border-top: 0.0625rem solid var(--_line);
      }
      @media (max-width: 36rem) {
        .links li {
          grid-template-columns: minmax(0, 1fr) auto;
        }
        .links li > :nth-child(2) {
          grid-row: 2;
          grid-column: 1 / -1;
        }
        .inset {
          padding-inline-start: 0;
        }
      }
    `,
  ];

  constructor() {
    super();
    this.broadcast = null;
    this.draft = BLANK;
    this.newId = null;
    this.clash = null;
  }

  protected override entered(): void {
    this.app.unsaved = () => this.#dirty();
    if (!this.broadcast) void this.focusOn('#title');
  }

  protected override left(): void {
    this.app.unsaved = null;
  }

  override willUpdate(changed: Map<PropertyKey, unknown>): void {
    const { broadcast } = this;
    if (!changed.has('broadcast') || !broadcast) return;
    // News of others does not overwrite what was written.
    if (this.#base && this.#dirty()) return;
    this.#base = broadcast;
    this.draft = aboutOf(broadcast);
  }

  override render() {
    const { edit: T, app: A } = this.T;
    const { broadcast } = this;
    const form = this.#form;
    const fixed = broadcast?.source === 'config';
    const readOnly = fixed || broadcast?.role === 'moderator';
    return html`<div class="stack">
      ${
        broadcast
          ? html`<h2 tabindex="-1" data-heading>${this.T.tabs.details}</h2>`
          : html`<h1 tabindex="-1" data-heading>${T.newTitle}</h1>`
      }
      ${
        fixed
          ? html`<div class="notice"><strong>${T.fromFile}</strong><p>${T.fromFileText}</p></div>`
          : readOnly
            ? html`<div class="notice">${T.readOnly}</div>`
            : nothing
      }
      <form novalidate @submit=${this.#submit}>
        <fieldset ?disabled=${readOnly} class="stack">
          ${input({
            ...{ name: 'title', label: T.title, hint: T.titleHint, maxlength: TITLE_MAX },
            ...{ value: this.draft.title ?? '', required: !broadcast, error: form.error('title') },
            change: (title) => this.#set({ title }),
          })}
          ${broadcast ? nothing : this.#id()}
          ${area({
            ...{ name: 'description', label: T.description, optional: A.optional },
            ...{ value: this.draft.description ?? '', maxlength: DESCRIPTION_MAX },
            error: form.error('description'),
            change: (description) => this.#set({ description }),
          })}
          ${this.#start()} ${this.#visibility()}
          ${
            broadcast
              ? this.#more(readOnly)
              : html`<details><summary>${T.more}</summary>${this.#more(readOnly)}</details>`
          }
        </fieldset>
        ${form.notice()}
        ${
          readOnly
            ? nothing
            : html`<div class="row">
                <button class="primary" ?disabled=${form.busy}>
                  ${form.busy ? A.saving : broadcast ? A.save : T.create}
                </button>
              </div>`
        }
      </form>
      ${broadcast && !readOnly ? this.#danger(broadcast) : nothing}
      ${
        this.clash
          ? html`<console-clash
              .app=${this.app} .merge=${this.clash.merge} @settled=${this.#settled}
              @cancelled=${() => {
                this.clash = null;
              }}
            ></console-clash>`
          : nothing
      }
    </div>`;
  }

  #id() {
    const { edit: T } = this.T;
    const id = this.#chosenId();
    return input({
      ...{ name: 'id', label: T.id, hint: T.idHint, value: id, mono: true, maxlength: 64 },
      error: this.#form.error('id'),
      change: (written) => {
        this.newId = written;
        this.#form.set('id', written && !isId(written) ? T.idBad : '');
      },
    });
  }

  #start() {
    const { edit: T, app: A, lang } = this.T;
    const { starts_at } = this.draft;
    const at = Date.parse(starts_at ?? '') || Date.now();
    return input({
      ...{ name: 'starts_at', label: T.startsAt, type: 'datetime-local', optional: A.optional },
      ...{ hint: T.startsAtHint(zoneText(lang, at)), error: this.#form.error('starts_at') },
      value: localInput(starts_at),
      change: (value) => this.#set({ starts_at: timeOfInput(value) }),
    });
  }

  #visibility() {
    const { edit: T } = this.T;
    return html`<fieldset>
      <legend>${T.visibility}</legend>
      ${VISIBILITIES.map(
        (each) => html`<label class="choice">
          <input
            type="radio" name="visibility" value=${each}
            .checked=${live(this.draft.visibility === each)}
            @change=${() => this.#set({ visibility: each })}
          >
          <b>${T.visibilities[each].title}</b>
          <span class="hint">${T.visibilities[each].text}</span>
        </label>`,
      )}
    </fieldset>`;
  }

  #more(readOnly: boolean) {
    const { edit: T, app: A } = this.T;
    const { draft } = this;
    const form = this.#form;
    return html`<div class="stack">
      <console-topics
        .app=${this.app} .topics=${draft.topics} .error=${form.error('topics')} ?inert=${readOnly}
        @change=${(event: Event) => this.#set({ topics: (event.target as ConsoleTopics).topics })}
      ></console-topics>
      ${select({
        ...{ name: 'language', label: T.language, optional: A.optional },
        ...{ value: draft.language ?? '', error: form.error('language') },
        options: this.#languages(),
        change: (language) => this.#set({ language: language || null }),
      })}
      ${input({
        ...{ name: 'logo', label: T.logo, hint: T.logoHint, type: 'url', optional: A.optional },
        ...{ value: draft.logo ?? '', error: form.error('logo'), placeholder: 'https://' },
        change: (logo) => this.#set({ logo }),
      })}
      ${this.#links()}
      ${input({
        ...{ name: 'viewers_max', label: T.viewersMax, hint: T.viewersMaxHint, type: 'number' },
        ...{ min: 1, optional: A.optional, error: form.error('viewers_max') },
        value: draft.viewers_max === null ? '' : String(draft.viewers_max),
        change: (value) =>
          this.#set({ viewers_max: value === '' ? null : Math.trunc(Number(value)) }),
      })}
      ${tick({
        ...{ name: 'attendance', label: T.attendance, hint: T.attendanceHint },
        checked: draft.attendance,
        change: (attendance) => this.#set({ attendance }),
      })}
      ${
        this.app.can('registration')
          ? tick({
              ...{ name: 'registration', label: T.registration, hint: T.registrationHint },
              checked: draft.registration !== null,
              change: (on) => this.#set({ registration: on ? { notice: null, fields: [] } : null }),
            })
          : nothing
      }
      ${
        draft.registration
          ? html`<console-registration
              class="inset" .app=${this.app} .value=${draft.registration} ?disabled=${readOnly}
              .error=${form.error('registration')}
              .errorAt=${(part: string) => form.error(`registration.${part}`)}
              @change=${(event: Event) =>
                this.#set({ registration: (event.target as ConsoleRegistration).value })}
            ></console-registration>`
          : nothing
      }
    </div>`;
  }

  #links() {
    const { edit: T, app: A } = this.T;
    const { links } = this.draft;
    const set = (at: number, change: Partial<Link>) =>
      this.#set({ links: links.map((link, i) => (i === at ? { ...link, ...change } : link)) });
    const atOne = links.some((_, index) => this.#form.error(`links.${index}`));
    const error = atOne ? '' : this.#form.error('links');
    return html`<fieldset>
      <legend>${T.links} <span class="optional">(${A.optional})</span></legend>
      <ul class="plain links">
        ${links.map(
          (link, index) => html`<li>
            ${input({
              ...{
                name: `link-title-${index}`,
                label: T.linkTitle,
                value: link.title,
                maxlength: 120,
              },
              error: this.#form.error(`links.${index}.title`),
              change: (title) => set(index, { title }),
            })}
            ${input({
              ...{ name: `link-url-${index}`, label: T.linkUrl, value: link.url, type: 'url' },
              ...{ placeholder: 'https://', error: this.#form.error(`links.${index}.url`) },
              change: (url) => set(index, { url }),
            })}
            <button
              type="button" class="icon" aria-label=${T.removeLink(link.title || String(index + 1))}
              @click=${() => {
                this.#set({ links: links.filter((_, at) => at !== index) });
                void this.focusOn('#add-link');
              }}
            >${ICONS.close}</button>
          </li>`,
        )}
      </ul>
      <p class="hint">${T.linksHint}</p>
      ${error ? html`<p class="error">${error}</p>` : nothing}
      ${
        links.length < LINKS_MAX
          ? html`<div><button
              type="button" id="add-link" class="small"
              @click=${() => {
                this.#set({ links: [...links, { title: '', url: '' }] });
                void this.focusOn(`#link-title-${links.length}`);
              }}
            >${ICONS.plus} ${T.addLink}</button></div>`
          : nothing
      }
    </fieldset>`;
  }

  #danger(broadcast: Broadcast) {
    const { edit: T } = this.T;
    return html`<div class="danger-zone stack tight">
      <h3>${T.danger}</h3>
      <p class="quiet">${T.dangerText}</p>
      <div><button type="button" class="danger" @click=${() => this.#delete(broadcast)}>
        ${T.danger}
      </button></div>
    </div>`;
  }

  #languages(): readonly (readonly [string, string])[] {
    const { lang, edit: T } = this.T;
    const { language } = this.draft;
    const tags = language && !LANGUAGES.includes(language) ? [language, ...LANGUAGES] : LANGUAGES;
    const named = tags.map((tag) => [tag, languageText(lang, tag)] as const);
    return [['', T.noLanguage], ...named.sort((a, b) => a[1].localeCompare(b[1], lang))];
  }

  #chosenId(): string {
    return this.newId ?? idOfTitle(this.draft.title ?? '');
  }

  #set(change: Partial<About>): void {
    this.draft = { ...this.draft, ...change };
    for (const field of Object.keys(change)) this.#form.set(field, '');
  }

  #dirty(): boolean {
    const from = this.#base ? aboutOf(this.#base) : BLANK;
    return !same(tidy(this.draft), tidy(from));
  }

  /** What can be seen to be wrong from here. */
  #check(about: About): boolean {
    const { edit: T, errors: E } = this.T;
    const form = this.#form;
    form.clear();
    const id = this.#chosenId();
    if (!this.#base && !about.title) form.set('title', E.invalid);
    if (!this.#base && id && !isId(id)) form.set('id', T.idBad);
    if (about.logo && !/^https:\/\//i.test(about.logo)) form.set('logo', T.logoBad);
    const max = about.viewers_max;
    if (max !== null && !(Number.isSafeInteger(max) && max > 0)) form.set('viewers_max', E.invalid);
    this.#checkRegistration();
    const checked = ['title', 'id', 'logo', 'viewers_max', 'registration'];
    const wrong = checked.find((name) => form.error(name));
    if (!wrong) return true;
    const details = this.renderRoot.querySelector('details');
    if (details && /logo|viewers_max|registration/.test(wrong)) details.open = true;
    void form.toFirst();
    return false;
  }

  /** Of the form as it stands: what is empty is not to be lost without a word. */
  #checkRegistration(): void {
    const { registration } = this.draft;
    if (!registration) return;
    const { edit: T } = this.T;
    const { fields, notice } = registration;
    const form = this.#form;
    if (fields.length === 0 && !notice?.trim()) form.set('registration', T.fieldsNone);
    fields.forEach(({ label, kind, options }, index) => {
      const at = `registration.fields.${index}`;
      if (!label.trim()) form.set(`${at}.label`, T.fieldUnasked);
      if (kind === 'select' && !options.some((each) => each.trim()))
        form.set(`${at}.options`, T.optionsNone);
    });
  }

  async #submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    // What is still being written as a topic becomes one when its field loses the focus.
    event.submitter?.focus({ preventScroll: true });
    const about = tidy(this.draft);
    if (!this.#check(about)) return;
    const base = this.#base;
    if (base) return this.#save(base, about);
    const id = this.#chosenId();
    const body = { ...patchOf(BLANK, about), ...(id ? { id } : {}) };
    const made = await this.#form.run(
      () => this.app.api.broadcasts.create(body),
      (error) => {
        // The id is what two of them cannot share.
        if (error.code === 'conflict' && error.errors.length === 0) {
          this.#form.set('id', error.detail || this.T.errors.conflict);
        }
        return null;
      },
    );
    if (!made) return;
    this.draft = BLANK;
    this.app.unsaved = null;
    this.app.say(this.T.edit.created);
    this.app.go({ page: 'broadcast', id: made.id, tab: 'go-live' });
  }

  async #save(base: Broadcast, about: About, how: 'own' | 'merged' = 'own'): Promise<void> {
    const { broadcasts } = this.app.api;
    const patch = patchOf(aboutOf(base), about);
    if (Object.keys(patch).length === 0) return this.#saved(base, how);
    const saved = await this.#form.run(async () => {
      try {
        return await broadcasts.patch(base.id, patch, base.rev);
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== 'precondition-failed') throw error;
        return { theirs: await broadcasts.get(base.id) };
      }
    });
    if (!saved) return;
    if (!('theirs' in saved)) return this.#saved(saved, how);
    const merged = merge(aboutOf(base), about, aboutOf(saved.theirs));
    if (merged.clashes.length > 0) {
      this.clash = { merge: merged, theirs: saved.theirs };
      return;
    }
    await this.#save(saved.theirs, merged.merged, 'merged');
  }

  async #settled(event: Event): Promise<void> {
    const { clash } = this;
    if (!clash) return;
    const about = settle(clash.merge, (event.target as ConsoleClash).choices);
    this.clash = null;
    await this.#save(clash.theirs, about, 'merged');
  }

  #saved(broadcast: Broadcast, how: 'own' | 'merged'): void {
    this.#base = broadcast;
    this.draft = aboutOf(broadcast);
    this.app.say(how === 'merged' ? this.T.clash.merged : this.T.app.saved);
    this.app.tell('broadcast', broadcast);
  }

  async #delete(broadcast: Broadcast): Promise<void> {
    const { edit: T } = this.T;
    const name = nameOf(broadcast);
    const question = { title: T.deleteTitle(name), text: T.deleteText, action: T.deleteAction };
    if (!(await this.app.ask({ ...question, danger: true }))) return;
    const done = await this.#form.run(async () => {
      await this.app.api.broadcasts.remove(broadcast.id, broadcast.rev);
      return true;
    });
    if (!done) return;
    this.app.unsaved = null;
    this.app.say(T.deleted(name));
    this.app.go({ page: 'list' });
  }
}

customElements.define('console-edit', ConsoleEdit);
