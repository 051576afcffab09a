// dist/lib/index.d.ts: the types of the API in one file that needs no other package's. Types that TypeScript infers from
// zod's schemas are spelled out, and every option has its help as hover text.
const fs = require('node:fs');
const path = require('node:path');
const ts = require('typescript');
const { dist } = require('./paths.js');

const lib = path.join(dist, 'lib');
const entry = path.join(lib, 'index.d.ts');
// Promises of disposal, which not every configuration has.
const HEAD = '/// <reference lib="esnext.disposable" />\n';

/** Where the options of an exported type are declared: the module in dist/lib, and the name of the constant there. */
const OPTIONS_OF = {
  AllocateOptions: ['options', 'OPTIONS'],
  AnswerOptions: ['options/generate', 'ANSWER'],
  EvaluateOptions: ['options/evaluate', 'EVALUATE'],
  ExportOptions: ['options/export', 'EXPORT'],
  GenerateOptions: ['options/generate', 'GENERATE'],
  GraphOptions: ['options', 'OPTIONS'],
  GraphsOptions: ['bench/graphs/options', 'GRAPHS_OPTIONS'],
  KernelOptions: ['bench/kernels/options', 'KERNELS_OPTIONS'],
  LatencyOptions: ['bench/latency/options', 'LATENCY_OPTIONS'],
  ScaleOptions: ['bench/scale/options', 'SCALE_OPTIONS'],
  MasksOptions: ['bench/masks/options', 'MASKS_OPTIONS'],
  MemoryOptions: ['bench/memory/options', 'MEMORY_OPTIONS'],
  PeersOptions: ['bench/peers/options', 'PEERS_OPTIONS'],
  PruneOptions: ['options', 'OPTIONS'],
  QualityOptions: ['bench/quality/options', 'QUALITY_OPTIONS'],
  SpeedOptions: ['bench/speed/options', 'SPEED_OPTIONS'],
  SurveyOptions: ['options', 'OPTIONS'],
  TasksOptions: ['options/tasks', 'TASKS'],
};

/** Puts the types of all modules of the API into index.d.ts, and removes the other declarations of dist/. */
function bundleDeclarations() {
  const text = HEAD + new Bundle().text();
  for (const name of fs.readdirSync(lib, { recursive: true })) {
    if (name.endsWith('.d.ts')) fs.rmSync(path.join(lib, name));
  }
  fs.writeFileSync(entry, text);
}

class Bundle {
  #checker;
  #printer = ts.createPrinter();
  /** Names in the bundle of the symbols that are in it, in the order in which they were met. */
  #names = new Map();
  #taken = new Set();

  constructor() {
    const libraries = ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.esnext.disposable.d.ts'];
    this.program = ts.createProgram([entry], {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.CommonJS,
      moduleResolution: ts.ModuleResolutionKind.Node10,
      lib: libraries,
      types: [],
      strict: true,
    });
    this.#checker = this.program.getTypeChecker();
  }

  text() {
    const api = this.#checker.getExportsOfModule(
      this.#checker.getSymbolAtLocation(this.program.getSourceFile(entry)),
    );
    for (const symbol of api) this.#nameOf(this.#resolved(symbol), symbol.name);
    const parts = [];
    // A declaration may bring in others.
    for (const [symbol] of this.#names) parts.push(...this.#declarationsOf(symbol));
    const names = api.map(({ name }) => name).sort();
    return `${parts.join('\n')}\nexport { ${names.join(', ')} };\n`;
  }

