/** prune() in a process of its own: prune-process.ts MODEL OPTIONS-JSON prints the error, or {} without one. */
import { prune } from '../../lib/prune';

prune(process.argv[2]!, JSON.parse(process.argv[3]!)).then(
  () => console.log('{}'),
  ({ code, message }) => console.log(JSON.stringify({ code, message })),
);
