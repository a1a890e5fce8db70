import { HildaError } from '../../core/errors.js';

/**
 * One block of a network in the key grammar that ProxylessNAS's and Once-for-all's tables share:
 * `<type>-input:HxWxC-output:HxWxC[-expand:e-kernel:k-stride:s-idskip:0|1][-se:0|1-hs:0|1]`. Once-for-all writes an output
 * of features alone as one number, and means the middle channels by `expand`; ProxylessNAS means the ratio.
 */
export interface BlockKey {
  readonly type: string;
  readonly input: readonly number[];
  readonly output: readonly number[];
  readonly block?: {
    readonly expand: number;
    readonly kernel: number;
    readonly stride: number;
    readonly idskip: 0 | 1;
    readonly se?: 0 | 1;
    readonly hs?: 0 | 1;
  };
}

const size = String.raw`\d+(?:x\d+){0,2}`;
const grammar = new RegExp(
  `^(?<type>[A-Za-z][A-Za-z0-9_]*)-input:(?<input>${size})-output:(?<output>${size})` +
    String.raw`(?:-expand:(?<expand>\d+)-kernel:(?<kernel>\d+)-stride:(?<stride>\d+)-idskip:(?<idskip>[01])(?:-se:(?<se>[01])-hs:(?<hs>[01]))?)?$`,
);

/** Throws TABLE_INVALID. */
export function parseBlockKey(text: string): BlockKey {
  const parts = grammar.exec(text)?.groups;
  if (!parts) {
    throw new HildaError('TABLE_INVALID', `${text} is no key of a block table`, {
      hint: 'For example: expanded_conv-input:112x112x16-output:56x56x24-expand:3-kernel:5-stride:2-idskip:0',
    });
  }
  const numbers = (list: string): number[] => list.split('x').map(Number);
  const bit = (value: string | undefined): 0 | 1 => (value === '1' ? 1 : 0);
  return {
    type: parts.type as string,
    input: numbers(parts.input as string),
    output: numbers(parts.output as string),
    ...(parts.expand !== undefined && {
      block: {
        expand: Number(parts.expand),
        kernel: Number(parts.kernel),
        stride: Number(parts.stride),
        idskip: bit(parts.idskip),
        ...(parts.se !== undefined && { se: bit(parts.se), hs: bit(parts.hs) }),
      },
    }),
  };
}

export function formatBlockKey({ type, input, output, block }: BlockKey): string {
  const head = `${type}-input:${input.join('x')}-output:${output.join('x')}`;
  if (!block) return head;
  const { expand, kernel, stride, idskip, se, hs } = block;
  const tail = se === undefined ? '' : `-se:${se}-hs:${hs ?? 0}`;
  return `${head}-expand:${expand}-kernel:${kernel}-stride:${stride}-idskip:${idskip}${tail}`;
}