  #resolved(symbol) {
    return symbol.flags & ts.SymbolFlags.Alias ? this.#checker.getAliasedSymbol(symbol) : symbol;
  }

  /** The name that a symbol of the library has in the bundle, which takes it in. */
  #nameOf(symbol, wanted = symbol.name) {
    if (!this.#names.has(symbol)) {
      let name = wanted;
      for (let more = 2; this.#taken.has(name); more++) name = `${wanted}${more}`;
      this.#names.set(symbol, name);
      this.#taken.add(name);
    }
    return this.#names.get(symbol);
  }

  /** Of what is left of a module's own marks: those that are exported are named at the end. */
  #declarationsOf(symbol) {
    return symbol.declarations.map((declaration) => {
      const statement = statementOf(declaration);
      const { comment, code } = this.#edited(statement, symbol);
      const bare = code.replace(/^(export |declare )*/, '');
      return `${comment}${/^(interface|type) /.test(bare) ? '' : 'declare '}${bare}\n`;
    });
  }

  /** A declaration with the names of the bundle, without what is internal, and with what zod says spelled out. */
  #edited(statement, owner) {
    const file = statement.getSourceFile();
    const start = statement.getStart(file);
    const comment = statement.jsDoc ? `${statement.jsDoc.at(-1).getText(file)}\n` : '';
    const edits = [];
    const replace = (node, text) => edits.push([node.getStart(file), node.getEnd(), text]);
    const visit = (node) => {
      if (ts.getJSDocTags(node).some(({ tagName }) => tagName.text === 'internal')) {
        edits.push([node.getFullStart(), node.getEnd(), '']);
      } else if (ts.isTypeReferenceNode(node) && this.#isOfZod(node)) {
        replace(node, this.#spelledOut(node, owner.name));
      } else if (ts.isImportTypeNode(node)) {
        const symbol = this.#resolved(this.#checker.getSymbolAtLocation(node.qualifier));
        const name = `${node.isTypeOf ? 'typeof ' : ''}${this.#nameOf(symbol)}`;
        edits.push([node.getStart(file), node.qualifier.getEnd(), name]);
        node.typeArguments?.forEach(visit);
      } else if (ts.isIdentifier(node)) {
        const symbol = this.#ownSymbolOf(node);
        if (symbol) replace(node, this.#nameOf(symbol));
      } else ts.forEachChild(node, visit);
    };
    visit(statement);
    let code = file.text.slice(start, statement.getEnd());
    for (const [from, to, by] of edits.sort(([a], [b]) => b - a)) {
      code = code.slice(0, from - start) + by + code.slice(to - start);
    }
    return { comment, code };
  }

  /** What a name stands for, if that is declared at the top of a module of the library. */
  #ownSymbolOf(identifier) {
    const found = this.#checker.getSymbolAtLocation(identifier);
    return found && this.#ownOf(this.#resolved(found), identifier.text);
  }

  #ownOf(symbol, text) {
    const [declaration] = symbol.declarations ?? [];
    const file = declaration?.getSourceFile();
    if (!file || this.program.isSourceFileDefaultLibrary(file)) return null;
    const { fileName } = file;
    if (!path.resolve(fileName).startsWith(lib))
      throw new Error(`the API shows ${text} of ${fileName}`);
    return statementOf(declaration).parent === file ? symbol : null;
  }

  #isOfZod(node) {
    return /^z\./.test(node.typeName.getText());
  }

  /** The type of a reference to zod as TypeScript understands it. */
  #spelledOut(node, name) {
    const type = this.#checker.getTypeFromTypeNode(node);
    const flags =
      ts.NodeBuilderFlags.NoTruncation |
      ts.NodeBuilderFlags.InTypeAlias |
      ts.NodeBuilderFlags.MultilineObjectLiterals;
    const spelled = this.#checker.typeToTypeNode(type, undefined, flags);
    const { transformed } = ts.transform(spelled, [
      (context) => (root) => {
        const visit = (part) => {
          if (ts.isIdentifier(part) && part.symbol) {
            const symbol = this.#ownOf(this.#resolved(part.symbol), part.text);
            return symbol ? ts.factory.createIdentifier(this.#nameOf(symbol)) : part;
          }
          return ts.visitEachChild(part, visit, context);
        };
        return visit(root);
      },
    ]);
    const shown = name.endsWith('Options') ? withHelp(transformed[0], name) : transformed[0];
    return this.#printer.printNode(ts.EmitHint.Unspecified, shown, node.getSourceFile());
  }
}

/** What stands at the top of a module. */
function statementOf(declaration) {
  return ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration;
}

/** The options of a type as they are declared, in that order. */
function withHelp(type, name) {
  if (!OPTIONS_OF[name]) throw new Error(`where are the options of ${name} declared?`);
  const [module, constant] = OPTIONS_OF[name];
  const options = require(path.join(lib, module))[constant];
  const order = Object.keys(options);
  const keyOf = (member) => member.name.text;
  for (const member of type.members) {
    const option = options[keyOf(member)];
    if (!option) throw new Error(`${name} has ${keyOf(member)}, which ${constant} has not`);
    const comment = `* ${hoverText(option)} `;
    ts.addSyntheticLeadingComment(member, ts.SyntaxKind.MultiLineCommentTrivia, comment, true);
  }
  return ts.factory.createTypeLiteralNode(
    type.members.toSorted((a, b) => order.indexOf(keyOf(a)) - order.indexOf(keyOf(b))),
  );
}

/** Its help in the library's words, and its default. */
function hoverText({ help, takes, otherwise, default: fixed }) {
  const { worded } = require(path.join(lib, 'wording'));
  const said = takes.off ? `false: ${help}` : help;
  const value = otherwise ?? (typeof fixed === 'function' ? fixed() : fixed);
  const text = value === undefined ? said : `${said}. Default: ${value}`;
  return worded(text).replaceAll('*/', '* /');
}

module.exports = { bundleDeclarations };
