// npm run measure -- tables [NAME=DIR …]: writes the tables of README.md and docs/ that stand between
// `<!-- measured SPEC -->` and `<!-- end -->`, from docs/measured/NAME.json. NAME=DIR first takes what `bench quality -o DIR`
// measured as docs/measured/NAME.json.
//
// SPEC is JSON: `show` (perplexity, of all texts or those of `texts`; divergence, of the first; parameters), `shares`,
// and `rows`, labels by NAME/METHOD (`dense` is one), bold where the label is. `across`: a row a share, a column a method.
const { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } = require('node:fs');
const path = require('node:path');

const ROOT = path.resolve(__dirname, '..', '..');
const MEASURED = path.join(ROOT, 'docs', 'measured');
const TABLE = /(<!-- measured (\{[\s\S]*?\}) -->\n)[\s\S]*?(<!-- end -->)/g;

/** What tables need of a document of `bench quality`. */
function kept({ command, versions, machine, quality }) {
  const { dense, calibration, texts, rows } = quality;
  const { cpu, gemmPath, threads } = machine;
  // Where they lay is nobody's business.
  const shown = command.replace(/(^|\s)\/\S*\//g, '$1');
  const text = ({ name, sha256, tokens, window }) => ({ name, sha256, tokens, window });
  return {
    command: shown,
    version: versions.struprune,
    machine: { cpu, gemmPath, threads },
    calibration: text(calibration),
    texts: texts.map(text),
    dense: dense.perplexities.map(({ text, perplexity }) => ({ text, perplexity })),
    parameters: quality.model.parameters,
    rows: rows.map(
      ({ method, label, sparsity, achieved, parameters, fileBytes, texts, seconds }) => ({
        ...{ method, label, sparsity, achieved, parameters, fileBytes },
        seconds: Math.round(seconds.survey + seconds.solve),
        texts: texts.map(({ text, perplexity, klToDense, top1Agreement }) => ({
          ...{ text, perplexity, klToDense, top1Agreement },
        })),
      }),
    ),
  };
}

const documents = new Map();

function measured(name) {
  if (!documents.has(name)) {
    documents.set(name, JSON.parse(readFileSync(path.join(MEASURED, `${name}.json`), 'utf8')));
  }
  return documents.get(name);
}

/** Two decimals, and two digits of what is no language any more. */
const perplexity = (value) =>
  value < 1e4 ? value.toFixed(2) : value.toExponential(1).replace('e+', 'e');

function cellOf(id, share, { show, texts }) {
  const [name, method] = id.split('/');
  const { rows, dense, parameters } = measured(name);
  const row =
    method === 'dense'
      ? { texts: dense, parameters }
      : rows.find((one) => one.method === method && one.sparsity === share);
  if (!row) return '';
  if (show === 'parameters') return row.parameters.toLocaleString('en');
  if (show === 'perplexity') {
    const wanted = texts
      ? texts.map((text) => row.texts.find((one) => one.text === text))
      : row.texts;
    return wanted.map((one) => perplexity(one.perplexity)).join(' / ');
  }
  const [{ klToDense, top1Agreement }] = row.texts;
  return `${klToDense.toFixed(3)} / ${(100 * top1Agreement).toFixed(1)} %`;
}

const line = (cells) => `| ${cells.join(' | ')} |`.replace(/ {2,}/g, ' ');
const percent = (share) => `${Number((100 * share).toFixed(2))} %`;

/** The lines of a table. */
function tableOf(spec) {
  const rows = Object.entries(spec.rows).map(([id, label]) => {
    const mark = label.startsWith('**') ? (cell) => cell && `**${cell}**` : (cell) => cell;
    return [label, ...spec.shares.map((share) => mark(cellOf(id, share, spec)))];
  });
  const table = [['', ...spec.shares.map(percent)], ...rows];
  const [head, ...body] = spec.across
    ? table[0].map((_, column) => table.map((cells) => cells[column]))
    : table;
  return [line(head), `|${head.map(() => '---|').join('')}`, ...body.map(line)];
}

/** A page with its tables as they are measured. */
function withTables(page) {
  return page.replace(TABLE, (_, start, spec, end) =>
    [start.trimEnd(), ...tableOf(JSON.parse(spec)), end].join('\n'),
  );
}

const PAGES = ['README.md', ...readdirSync(path.join(ROOT, 'docs')).map((name) => `docs/${name}`)]
  .filter((name) => name.endsWith('.md'))
  .map((name) => path.join(ROOT, name));

function main(taken) {
  for (const [name, folder] of taken.map((one) => one.split('='))) {
    const document = JSON.parse(readFileSync(path.join(folder, 'quality.json'), 'utf8'));
    if (!existsSync(MEASURED)) mkdirSync(MEASURED);
    const text = JSON.stringify(kept(document), null, 1)
      .replace(/\n {3,}/g, ' ')
      .replace(/\n {2}([\]}])/g, ' $1');
    writeFileSync(path.join(MEASURED, `${name}.json`), `${text}\n`);
  }
  for (const page of PAGES) {
    const before = readFileSync(page, 'utf8');
    const after = withTables(before);
    if (after === before) continue;
    writeFileSync(page, after);
    console.log(path.relative(ROOT, page));
  }
}

if (require.main === module) main(process.argv.slice(2));

module.exports = { PAGES, withTables };
