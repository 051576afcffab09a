// In how many files a trait of a model, an option of prune() or one of its choices has to be named. Which there are comes
// from the types that the public API declares, so that the lists cannot go stale.
const ts = require('typescript');
const { at } = require('../../lib/paths.js');
const { sourcesIn, tokensOf, withoutComments } = require('./sources.js');

const CHOICES = ['method', 'mask', 'allocation'];

/** What lib/index.ts exports as types, by name. */
function publicTypes() {
  const entry = at('lib', 'index.ts');
  const settings = ts.readConfigFile(at('tsconfig.json'), ts.sys.readFile).config;
  const { options } = ts.parseJsonConfigFileContent(settings, ts.sys, at());
  const program = ts.createProgram([entry], options);
  const checker = program.getTypeChecker();
  const symbols = checker.getExportsOfModule(
    checker.getSymbolAtLocation(program.getSourceFile(entry)),
  );
  return {
    checker,
    typeOf(name) {
      const symbol = symbols.find((one) => one.name === name);
      if (!symbol) throw new Error(`lib/index.ts exports no type ${name}`);
      const { Alias } = ts.SymbolFlags;
      const own = symbol.flags & Alias ? checker.getAliasedSymbol(symbol) : symbol;
      return checker.getDeclaredTypeOfSymbol(own);
    },
  };
}

/**
 * Names of a type's properties, and of those of the objects in them; not of elements of a list, and no sizes, which are the
 * numbers that every model has.
 */
function traitsOf(type, checker) {
  return checker.getPropertiesOfType(type).flatMap((property) => {
    const declared = checker.getTypeOfSymbol(property);
    if (declared.flags & ts.TypeFlags.Number || checker.isArrayLikeType(declared)) return [];
    const inner = checker.getNonNullableType(declared);
    const isObject = inner.flags & ts.TypeFlags.Object;
    return [property.name, ...(isObject ? traitsOf(inner, checker) : [])];
  });
}

/** The strings that a type allows. */
function stringsIn(type) {
  const parts = type.isUnion() ? type.types : [type];
  return parts.filter((part) => part.isStringLiteral()).map((part) => part.value);
}

const isCallback = (type, checker) =>
  checker.getNonNullableType(type).getCallSignatures().length > 0;

/** { traits, roles, options, choices: { method: […], … } }, all of them names. */
function declarations() {
  const { checker, typeOf } = publicTypes();
  const prune = typeOf('PruneOptions');
  const choices = CHOICES.map((key) => {
    const property = checker.getPropertyOfType(prune, key);
    return [key, property ? stringsIn(checker.getTypeOfSymbol(property)) : []];
  });
  return {
    traits: [...new Set(traitsOf(typeOf('Architecture'), checker))],
    roles: stringsIn(typeOf('BlockRole')),
    options: checker
      .getPropertiesOfType(prune)
      .filter((option) => !isCallback(checker.getTypeOfSymbol(option), checker))
      .map(({ name }) => name),
    choices: Object.fromEntries(choices),
  };
}

/** What a file of TypeScript names: identifiers, and whole strings. */
function namesIn(file) {
  const names = new Set();
  const strings = new Set();
  for (const token of tokensOf(file)) {
    if (ts.isIdentifier(token)) names.add(token.text);
    else if (ts.isStringLiteralLike(token)) strings.add(token.text);
  }
  return { names, strings };
}

/** Words of a file of C++; its strings have the names that the addon reads of an object. */
const wordsIn = (file) => new Set(withoutComments(file).match(/[A-Za-z_]\w*/g));

const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const kebab = (name) => snake(name).replaceAll('_', '-');

/** Files by name: of `names` those files for which `isNamed(name, what the file has)`. */
function filesByName(names, files, isNamed) {
  return Object.fromEntries(
    names.map((name) => [
      name,
      [...files].filter(([, has]) => isNamed(name, has)).map(([file]) => file),
    ]),
  );
}

/** The same over all names: files that name any of them. */
const anyOf = (byName) => [...new Set(Object.values(byName).flat())].sort();

/**
 * Files of lib/ and of the native product that name each trait and role, files of a family left out; files of lib/ that name
 * each option, as a name or in a flag, and each choice, as a string. Names of one word mean other things too:
 * what is said of many names at once is said of those of more than one.
 */
function names(nativeProduct) {
  const { traits, roles, options, choices } = declarations();
  const lib = new Map(
    sourcesIn('lib')
      .filter((file) => file.endsWith('.ts'))
      .map((file) => [file, namesIn(file)]),
  );
  const isShared = (file) => !file.includes('/families/');
  const both = new Map([
    ...[...lib].filter(([file]) => isShared(file)),
    ...nativeProduct.map((file) => [file, wordsIn(file)]),
  ]);
  const inEither = (name, has) =>
    has instanceof Set
      ? has.has(name) || has.has(snake(name))
      : has.names.has(name) || has.strings.has(name);
  const asOption = (name, { names, strings }) =>
    names.has(name) ||
    strings.has(name) ||
    [...strings].some((text) => text.split(/[^\w-]/).includes(`--${kebab(name)}`));
  return {
    traits: filesByName(traits, both, inEither),
    roles: filesByName(roles, both, inEither),
    options: filesByName(options, lib, asOption),
    choices: Object.fromEntries(
      Object.entries(choices).map(([key, values]) => [
        key,
        filesByName(values, lib, (value, { strings }) => strings.has(value)),
      ]),
    ),
  };
}

/** Whether a name is of more than one word, and so hardly means anything else. */
const isOwnWord = (name) => /[a-z\d][A-Z]/.test(name);

module.exports = { anyOf, isOwnWord, names };
