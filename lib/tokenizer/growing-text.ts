/** A text while its tokens come, decoded in threads: one at a time, and what comes meanwhile waits for the next. */

export type OnText = (text: string) => void;

export class GrowingText {
  readonly #textOf: (ids: number[]) => Promise<string>;
  readonly #onText: OnText;
  #waiting: number[] | null = null;
  #work: Promise<void> | null = null;

  constructor(textOf: (ids: number[]) => Promise<string>, onText: OnText) {
    this.#textOf = textOf;
    this.#onText = onText;
  }

  /** `ids`: all tokens so far. */
  grow(ids: number[]): void {
    this.#waiting = ids;
    this.#work ??= this.#tell();
    // It is heard of at the end.
    this.#work.catch(() => {});
  }

  /** All is told. @throws whatever decoding or `onText` has thrown */
  async end(): Promise<void> {
    await this.#work;
  }

  async #tell(): Promise<void> {
    while (this.#waiting) {
      const ids = this.#waiting;
      this.#waiting = null;
      // The bytes of a character may not all be there.
      this.#onText((await this.#textOf(ids)).replace(/\ufffd+$/, ''));
    }
    this.#work = null;
  }
}
