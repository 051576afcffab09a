/** What the dense model predicts of a few windows, and how far another model is from it: in nats per token. */
import type { Ends, ExpectedHead } from '../../engine/ends';
import type { Matrix } from '../../engine/matrix';
import { orDispose } from '../../engine/owned';
import { nextTokens, type Session } from '../../engine/session';
import { meanOfTokens } from '../../engine/token-values';
import { embeddingWidth } from '../../model/axes';
import { sampleOfVocabulary } from './vocabulary';

export class Reference {
  readonly rows: number;
  readonly #targets: Int32Array;
  readonly #window: number;
  /** Of the tokens that stand for the vocabulary. */
  readonly #head: Ends;
  readonly #expected: ExpectedHead;

  private constructor(targets: Int32Array, window: number, head: Ends, expected: ExpectedHead) {
    this.rows = targets.length;
    this.#targets = targets;
    this.#window = window;
    this.#head = head;
    this.#expected = expected;
  }

  /** `first`: `[tokens, hidden]`, the model's first states of `ids`, and then its last ones; `text`: what the sample of the vocabulary is of. */
  static async make(
    session: Session,
    ids: Int32Array,
    first: Matrix,
    { window, scratch, text }: { window: number; scratch: string; text: Int32Array },
  ): Promise<Reference> {
    const { vocab } = session.architecture;
    const head = session.endsOver(sampleOfVocabulary(vocab, text));
    try {
      await session.forward(first, window, 'calibrating');
      const width = embeddingWidth(session.architecture);
      const mean = session.matrix(first.rows, width, first.pageRows, scratch);
      return await orDispose(mean, async () => {
        const negativeEntropy = await head.expectHead(first, mean, 'calibrating');
        const expected = { mean, negativeEntropy };
        return new Reference(nextTokens(ids, window), window, head, expected);
      });
    } catch (error) {
      head[Symbol.dispose]();
      throw error;
    }
  }

  /** Mean KL(dense ‖ other) of last states. */
  async divergence(states: Matrix): Promise<number> {
    const kl = await this.#head.divergenceFrom(this.#expected, states, 'calibrating');
    const known = kl.map((value, token) => (this.#targets[token]! >= 0 ? value : Number.NaN));
    return meanOfTokens([known], this.#window);
  }

  /** Off the main thread, which the system would keep busy for as long as it takes the memory back. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#expected.mean[Symbol.asyncDispose]();
    this.#head[Symbol.dispose]();
  }
}
