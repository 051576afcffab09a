// Where the memory of native calls is stated a second time, in TypeScript: functions of lib/engine that count bytes,
// `…Bytes`, and in their files the constants that C++ has too, with the same name and value (TILE_SIDE and kTileSide).
const ts = require('typescript');
const { sourcesIn, treeOf, withoutComments } = require('./sources.js');

const OPERATIONS = {
  [ts.SyntaxKind.PlusToken]: (a, b) => a + b,
  [ts.SyntaxKind.MinusToken]: (a, b) => a - b,
  [ts.SyntaxKind.AsteriskToken]: (a, b) => a * b,
  [ts.SyntaxKind.SlashToken]: (a, b) => a / b,
  [ts.SyntaxKind.AsteriskAsteriskToken]: (a, b) => a ** b,
  [ts.SyntaxKind.LessThanLessThanToken]: (a, b) => a * 2 ** b,
};

/** The value of an expression of numbers; undefined where it names anything. */
function numberOf(node) {
  if (!node) return undefined;
  if (ts.isNumericLiteral(node)) return Number(node.text);
  if (ts.isParenthesizedExpression(node)) return numberOf(node.expression);
  if (!ts.isBinaryExpression(node)) return undefined;
  const [left, right] = [numberOf(node.left), numberOf(node.right)];
  return left === undefined || right === undefined
    ? undefined
    : OPERATIONS[node.operatorToken.kind]?.(left, right);
}

/** The constants of a file's outermost level. */
function constantsOfTypeScript(file) {
  return treeOf(file)
    .statements.filter(ts.isVariableStatement)
    .flatMap(({ declarationList }) => declarationList.declarations)
    .map(({ name, initializer }) => ({ name: name.getText(), value: numberOf(initializer), file }))
    .filter(({ value }) => value !== undefined);
}

/** `size_t{1} << 20` and `100'000u` as TypeScript writes them. */
function parsedNumber(text) {
  const plain = text.replace(/\b\w+\{(\d+)\}/g, '$1').replace(/(?<=\d)('(?=\d)|[uUlL]+\b)/g, '');
  const [statement] = ts.createSourceFile('', plain, ts.ScriptTarget.Latest).statements;
  return numberOf(statement?.expression);
}

function constantsOfCpp(file) {
  const statements = withoutComments(file).matchAll(/\bconstexpr [^;={]*?\b(k[A-Z]\w* = [^;]*);/g);
  return [...statements].flatMap(([, declared]) =>
    declared
      .split(/,\s*(?=k[A-Z]\w* = )/)
      .map((one) => one.split(' = '))
      .map(([name, text]) => ({ name, value: parsedNumber(text), file }))
      .filter(({ value }) => value !== undefined),
  );
}

/** TILE_SIDE and kTileSide alike. */
const plain = (name) =>
  name
    .replace(/^k(?=[A-Z])/, '')
    .replaceAll('_', '')
    .toLowerCase();

/** Constants of both languages: { name, value, files }. */
function sharedConstants(lib, native) {
  const there = native.flatMap(constantsOfCpp);
  return lib.flatMap(constantsOfTypeScript).flatMap(({ name, value, file }) => {
    const same = there.filter((one) => plain(one.name) === plain(name) && one.value === value);
    return same.length === 0 ? [] : [{ name, value, files: [file, ...same.map((s) => s.file)] }];
  });
}

/** Functions of a file that say a number of bytes: { name, file, lines }. */
function byteFunctions(file) {
  const tree = treeOf(file);
  const lineOf = (position) => tree.getLineAndCharacterOfPosition(position).line;
  return tree.statements
    .filter((node) => ts.isFunctionDeclaration(node) && /Bytes$/.test(node.name?.text ?? ''))
    .map((node) => ({
      name: node.name.text,
      file,
      lines: lineOf(node.end) - lineOf(node.getStart(tree)) + 1,
    }));
}

function memory(nativeProduct) {
  const functions = sourcesIn('lib/engine').flatMap(byteFunctions);
  const files = [...new Set(functions.map(({ file }) => file))];
  return { functions, constants: sharedConstants(files, nativeProduct) };
}

module.exports = { memory };
