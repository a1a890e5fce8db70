import { intAttribute, intsAttribute, invalid, known, type Rule, rules } from './rule.js';

/** Reading images at computed places. */

/** Positions [n, ..., axes] in an image [n, c, ...]. */
const gridSample: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const grid = input.shape(1).dims;
  if (grid.length !== dims.length || grid.at(-1) !== dims.length - 2 || grid[0] !== dims[0])
    throw invalid(input, `the grid [${grid}] does not fit [${dims}]`);
  return [{ dtype, dims: [...dims.slice(0, 2), ...grid.slice(1, -1)] }];
};

const affineGrid: Rule = (input) => {
  const sizes = known(input, 1, 'size');
  if (sizes.length !== 4 && sizes.length !== 5) throw invalid(input, `the size [${sizes}] is no image's`);
  return [{ dtype: input.shape(0).dtype, dims: [sizes[0] as number, ...sizes.slice(2), sizes.length - 2] }];
};

const roiAlign: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const rows = input.shape(1).dims[0];
  if (dims.length !== 4 || rows === undefined) throw invalid(input, `regions of [${dims}] are no images`);
  const [height, width] = [
    intAttribute(input.node, 'output_height', 1),
    intAttribute(input.node, 'output_width', 1),
  ];
  return [{ dtype, dims: [rows, dims[1] as number, height, width] }];
};

const maxRoiPool: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const rows = input.shape(1).dims[0];
  const pooled = intsAttribute(input.node, 'pooled_shape');
  if (dims.length !== 4 || rows === undefined || pooled?.length !== 2)
    throw invalid(input, `pooled_shape [${pooled ?? ''}] does not fit [${dims}]`);
  return [{ dtype, dims: [rows, dims[1] as number, ...pooled] }];
};

export const imageRules = [
  ...rules(16, 'GridSample', gridSample),
  ...rules(20, 'AffineGrid', affineGrid),
  ...rules(10, 'RoiAlign', roiAlign),
  ...rules(1, 'MaxRoiPool', maxRoiPool),
];
