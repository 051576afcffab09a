/** What the addon is given of small models, as JSON: seeds of native/fuzz/specs_fuzz.cpp. */

const tensor = (name: string, ...shape: number[]) => ({
  name,
  file: 0,
  offset: 8,
  bytes: 4 * shape.reduce((product, length) => product * length, 1),
  dtype: 'F32',
  shape,
});
const STORED = {
  matrices: 'F32',
  vectors: 'F32',
  ends: null,
  asSource: ['ffn.up'],
  normOffset: 0,
  outputScale: 1,
  finalNormScale: 1,
};

const llama = {
  block: {
    hidden: 8,
    index: 1,
    sublayers: [
      {
        name: 'attention',
        mixer: {
          kind: 'attention',
          kvHeads: 1,
          queries: 2,
          headDim: 4,
          rope: {
            theta: 1e4,
            linearFactor: 2,
            llama3: { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 64 },
            dims: 2,
            longrope: { short: [1], long: [4], originalMaxPositions: 2, attentionFactor: 1.2 },
          },
          slidingWindow: 0,
          headNorm: { kind: 'rms', eps: 1e-6 },
          normJoinsHeads: false,
          cap: 50,
          sinks: true,
          gated: false,
        },
        norm: { kind: 'rms', eps: 1e-6 },
        streamNorm: null,
        input: 'kept',
      },
      {
        name: 'ffn',
        mixer: { kind: 'ffn', width: 6, activation: 'silu', gated: true },
        norm: { kind: 'rms', eps: 1e-6 },
        streamNorm: null,
        input: 'read',
      },
      {
        name: 'convolution',
        mixer: { kind: 'convolution', width: 8, kernel: 3 },
        norm: { kind: 'rms', eps: 1e-6 },
        streamNorm: null,
      },
      {
        name: 'delta',
        mixer: {
          ...{ kind: 'delta', keyHeads: 1, valueHeads: 2, keyDim: 4, valueDim: 4, kernel: 4 },
          eps: 1e-6,
        },
        norm: { kind: 'rms', eps: 1e-6 },
        streamNorm: null,
      },
    ],
  },
  tensors: {
    'convolution.kernel': tensor('c', 24),
    'delta.kernel': tensor('d', 64),
    'attention.norm': tensor('n', 8),
    'attention.q': { ...tensor('q', 8, 8), ropeHeads: 2 },
    'attention.k': { ...tensor('k', 4, 8), storedColumns: 4, step: 1, run: 2 },
    'ffn.gate': tensor('g', 6, 8),
    'ffn.up': { ...tensor('u', 6, 8), dtype: 'Q8_0', bytes: 12 },
    'ffn.out': {
      ...{ ...tensor('o', 8, 6), dtype: 'F8_E4M3', bytes: 48 },
      scales: {
        ...{ file: 0, offset: 8, bytes: 16, dtype: 'F32' },
        ...{ blockRows: 4, blockColumns: 4, row: 0 },
      },
    },
  },
  ends: {
    hidden: 8,
    vocab: 3,
    embeddingWidth: 8,
    positionOffset: 0,
    embeddingScale: 1,
    logitCap: 30,
    norm: { kind: 'rms', eps: 1e-6 },
    roles: ['embedding', 'finalNorm', 'head'],
    stored: STORED,
  },
  model: {
    embedding: tensor('e', 3, 8),
    finalNorm: tensor('f', 8),
    head: tensor('h', 3, 8),
  },
};

const opt = {
  block: {
    hidden: 4,
    index: 0,
    sublayers: [
      {
        name: 'ffn',
        mixer: { kind: 'ffn', width: 2, activation: 'relu', gated: false },
        norm: null,
        streamNorm: { kind: 'layer', eps: 1e-5 },
      },
    ],
  },
  tensors: { 'ffn.upBias': tensor('b', 2), 'ffn.streamNormBias': tensor('s', 4) },
  ends: {
    hidden: 4,
    vocab: 3,
    embeddingWidth: 2,
    positionOffset: 2,
    embeddingScale: 1,
    norm: { kind: 'layer', eps: 1e-5 },
    roles: ['embedding', 'positions', 'projectIn', 'projectOut'],
    stored: { ...STORED, asSource: [] },
  },
  model: {
    embedding: tensor('e', 3, 2),
    positions: tensor('p', 10, 4),
    projectIn: tensor('i', 4, 2),
    projectOut: tensor('o', 2, 4),
    finalNorm: tensor('f', 4),
    finalNormBias: tensor('c', 4),
  },
};

export const specs = { llama, opt };
