// node scripts/generate-onnx.js: lib/models/graphs/onnx/onnx_pb.ts from onnx.proto beside it. The generator is fetched into
// .deps once.
const fs = require('node:fs');
const path = require('node:path');
const { npm } = require('./lib/npm.js');
const { at, deps } = require('./lib/paths.js');
const { run } = require('./lib/process.js');
const { SetupError, runMain } = require('./lib/setup-error.js');

const GENERATOR = { '@bufbuild/buf': '1.75.0', '@bufbuild/protoc-gen-es': '2.17.0' };
const room = at('lib', 'models', 'graphs', 'onnx');

/** The folder of the generator's programs. */
function ensureGenerator() {
  const folder = path.join(deps, 'protobuf-generator');
  const programs = path.join(folder, 'node_modules', '.bin');
  if (fs.existsSync(path.join(programs, 'buf'))) return programs;
  fs.mkdirSync(folder, { recursive: true });
  const manifest = { private: true, dependencies: GENERATOR };
  fs.writeFileSync(path.join(folder, 'package.json'), JSON.stringify(manifest));
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund'];
  const { status, output } = npm(args, { cwd: folder });
  if (status !== 0) throw new SetupError('npm install failed', 'check the network', output);
  return programs;
}

runMain(() => {
  const programs = ensureGenerator();
  const opt = ['target=ts', 'import_extension=none'];
  const plugin = { local: path.join(programs, 'protoc-gen-es'), out: room, opt };
  const template = JSON.stringify({ version: 'v2', plugins: [plugin] });
  const args = ['generate', '--template', template, room];
  run(path.join(programs, 'buf'), args, { what: 'buf generate' });
});
