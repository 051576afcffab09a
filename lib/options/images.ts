/** How images of a folder become samples of a graph. */
import { choice, dimensions, numbers } from './kinds';
import { declare } from './option';

/** Of what only graphs read. */
export const ofGraph = ({ isGraph }: { isGraph: boolean }) =>
  isGraph ? null : 'with a language model';

export const FITS = ['crop', 'pad', 'stretch'] as const;
export type Fit = (typeof FITS)[number];

/** Values between 0 and 1 are normalised so: subtracted and divided by, for each of red, green and blue or for all. */
export const PRESETS = {
  /** torchvision's. */
  imagenet: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  /** OpenAI's. */
  clip: {
    mean: [0.48145466, 0.4578275, 0.40821073],
    std: [0.26862954, 0.26130258, 0.27577711],
  },
  /** From -1 to 1, as Inception and TensorFlow's MobileNets have them. */
  inception: { mean: [0.5], std: [0.5] },
  /** From 0 to 1. */
  unit: { mean: [0], std: [1] },
} as const satisfies Record<string, { mean: readonly number[]; std: readonly number[] }>;

export type Preset = keyof typeof PRESETS;

const OWN = 'what preprocessor_config.json beside the graph says';

export const IMAGES = declare(
  { group: 'Images' },
  {
    imageSize: {
      takes: dimensions,
      help: 'height and width of the images in a folder that calibrates a graph: 224, or 480x640',
      otherwise: `what the graph states, or else ${OWN}`,
      changes: 'tokens',
      also: ['graph'],
      read: [ofGraph],
    },
    imageFit: {
      takes: choice(FITS),
      help: 'crop: the middle of what covers that size; pad: the whole image between black bars; stretch: the whole image without its proportions',
      otherwise: `${OWN}, or else crop`,
      changes: 'tokens',
      also: ['graph'],
      read: [ofGraph],
    },
    imagePreset: {
      takes: choice(Object.keys(PRESETS) as Preset[]),
      help: 'mean and standard deviation by name; inception gives values from -1 to 1, unit from 0 to 1',
      otherwise: `${OWN}, or else imagenet`,
      changes: 'tokens',
      also: ['graph'],
      read: [ofGraph],
    },
    imageMean: {
      takes: numbers,
      help: 'subtracted from values between 0 and 1, for each of red, green and blue or for all',
      otherwise: 'what --image-preset says',
      changes: 'tokens',
      also: ['graph'],
      read: [ofGraph],
    },
    imageStd: {
      takes: numbers,
      help: 'divides them after that; with --image-mean 0, 0.0039215686 gives values up to 255',
      otherwise: 'what --image-preset says',
      changes: 'tokens',
      also: ['graph'],
      read: [ofGraph],
    },
    imageChannels: {
      takes: choice(['rgb', 'bgr']),
      help: 'their order in the graph, as OpenCV has it or not',
      otherwise: 'rgb',
      changes: 'tokens',
      also: ['graph'],
      read: [ofGraph],
    },
  },
);

/** Their values, where they were given. */
export interface ImageSettings {
  imageSize?: string;
  imageFit?: Fit;
  imagePreset?: Preset;
  imageMean?: number[];
  imageStd?: number[];
  imageChannels?: 'rgb' | 'bgr';
}
