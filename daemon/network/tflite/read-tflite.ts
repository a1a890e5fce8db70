import { HildaError } from '../../core/errors.js';
import type { Graph } from '../graph.js';
import { keepTflite } from '../model-source.js';
import { Conversion } from './conversion.js';
import { invalid } from './invalid.js';
import { readTables, type TfliteModel } from './model.js';
import { convertDilated, findDilated } from './operators/batching.js';
import { rules } from './operators/rules.js';
import { optionNames } from './schema.js';
import { settleLayout } from './settle-layout.js';
import { type Rule, Step } from './step.js';

/**
 * Converts a TensorFlow Lite file to an ONNX network. Inputs and outputs keep names, shapes, order and element types;
 * inside, images lie channels first. Quantised tensors become QuantizeLinear and DequantizeLinear with the file's own scales.
 * Dimensions that the file leaves open have the sizes that it states. Throws TFLITE_INVALID, OPERATOR_UNSUPPORTED,
 * SHAPE_UNKNOWN, NETWORK_TOO_LARGE.
 */
export function readTflite(bytes: Uint8Array): Graph {
  try {
    const { graph, shapes } = convert(readTables(bytes));
    const settled = settleLayout(graph, shapes, { maxCopiedBytes: 16 * bytes.length + 2 ** 20 });
    return keepTflite({ ...settled, convertedFrom: 'TensorFlow Lite' }, bytes);
  } catch (error) {
    if (error instanceof HildaError) throw error;
    throw invalid('its contents contradict themselves', error);
  }
}

function convert(model: TfliteModel): ReturnType<Conversion['build']> {
  const conversion = new Conversion(model);
  if (model.outputs.length === 0) throw invalid('it has no output');
  const steps = model.operators.map((operator, i) => new Step(conversion, operator, i));
  const known = steps.map(admit);
  const dilated = findDilated(model);
  /** Operators around a dilated convolution, which convert with it or not at all. */
  const waiting = new Set([...dilated.values()].map(({ before }) => before));
  const done = new Set<number>();
  steps.forEach((step, i) => {
    const around = dilated.get(i);
    if (around) {
      const [first, last] = [steps[around.before] as Step, steps[around.behind] as Step];
      if (guarded(step, () => convertDilated(step, first, last))) {
        done.add(around.behind);
        return;
      }
      guarded(first, () => known[around.before]?.convert(first));
    }
    if (waiting.has(i) || done.has(i)) return;
    guarded(step, () => known[i]?.convert(step));
  });
  return conversion.build();
}

/** What ONNX's shape rules refuse is told by the operator of the file. */
function guarded<T>(step: Step, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof HildaError && error.code === 'ONNX_INVALID')
      throw invalid(`${step.label}: ${error.message}`, error);
    throw error;
  }
}

/** The rule of an operator, once its version, options and number of inputs are known to be covered. */
function admit(step: Step): Rule {
  const { name, version, inputs, outputs, optionsType, options } = step.operator;
  const rule = rules.get(name);
  if (!rule) return step.refuse('the operator is not supported');
  if (version < 1 || version > rule.newest) step.refuse(`only versions 1 to ${rule.newest} are supported`);
  const [least, most] = rule.inputs;
  if (inputs.length < least || inputs.length > most || outputs.length === 0)
    step.invalid(`it has ${inputs.length} inputs and ${outputs.length} outputs`);
  if (optionsType !== 0 && optionNames[optionsType] !== rule.options && rule.options !== 'none')
    step.invalid(`its options are of the type ${optionNames[optionsType] ?? optionsType}`);
  const unknown = Array.from({ length: options?.fields ?? 0 }, (_, field) => field).find(
    (field) => field >= rule.fields && options?.has(field),
  );
  if (unknown !== undefined) step.refuse(`option ${unknown} of ${rule.options} is not supported`);
  return rule;
}
