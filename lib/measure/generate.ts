import { using } from '../engine/owned';
import type { Session } from '../engine/session';
import { KeptBlocks } from './kept-blocks';

/** Tokens whose earlier occurrence says what may follow them. */
const CONTEXT = 2;

export interface GreedyOptions {
  room?: number;
  /** Tokens behind which nothing follows; they are no part of what is returned. */
  stop?: readonly number[];
  onTokens?: (tokens: number[]) => void;
}

/**
 * The likeliest continuation of a prompt, without cache: meant for the few tokens that show a person what pruning did.
 * Every pass reads the whole model, so that each guesses all tokens that are left, from what followed the last ones
 * before or else from the pass before, and as many stand as were guessed right, one at least. Blocks are loaded once a
 * pass, but for those that fit into 3/4 of `room`, bytes of the engine's memory: they stay. `onTokens` hears those that
 * there are.
 */
export async function greedy(
  session: Session,
  prompt: readonly number[],
  count: number,
  { room = 0, stop = [], onTokens }: GreedyOptions = {},
): Promise<number[]> {
  const ids = [...prompt];
  const end = prompt.length + count;
  const blocks = new KeptBlocks(session, 0.75 * room);
  let likeliest: Int32Array | null = null;
  try {
    while (ids.length < end) {
      session.engine.throwIfAborted();
      const asked = guessed(ids, likeliest, end - 1);
      const window = asked.length;
      likeliest = await using(await session.embed(asked, window, 'measuring'), async (hidden) => {
        await session.forward(hidden, window, 'measuring', undefined, blocks.use);
        return (await session.score(hidden, new Int32Array(window).fill(-1))).best;
      });
      // What comes after a wrong guess was made for another text.
      do {
        const next = likeliest[ids.length - 1]!;
        if (stop.includes(next)) return ids.slice(prompt.length);
        ids.push(next);
      } while (ids.length < end && asked[ids.length - 1] === ids.at(-1));
      onTokens?.(ids.slice(prompt.length));
    }
  } finally {
    await blocks.free();
  }
  return ids.slice(prompt.length);
}

/** `ids`, and guesses up to `length` tokens. `likeliest`: what an earlier pass had after every token, if there was one. */
function guessed(ids: readonly number[], likeliest: Int32Array | null, length: number): Int32Array {
  const tokens = new Int32Array(Math.max(length, ids.length));
  tokens.set(ids);
  for (let at = ids.length; at < tokens.length; at++) {
    tokens[at] = followed(tokens, at) ?? likeliest?.[at - 1] ?? tokens[at - 1]!;
  }
  return tokens;
}

/** What followed the last occurrence of the tokens before `at`; undefined where they are new. */
function followed(tokens: Int32Array, at: number): number | undefined {
  for (let start = at - CONTEXT - 1; start >= 0; start--) {
    let same = 0;
    while (same < CONTEXT && tokens[start + same] === tokens[at - CONTEXT + same]) same++;
    if (same === CONTEXT) return tokens[start + CONTEXT];
  }
  return undefined;
}
