// What each element of the console begins with: the context, its words, and listening that ends when the
// element goes.

import { LitElement } from 'lit';
import type { Context, News } from './context.ts';
import type { Texts } from './texts/texts.ts';

export abstract class View extends LitElement {
  static override properties = { app: { attribute: false } };

  declare app: Context;
  #connection: AbortController | null = null;

  get T(): Texts {
    return this.app.texts;
  }

  /** Ends when the element leaves the page. */
  protected get signal(): AbortSignal {
    this.#connection ??= new AbortController();
    return this.#connection.signal;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#connection = new AbortController();
    this.entered();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#connection?.abort();
    this.#connection = null;
    this.left();
  }

  /** The element is on the page, and has its properties. */
  protected entered(): void {}
  protected left(): void {}

  /** Hears of news for as long as the element is on the page. */
  protected hear<K extends keyof News>(kind: K, then: (news: News[K]) => void): void {
    this.app.on(kind, then, this.signal);
  }

  /** Renders again now and then, for what tells how long ago something was. */
  protected every(ms: number, then: () => void = () => this.requestUpdate()): void {
    const timer = setInterval(() => {
      if (!document.hidden) then();
    }, ms);
    this.signal.addEventListener('abort', () => clearInterval(timer));
  }

  /** Waits for what was just changed to be on the page, and puts the focus there. */
  protected async focusOn(selector: string): Promise<void> {
    await this.updateComplete;
    this.renderRoot.querySelector<HTMLElement>(selector)?.focus();
  }
}

/** Brings the current one of a row of tabs into sight, and moves nothing else of the page. */
export function showTab(tabs: HTMLElement | null): void {
  const tab = tabs?.querySelector('[aria-current]');
  if (!tabs || !tab) return;
  const [row, one] = [tabs.getBoundingClientRect(), tab.getBoundingClientRect()];
  if (one.left < row.left) tabs.scrollLeft -= row.left - one.left;
  else if (one.right > row.right) tabs.scrollLeft += one.right - row.right;
}
