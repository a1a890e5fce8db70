import type { Rule } from '../step.js';
import { activationRules } from './activation.js';
import { arithmeticRules } from './arithmetic.js';
import { batchingRules } from './batching.js';
import { convolutionRules } from './convolution.js';
import { indexingRules } from './indexing.js';
import { poolingRules } from './pooling.js';
import { recurrentRules } from './recurrent.js';
import { reducingRules } from './reducing.js';
import { resizingRules } from './resizing.js';
import { shapingRules } from './shaping.js';
import { slicingRules } from './slicing.js';
import { svdfRules } from './svdf.js';

/** Every operator that can be converted, by its name. */
export const rules: ReadonlyMap<string, Rule> = new Map(
  [
    activationRules,
    arithmeticRules,
    batchingRules,
    convolutionRules,
    indexingRules,
    poolingRules,
    recurrentRules,
    reducingRules,
    resizingRules,
    shapingRules,
    slicingRules,
    svdfRules,
  ].flatMap((family) => Object.entries(family)),
);
