import {
  axisOf,
  intAttribute,
  intsAttribute,
  invalid,
  known,
  ownAttribute,
  type Rule,
  rules,
  stringAttribute,
  unknownShape,
} from './rule.js';

/** Fourier transforms, text as vectors, and losses. */

/** Length of a spectrum; one-sided it stops at half the sampling rate. */
const spectrum = (length: number, oneSided: boolean): number =>
  oneSided ? Math.floor(length / 2) + 1 : length;

/** The last axis is real (1) or complex (2). The axis is an attribute in opset 17 and input 2 from opset 20. */
const dft: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const given =
    input.opset < 20
      ? intAttribute(input.node, 'axis', 1)
      : input.has(2)
        ? (known(input, 2, 'axis')[0] as number)
        : -2;
  const axis = axisOf(input, given, dims.length);
  if (axis === dims.length - 1) throw invalid(input, 'the last axis holds real and imaginary parts');
  const length = input.has(1) ? (known(input, 1, 'dft_length')[0] as number) : (dims[axis] as number);
  const oneSided = intAttribute(input.node, 'onesided', 0) === 1;
  if (oneSided && intAttribute(input.node, 'inverse', 0) === 1)
    throw unknownShape(input, 'onesided and inverse together: runtimes differ in what they give');
  const out = dims.map((size, i) =>
    i === axis ? spectrum(length, oneSided) : i === dims.length - 1 ? 2 : size,
  );
  return [{ dtype, dims: out }];
};

/** The frame is as long as `frame_length` (input 3) says, else as the window (input 2), else as the signal. */
const stft: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const step = known(input, 1, 'frame_step')[0] as number;
  const [batch, signal] = dims as [number, number];
  const frame = input.has(3)
    ? (known(input, 3, 'frame_length')[0] as number)
    : input.has(2)
      ? (input.shape(2).dims[0] as number)
      : signal;
  if (!(step > 0) || !(frame > 0) || frame > signal)
    throw invalid(input, `frames of ${frame} every ${step} do not fit a signal of ${signal}`);
  const oneSided = intAttribute(input.node, 'onesided', 1) === 1;
  return [{ dtype, dims: [batch, Math.floor((signal - frame) / step) + 1, spectrum(frame, oneSided), 2] }];
};

const tfIdf: Rule = (input) => {
  const { dims } = input.shape(0);
  const indexes = intsAttribute(input.node, 'ngram_indexes') ?? [];
  if (indexes.length === 0 || dims.length > 2)
    throw invalid(input, 'needs ngram_indexes and one or two axes');
  return [{ dtype: 'float32', dims: [...dims.slice(0, -1), Math.max(...indexes) + 1] }];
};

/** Without stop words the strings stay as many. */
const stringNormalizer: Rule = (input) => {
  const stopwords = ownAttribute(input.node, 'stopwords');
  if (Array.isArray(stopwords) && stopwords.length > 0)
    throw unknownShape(input, 'the shape of its output follows from the strings and its stop words');
  return [{ dtype: 'string', dims: input.shape(0).dims }];
};

/** A loss for each target, or one for all (`reduction` mean or sum). */
const loss: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const reduction = stringAttribute(input.node, 'reduction', 'mean');
  if (!['none', 'mean', 'sum'].includes(reduction))
    throw invalid(input, `the reduction ${reduction} does not exist`);
  const reduced = { dtype, dims: reduction === 'none' ? input.shape(1).dims : [] };
  return [reduced, { dtype, dims }];
};

export const signalRules = [
  ...rules(17, 'DFT', dft),
  ...rules(17, 'STFT', stft),
  ...rules(9, 'TfIdfVectorizer', tfIdf),
  ...rules(10, 'StringNormalizer', stringNormalizer),
  ...rules(12, 'NegativeLogLikelihoodLoss', (input) => loss(input).slice(0, 1)),
  ...rules(12, 'SoftmaxCrossEntropyLoss', loss),
];
