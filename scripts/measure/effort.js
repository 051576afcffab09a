// npm run measure -- effort: what a prune takes by its plan, from models' shapes alone: hours at three rates of products, by
// --effort, and the smallest --memory. With --ranks: how many times as fast ranks are that share it (docs/scale-out.md), by what a rank can send.
// The checkpoints have headers and no weights.
const {
  mkdtempSync,
  rmSync,
  mkdirSync,
  copyFileSync,
  writeFileSync,
  openSync,
  writeSync,
  ftruncateSync,
  closeSync,
} = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const ROOT = path.resolve(__dirname, '..', '..');
const lib = (name) => require(path.join(ROOT, 'dist', 'lib', name));
const { plan } = lib('plan');
const { architectureFromConfig } = lib('model/from-config');
const { familyNamed } = lib('model/families');
const { fileTensors } = lib('model/file-tensors');
const { modelShapes } = lib('model/axes');
const { MODEL_ROLES } = lib('model/architecture');
const { EFFORTS } = lib('options/effort');
const { workOf } = lib('models/decoders/plan');
const { SHAPES } = lib('bench/memory/shapes');

const LLAMA = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_act: 'silu',
  max_position_embeddings: 8192,
  rms_norm_eps: 1e-5,
  vocab_size: 128256,
  tie_word_embeddings: false,
};
const shape = (hidden, ffn, blocks, heads, kv, more = {}) => ({
  ...LLAMA,
  hidden_size: hidden,
  intermediate_size: ffn,
  num_hidden_layers: blocks,
  num_attention_heads: heads,
  num_key_value_heads: kv,
  ...more,
});
const MODELS = {
  'SmolLM2-135M': shape(576, 1536, 30, 9, 3, { vocab_size: 49152, tie_word_embeddings: true }),
  'Llama-3.2-1B': shape(2048, 8192, 16, 32, 8, { tie_word_embeddings: true, head_dim: 64 }),
  'Llama-3.1-8B': shape(4096, 14336, 32, 32, 8),
  'Llama-3.3-70B': shape(8192, 28672, 80, 64, 8),
};
const experts = (name, blocks) => ({
  ...SHAPES.find((one) => one.name === name).config,
  num_hidden_layers: blocks,
});
/** Not of what ranks share. */
const MIXTURES = {
  'Mixtral-8x7B': experts('mixtral-8x7b', 32),
  'Qwen3-30B-A3B': experts('qwen3-30b-a3b', 48),
};
/** GFLOP/s of products that `devices` measures: two cores with AVX-512, a desktop, a server with AMX. */
const RATES = [150, 600, 5000];
const SPARSITY = 0.2;

function writeHeaders(folder, config) {
  mkdirSync(folder);
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
    copyFileSync(path.join(ROOT, 'assets', 'tiny', name), path.join(folder, name));
  }
  const architecture = architectureFromConfig(config, folder);
  const { names } = familyNamed(architecture.family).hf;
  const shapes = modelShapes(architecture);
  const tensors = [
    ...MODEL_ROLES.flatMap((role) =>
      shapes[role] ? [{ name: names.model[role], shape: shapes[role] }] : [],
    ),
    ...architecture.blocks.flatMap((_, block) => fileTensors(architecture, names, block)),
  ];
  let at = 0;
  const header = {};
  for (const { name, shape: dims } of tensors) {
    const bytes = 2 * dims.reduce((a, b) => a * b, 1);
    header[name] = { dtype: 'F16', shape: dims, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const file = openSync(path.join(folder, 'model.safetensors'), 'w');
  writeSync(file, Buffer.concat([length, text]));
  ftruncateSync(file, 8 + text.length + at);
  closeSync(file);
}

const RANKS = [2, 4, 8, 16];
/** Gbit/s. */
const NETWORKS = [10, 25, 100];
/** GFLOP/s of a rank. */
const RANK_RATE = 5000;

const duration = (hours) =>
  hours < 1 ? `${Math.ceil(hours * 60)} min` : `${hours.toFixed(hours < 10 ? 1 : 0)} h`;

async function printEfforts(folder, name) {
  for (const effort of EFFORTS) {
    const { stages, smallestMemory } = await plan(folder, { sparsity: SPARSITY, effort });
    const work = stages.reduce((sum, { flops }) => sum + workOf(flops), 0);
    const hours = RATES.map((rate) => duration(work / (rate * 1e9) / 3600));
    console.log(
      `| ${name} | ${effort} | ${hours.join(' | ')} | ${Math.ceil(smallestMemory / 2 ** 20)} MiB |`,
    );
  }
}

async function printRanks(folder, name) {
  const columns = [];
  let alone = 0;
  for (const ranks of RANKS) {
    const { stages, ranks: team } = await plan(folder, { sparsity: SPARSITY, ranks });
    const hours = ({ flops }) => workOf(flops) / (RANK_RATE * 1e9) / 3600;
    const taken = (one) => hours(one) * ((team[one.stage] ?? one.seconds) / one.seconds);
    const sum = (each) => stages.reduce((total, one) => total + each(one), 0);
    alone = sum(hours);
    const solve = stages.find(({ stage }) => stage === 'solve');
    const gigabits = (8 * (team.sent[0] + team.sent.at(-1))) / 1e9;
    columns.push(
      NETWORKS.map((network) => {
        // Where their way takes longer than what it saves, rank 0 solves alone.
        const saved = hours(solve) - taken(solve) - gigabits / network / 3600;
        return alone / (sum(taken) + gigabits / network / 3600 + Math.min(0, saved));
      }),
    );
  }
  NETWORKS.forEach((network, i) => {
    const cells = columns.map((column) => column[i].toFixed(2));
    console.log(`| ${name} | ${duration(alone)} | ${network} | ${cells.join(' | ')} |`);
  });
}

const HEADS = {
  efforts: ['', 'effort', ...RATES.map((rate) => `${rate} GFLOP/s`), 'smallest --memory'],
  ranks: ['', '1 rank', 'Gbit/s', ...RANKS.map((ranks) => `${ranks} ranks`)],
};

async function main() {
  const isRanks = process.argv.includes('--ranks');
  const head = isRanks ? HEADS.ranks : HEADS.efforts;
  const work = mkdtempSync(path.join(os.tmpdir(), 'struprune-effort-'));
  try {
    console.log(`| ${head.join(' | ')} |\n|${head.map(() => '---').join('|')}|`);
    for (const [name, config] of Object.entries({ ...MODELS, ...(!isRanks && MIXTURES) })) {
      const folder = path.join(work, name);
      writeHeaders(folder, config);
      await (isRanks ? printRanks : printEfforts)(folder, name);
    }
  } finally {
    rmSync(work, { recursive: true });
  }
}

main();
