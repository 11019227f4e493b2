// A list that a view shows: asked for when the view appears, and again when something was done or missed.

import { html, type ReactiveController, type TemplateResult } from 'lit';
import { ApiError } from './api.ts';
import type { View } from './element.ts';
import { errorText } from './texts/texts.ts';

export class Loaded<T> implements ReactiveController {
  items: readonly T[] | null = null;
  #failure: ApiError | null = null;
  readonly #host: View;
  readonly #ask: () => Promise<readonly T[]>;

  constructor(host: View, ask: () => Promise<readonly T[]>) {
    this.#host = host;
    this.#ask = ask;
    host.addController(this);
  }

  hostConnected(): void {
    void this.load();
  }

  async load(): Promise<void> {
    try {
      this.items = await this.#ask();
      this.#failure = null;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#failure = error;
    }
    this.#host.requestUpdate();
  }

  /** The list, or why there is none: what to do about an empty one is for its view to say. */
  view(empty: string, item: (item: T) => TemplateResult): TemplateResult {
    const { app, T } = this.#host;
    if (this.#failure) {
      return html`<div class="notice bad" role="alert">
        <p>${errorText(T, this.#failure)}</p>
        <button type="button" class="small" @click=${() => this.load()}>${app.texts.app.retry}</button>
      </div>`;
    }
    if (!this.items) return html`<p class="quiet" role="status">${T.app.loading}</p>`;
    if (this.items.length === 0) return html`<p class="quiet">${empty}</p>`;
    return html`<ul class="plain lines">${this.items.map((each) => html`<li>${item(each)}</li>`)}</ul>`;
  }
}
