import { formatBlockKey } from '../../../predict/tables/block-key.js';
import type { Block } from '../contract.js';
import type { MbconvFile } from './file.js';

interface ChosenLayer {
  readonly name: string;
  readonly inWidth: number;
  readonly width: number;
  readonly stride: number;
  readonly inDims: readonly [number, number];
  readonly choice: { readonly kernel: number; readonly expansion: number } | 'skip';
  readonly choiceName: string;
}

/** Keys as ProxylessNAS writes them; a layer that is left out has no block, and costs nothing. */
export function mbconvBlocks(file: MbconvFile, layers: readonly ChosenLayer[]): Block[] {
  const halve = ([h, w]: readonly [number, number], stride: number): [number, number] => [
    Math.ceil(h / stride),
    Math.ceil(w / stride),
  ];
  const image: [number, number] = [file.input[1], file.input[2]];
  const afterStem = halve(image, file.stem.stride);
  const ends = layers.at(-1);
  const last = ends ? halve(ends.inDims, ends.stride) : afterStem;
  const lastWidth = ends?.width ?? file.firstWidth;
  const fixed = (prefix: string, key: string): Block => ({ prefix, key, layer: null, choice: null });
  return [
    fixed(
      'stem.',
      formatBlockKey({
        type: 'Conv',
        input: [...image, file.input[0]],
        output: [...afterStem, file.stem.width],
      }),
    ),
    fixed(
      'first.',
      formatBlockKey({
        type: 'expanded_conv',
        input: [...afterStem, file.stem.width],
        output: [...afterStem, file.firstWidth],
        block: { expand: 1, kernel: 3, stride: 1, idskip: 0 },
      }),
    ),
    ...layers.flatMap((layer, i): Block[] => {
      const { name, inWidth, width, stride, inDims, choice, choiceName } = layer;
      if (choice === 'skip') return [];
      const key = formatBlockKey({
        type: 'expanded_conv',
        input: [...inDims, inWidth],
        output: [...halve(inDims, stride), width],
        block: {
          expand: choice.expansion,
          kernel: choice.kernel,
          stride,
          idskip: stride === 1 && inWidth === width ? 1 : 0,
        },
      });
      return [{ prefix: `${name}.`, key, layer: i, choice: choiceName }];
    }),
    fixed(
      'head.',
      formatBlockKey({ type: 'Conv_1', input: [...last, lastWidth], output: [...last, file.headWidth] }),
    ),
    fixed(
      'classifier.',
      formatBlockKey({ type: 'Logits', input: [...last, file.headWidth], output: [file.classes] }),
    ),
  ];
}
