// The files that a commit touched, as `git show --stat` has them: those of the product, and tests, fixtures and docs.
const { run } = require('../../lib/process.js');

const BESIDE = /^(test|docs|assets|native\/(test|fuzz)|scripts\/oracles)\/|\.md$/;

/** { files, beside }, each { file, added, removed }[]; of a merge, against its first parent. */
function family(commit) {
  const range = [`${commit}^`, commit];
  const options = { what: `git diff ${range.join(' ')}`, mend: 'give a commit of this repository' };
  const stat = run('git', ['diff', '--numstat', '--no-renames', ...range], options);
  const all = stat
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'))
    .map(([added, removed, file]) => ({ file, added: Number(added), removed: Number(removed) }));
  return {
    files: all.filter(({ file }) => !BESIDE.test(file)),
    beside: all.filter(({ file }) => BESIDE.test(file)),
  };
}

module.exports = { family };
