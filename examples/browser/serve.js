// node serve.js DENSE.onnx PRUNED.onnx [LABEL,LABEL,…]: a page that runs both. PORT says where; ORT_WEB is the folder of
// onnxruntime-web's files, where it is not installed here.
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');

const [dense, pruned, labels = ''] = process.argv.slice(2);
if (!pruned) {
  console.error('usage: node serve.js DENSE.onnx PRUNED.onnx [LABEL,LABEL,…]');
  process.exit(2);
}
const ort = process.env.ORT_WEB ?? path.join(__dirname, 'node_modules', 'onnxruntime-web', 'dist');
const page = (name) => path.join(__dirname, name);
const FILES = {
  '/': page('index.html'),
  '/page.css': page('page.css'),
  '/page.js': page('page.js'),
  '/dense.onnx': dense,
  '/pruned.onnx': pruned,
};
const TYPES = {
  ...{ '.css': 'text/css', '.html': 'text/html; charset=utf-8', '.wasm': 'application/wasm' },
  ...{ '.js': 'text/javascript', '.mjs': 'text/javascript' },
};
// WebAssembly has threads only where the page is isolated from other sites.
const ISOLATED = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

const server = http.createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  if (pathname === '/labels.json') {
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(labels.split(',').filter(Boolean)));
    return;
  }
  const inside = pathname.startsWith('/ort/') && path.join(ort, path.basename(pathname));
  const file = inside || FILES[pathname];
  if (!file || !fs.existsSync(file)) {
    response.writeHead(404).end();
    return;
  }
  const type = TYPES[path.extname(file)] ?? 'application/octet-stream';
  response.writeHead(200, { 'Content-Type': type, ...ISOLATED });
  fs.createReadStream(file).pipe(response);
});
server.listen(Number(process.env.PORT ?? 8080), '127.0.0.1', () => {
  console.log(`http://localhost:${server.address().port}/`);
});
