/** Prints COUNT variants of tokenizers from seed FROM on, one request of test/real/tokenizer_differential.py a line. */
import { tokenizerRequest } from './tokenizers';

const [from, count] = process.argv.slice(2).map(Number) as [number, number];
for (let seed = from; seed < from + count; seed++) {
  process.stdout.write(`${JSON.stringify(tokenizerRequest(seed))}\n`);
}
