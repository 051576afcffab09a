// npm run fetch-data [FOLDER]: the texts of docs/benchmarks.md in FOLDER, .cache/data where none is named. Their licences let them
// into no repository of ours, and no package of npm or PyPI is known to have them: what is there is checked, and what is not is
// named with its SHA-256 and where it comes from. Prints the folder, DATA of those commands.
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { at } = require('./lib/paths.js');
const { runMain, SetupError } = require('./lib/setup-error.js');

const WIKITEXT = 'of WikiText-2 (Salesforce/wikitext on the Hugging Face Hub, CC BY-SA)';
const TEXTS = [
  {
    file: 'wikitext-2/wiki.test.raw',
    sha256: 'bbf94c53a05abe9ee670d3b6343608095822c85e26de37c70b24fc571964574a',
    source: `test split of wikitext-2-raw-v1 ${WIKITEXT}, line ends as LF`,
  },
  {
    file: 'wikitext-2/wiki.valid.tokens',
    sha256: 'f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8',
    source: `validation split of wikitext-2-v1 ${WIKITEXT}, with <unk>`,
  },
  {
    file: 'ptb/ptb.test.txt',
    sha256: 'dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0',
    source:
      "test split of the Penn Treebank as Mikolov's language models have it (ptb.test.txt, LDC)",
  },
];

/** What is wrong with one of them; null: nothing. */
function faultOf(folder, { file, sha256, source }) {
  const whole = path.join(folder, file);
  const wanted = `${whole}, SHA-256 ${sha256}: ${source}`;
  if (!fs.existsSync(whole)) return `missing: ${wanted}`;
  const found = createHash('sha256').update(fs.readFileSync(whole)).digest('hex');
  return found === sha256 ? null : `another file (SHA-256 ${found}) in the place of ${wanted}`;
}

runMain(() => {
  const folder = path.resolve(process.argv[2] ?? at('.cache', 'data'));
  const faults = TEXTS.map((text) => faultOf(folder, text)).filter((fault) => fault !== null);
  if (faults.length > 0) {
    const mend = 'bring these files; the tables of docs/benchmarks.md are made from them';
    throw new SetupError(
      `${faults.length} of ${TEXTS.length} texts are not there`,
      mend,
      faults.join('\n'),
    );
  }
  process.stdout.write(`${folder}\n`);
});
