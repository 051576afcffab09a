/** Llama 2's and Mistral's SentencePiece vocabularies as the BPE model of `tokenizer.json`. */
import type { Component } from './types';

/** SentencePiece's sign for a space. */
export const SPACE = '\u2581';

/**
 * The merges that a scored vocabulary implies: every way to cut a piece into two pieces, best score first.
 * Among equal scores, longer left and then longer right parts come first, and ids break what is left; this
 * is the order in which transformers converts such vocabularies (`generate_merges`), so ids agree with it.
 */
export function mergesFromScores(tokens: string[], scores: ArrayLike<number>): [string, string][] {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const found: { pair: [string, string]; score: number; left: number; right: number }[] = [];
  for (const [token, id] of ids) {
    const characters = Array.from(token);
    const cuts: { pair: [string, string]; left: number; ids: [number, number] }[] = [];
    for (let left = 1, at = 0; left < characters.length; left++) {
      at += characters[left - 1]!.length;
      const pair: [string, string] = [token.slice(0, at), token.slice(at)];
      const leftId = ids.get(pair[0]);
      const rightId = ids.get(pair[1]);
      if (leftId === undefined || rightId === undefined) continue;
      cuts.push({ pair, left, ids: [leftId, rightId] });
    }
    cuts.sort((a, b) => a.ids[0] - b.ids[0] || a.ids[1] - b.ids[1]);
    for (const { pair, left } of cuts) {
      found.push({ pair, score: scores[id]!, left, right: characters.length - left });
    }
  }
  found.sort((a, b) => b.score - a.score || b.left - a.left || b.right - a.right);
  return found.map(({ pair }) => pair);
}

/**
 * Scores under which SentencePiece joins pieces in the order of the merges: minus the rank of the first merge
 * that makes a piece, and 0 for a piece that none makes.
 */
export function scoresFromMerges(tokens: string[], merges: [string, string][]): number[] {
  const ranks = new Map<string, number>();
  for (const [rank, [left, right]] of merges.entries()) {
    if (!ranks.has(left + right)) ranks.set(left + right, rank);
  }
  return tokens.map((token) => (ranks.has(token) ? -(ranks.get(token)! + 1) : 0));
}

/** Spaces become `▁`, and one is put in front of the text unless the file says otherwise. */
export function spaceNormalizer(prefix: boolean): Component {
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: SPACE };
  if (!prefix) return replace;
  return { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: SPACE }, replace] };
}

export function spaceDecoder(prefix: boolean): Component {
  const decoders: Component[] = [
    { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
  ];
  if (prefix) decoders.push({ type: 'Strip', content: ' ', start: 1, stop: 0 });
  return { type: 'Sequence', decoders };
}
