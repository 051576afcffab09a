// The checkout's own source files: which there are, their tokens, and their lines without blank and comment lines.
const fs = require('node:fs');
const path = require('node:path');
const ts = require('typescript');
const { at, root } = require('../../lib/paths.js');
const { filesUnder } = require('../../lib/stamp.js');

const PARSED = /\.(ts|js|mjs)$/;
const C_LIKE = /\.(h|cpp|cu|css)$/;
const HASHED = /\.(py|sh)$/;

/** Source files under a folder of the checkout, as paths from its root. */
function sourcesIn(folder) {
  return filesUnder(at(folder), (file) =>
    [PARSED, C_LIKE, HASHED].some((kind) => kind.test(file)),
  ).map((file) => path.relative(root, file));
}

const read = (file) => fs.readFileSync(at(file), 'utf8');

const parsed = new Map();

/** The syntax tree of a TypeScript or JavaScript file. */
function treeOf(file) {
  if (!parsed.has(file)) {
    parsed.set(file, ts.createSourceFile(file, read(file), ts.ScriptTarget.Latest, true));
  }
  return parsed.get(file);
}

/** The leaves of a syntax tree; comments are none. */
function tokensOf(file) {
  const tree = treeOf(file);
  const tokens = [];
  const visit = (node) => {
    if (ts.isJSDoc(node)) return;
    const children = node.getChildren(tree);
    if (children.length > 0) children.forEach(visit);
    else if (node.kind !== ts.SyntaxKind.SyntaxList) tokens.push(node);
  };
  visit(tree);
  return tokens.filter((token) => token.kind !== ts.SyntaxKind.EndOfFileToken);
}

const COMMENT_OR_LITERAL =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|R"(\w*)\([\s\S]*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<!\w)'(?:\\.|[^'\\\n])*'/g;

/** The text of a file of C++ or CSS without its comments; lines stay where they are. */
function withoutComments(file) {
  return read(file).replace(COMMENT_OR_LITERAL, (found) =>
    /^\/[/*]/.test(found) ? found.replace(/[^\n]+/g, ' ') : found,
  );
}

/** Lines of a file that are neither blank nor comments alone. Docstrings of Python count. */
function linesOfCode(file) {
  if (PARSED.test(file)) {
    const tree = treeOf(file);
    const lineOf = (position) => tree.getLineAndCharacterOfPosition(position).line;
    const lines = new Set();
    for (const token of tokensOf(file)) {
      const last = lineOf(token.end);
      for (let line = lineOf(token.getStart(tree)); line <= last; line++) lines.add(line);
    }
    return lines.size;
  }
  const text = C_LIKE.test(file) ? withoutComments(file) : read(file).replace(/^\s*#.*$/gm, '');
  return text.split('\n').filter((line) => line.trim() !== '').length;
}

module.exports = { linesOfCode, read, sourcesIn, tokensOf, treeOf, withoutComments };
