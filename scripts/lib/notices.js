// THIRD-PARTY-NOTICES.txt and sbom.cdx.json (CycloneDX) of all that a package carries. npm knows the packages that are
// installed beside it; what is linked or bundled into its files stands here.
const fs = require('node:fs');
const path = require('node:path');
const { npm } = require('./npm.js');
const { at, modules } = require('./paths.js');
const { SetupError } = require('./setup-error.js');
const { OPENBLAS, ensureOpenblas, ensureWheels } = require('./wheels.js');

const packageOf = (name) =>
  JSON.parse(fs.readFileSync(path.join(modules, name, 'package.json'), 'utf8'));

/** A package of npm whose code is in ours: where, and the files of its licence. */
function bundled(name, where, ...licences) {
  const { version, license } = packageOf(name);
  return {
    name,
    version,
    license,
    purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
    where,
    texts: licences.map((file) => path.join(modules, name, file)),
  };
}

/** The wheel's own licence file covers OpenBLAS, LAPACK, libgfortran and libquadmath, in files of their own or in its. */
function openblas(system) {
  const { name, version } = OPENBLAS;
  const folder = ensureOpenblas(system);
  const info = fs.readdirSync(folder).find((entry) => entry.endsWith('.dist-info'));
  return {
    name,
    version,
    license: 'BSD-3-Clause AND GPL-3.0-with-GCC-exception AND LGPL-2.1-or-later',
    purl: `pkg:pypi/${name}@${version}`,
    where: 'libscipy_openblas, libgfortran, libquadmath',
    texts: [path.join(folder, info, 'licenses', 'LICENSE.txt')],
  };
}

function mingw() {
  return {
    name: 'mingw-w64',
    version: '10.0',
    license: 'ZPL-2.1 AND MIT AND BSD-3-Clause',
    purl: 'pkg:generic/mingw-w64@10.0',
    where: 'linked into the addon: the runtime and winpthreads',
    texts: [at('packages', 'platform', 'mingw-w64.txt')],
  };
}

/** What comes along with the compiler that builds for macOS elsewhere. */
function libcxx() {
  return {
    name: 'libc++',
    version: '22',
    license: 'Apache-2.0 WITH LLVM-exception',
    purl: 'pkg:generic/libc%2B%2B@22',
    where: 'linked into the addon',
    texts: [path.join(ensureWheels('ziglang'), 'ziglang', 'lib', 'libcxx', 'LICENSE.TXT')],
  };
}

function libstdcxx() {
  return {
    name: 'libstdc++',
    version: '12',
    license: 'GPL-3.0-with-GCC-exception',
    purl: 'pkg:generic/libstdc%2B%2B@12',
    where: 'linked into the addon, with libgcc; licence as that of libgfortran above',
    texts: [],
  };
}

/** Of a package with the addon. */
function carriedByPlatform(system) {
  const compiled = 'compiled into the addon';
  return [
    // Where the wheel has none of it, the build took a BLAS of its machine.
    ...(system in OPENBLAS.systems ? [openblas(system)] : []),
    system.startsWith('darwin') ? libcxx() : libstdcxx(),
    ...(system.startsWith('win32') ? [mingw()] : []),
    bundled('@nozbe/simdjson', compiled, 'LICENSE'),
    bundled('node-addon-api', compiled, 'LICENSE.md'),
    bundled('node-api-headers', compiled, 'LICENSE'),
  ];
}

/** Of struprune-native itself. */
function carriedByMain() {
  const charts = 'dist/lib/report/charts/echarts.js';
  return [
    bundled('echarts', charts, 'LICENSE', 'NOTICE', 'licenses/LICENSE-d3'),
    bundled('zrender', charts, 'LICENSE'),
    bundled('tslib', charts, 'LICENSE.txt'),
    {
      name: 'texts',
      version: '1',
      license: 'LicenseRef-public-domain AND BSD-3-Clause AND MIT',
      purl: 'pkg:generic/struprune-native-texts@1',
      where: 'assets/text, and what assets/tiny* were trained on',
      texts: ['NOTICE.md', 'LICENSES.txt'].map((name) => at('assets', 'text', name)),
    },
  ];
}

function writeNotices(folder, parts) {
  const rule = '='.repeat(100);
  const sections = parts.map(({ name, version, license, where, texts }) =>
    [rule, `${name} ${version} (${license})`, where, rule]
      .concat(texts.map((file) => fs.readFileSync(file, 'utf8').trim()))
      .join('\n'),
  );
  fs.writeFileSync(path.join(folder, 'THIRD-PARTY-NOTICES.txt'), `${sections.join('\n\n')}\n`);
}

function componentOf({ name, version, license, purl, where }) {
  const isExpression = / AND |LicenseRef-|with/i.test(license);
  return {
    'bom-ref': purl,
    type: 'library',
    name,
    version,
    purl,
    licenses: isExpression ? [{ license: { name: license } }] : [{ license: { id: license } }],
    properties: [{ name: 'struprune:carried-in', value: where }],
  };
}

/** What npm installs beside the package; `--omit dev` would also leave out what a development tool needs too. */
function keepInstalled(bom) {
  const { dependencies } = JSON.parse(fs.readFileSync(at('package.json'), 'utf8'));
  const dependsOn = new Map(bom.dependencies.map((entry) => [entry.ref, entry.dependsOn ?? []]));
  const queue = Object.entries(dependencies).map(([name, version]) => `${name}@${version}`);
  const kept = new Set();
  for (let ref = queue.pop(); ref !== undefined; ref = queue.pop()) {
    if (!kept.has(ref)) queue.push(...dependsOn.get(ref));
    kept.add(ref);
  }
  const root = bom.metadata.component['bom-ref'];
  bom.components = bom.components.filter((component) => kept.has(component['bom-ref']));
  bom.dependencies = bom.dependencies.filter(({ ref }) => kept.has(ref));
  bom.dependencies.push({ ref: root, dependsOn: [...kept] });
  return bom;
}

/** What npm installs with struprune-native. */
function installedBom() {
  const args = ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only'];
  const { status, output } = npm(args, { capture: 'stdout' });
  if (status !== 0) throw new SetupError('npm sbom failed', 'use npm 10 or newer', output);
  return keepInstalled(JSON.parse(output));
}

/** That of a package with which npm installs nothing. */
function bomOf({ name, version, license }) {
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      component: {
        'bom-ref': purl,
        type: 'library',
        name,
        version,
        purl,
        licenses: [{ license: { id: license } }],
      },
    },
    components: [],
    dependencies: [{ ref: purl, dependsOn: [] }],
  };
}

function writeSbom(folder, bom, parts) {
  const components = parts.map(componentOf);
  bom.components.push(...components);
  const own = bom.dependencies.at(-1);
  own.dependsOn.push(...components.map((component) => component['bom-ref']));
  bom.dependencies.push(
    ...components.map((component) => ({ ref: component['bom-ref'], dependsOn: [] })),
  );
  fs.writeFileSync(path.join(folder, 'sbom.cdx.json'), `${JSON.stringify(bom, null, 2)}\n`);
}

/** Into a folder that is published as struprune-native. */
function writeMainNotices(folder) {
  writeNotices(folder, carriedByMain());
  writeSbom(folder, installedBom(), carriedByMain());
}

/** Into a folder that is published with a system's addon; `manifest` is its package.json. */
function writePlatformNotices(folder, system, manifest) {
  const parts = carriedByPlatform(system);
  writeNotices(folder, parts);
  writeSbom(folder, bomOf(manifest), parts);
}

module.exports = { writeMainNotices, writePlatformNotices };
