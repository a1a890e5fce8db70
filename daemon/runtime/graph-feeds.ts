import { type ElementArray, elementsFromBytes } from '../core/element-arrays.js';
import { HildaError } from '../core/errors.js';
import type { Graph, Tensor, ValueInfo } from '../network/graph.js';
import { isElementType } from './element-types.js';
import type { ElementData, Filling, InputFeed } from './messages.js';

/**
 * What timed runs of a network are fed with: its inputs in the sizes they are bound to, filled as its user chose. Throws
 * NETWORK_REJECTED for an input that is no tensor, SHAPE_UNKNOWN for an open dimension, REQUEST_INVALID for elements of
 * another type than the input's.
 */
export function graphFeeds({ inputs, overridable = [], initializers, feeds }: Graph): readonly InputFeed[] {
  // A constant that a caller may replace stays as it is unless the user replaces it.
  const replaced = overridable
    .filter(({ name }) => feeds?.has(name))
    .map((input): ValueInfo => ({ ...input, ...typeOf(initializers.get(input.name) as Tensor) }));
  const fed = [...inputs, ...replaced];
  return fed.map(({ name, dtype, dims, container, unranked }): InputFeed => {
    if (container)
      throw new HildaError('NETWORK_REJECTED', `the input ${name} is of the kind ${container}`, {
        hint: 'Only tensors can be fed: give the network inputs that are tensors.',
        details: { input: name },
      });
    const open = unranked ? 'whole shape' : dims.find((dim) => typeof dim !== 'number');
    if (open !== undefined)
      throw new HildaError('SHAPE_UNKNOWN', `the input ${name} leaves its ${open ?? 'size'} open`, {
        hint: `Give it with --shape ${name}=SIZE,SIZE,… or --dim NAME=SIZE.`,
        details: { input: name },
      });
    if (!isElementType(dtype))
      throw new HildaError('NETWORK_REJECTED', `the input ${name} has the type ${dtype}`, {
        hint: "onnxruntime's binding for Node takes no tensors of this type.",
        details: { input: name },
      });
    const feed = feeds?.get(name);
    return { name, type: dtype, dims: dims as readonly number[], ...(feed && { filling: fillingOf(feed) }) };

    function fillingOf(chosen: NonNullable<typeof feed>): Filling {
      if (!('data' in chosen)) return chosen;
      const fits = chosen.dtype === dtype && chosen.dims.join() === dims.join();
      if (fits) return { data: elementsIn(chosen) };
      throw new HildaError(
        'REQUEST_INVALID',
        `the input ${name} takes ${dtype} [${dims}], ${chosen.dtype} [${chosen.dims}] was given`,
      );
    }
  });
}

const typeOf = ({ dtype, dims }: Tensor): Pick<Tensor, 'dtype' | 'dims'> => ({ dtype, dims });

const elementsIn = (tensor: Tensor): ElementData =>
  tensor.strings
    ? tensor.strings.map((text) => new TextDecoder().decode(text))
    : (elementsFromBytes(tensor.dtype, tensor.data) as ElementArray);
