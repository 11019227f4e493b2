// Where a reader is in a list that grows at its end and is cut at its beginning: at the end, where it
// stays, or at some row, which stays where it was. Browsers keep the place of some of this, each of
// another part, so it is done here for all of them.

/** Somebody so close to the end, in px, is at the end. */
const AT_END_PX = 48;

export class Place {
  /** Its reader follows what comes. */
  atEnd = true;
  /** The row that was being read, and where it stood, before the list was changed. */
  #anchor: { readonly row: HTMLElement; readonly top: number } | null = null;

  /** The list was scrolled. */
  scrolled(list: HTMLElement): void {
    this.atEnd = list.scrollHeight - list.scrollTop - list.clientHeight <= AT_END_PX;
  }

  /** Before the list changes: the first row in sight is being read. */
  remember(list: HTMLElement | null): void {
    this.#anchor = null;
    if (!list || this.atEnd) return;
    for (const row of list.querySelectorAll('li')) {
      const top = row.offsetTop - list.scrollTop;
      if (top + row.offsetHeight <= 0) continue;
      this.#anchor = { row, top };
      return;
    }
  }

  /** After it has changed, or is of another size. */
  keep(list: HTMLElement): void {
    if (this.atEnd) list.scrollTop = list.scrollHeight;
    else if (this.#anchor?.row.isConnected) {
      list.scrollTop = this.#anchor.row.offsetTop - this.#anchor.top;
    }
    this.#anchor = null;
  }
}
