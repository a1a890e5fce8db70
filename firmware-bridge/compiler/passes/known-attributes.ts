import type { Graph, Node } from '../../../daemon/network/graph.js';
import { unsupported } from '../unsupported.js';

const reduce = 'axes keepdims noop_with_empty_axes';
const recurrent = 'activation_alpha activation_beta activations clip direction hidden_size layout';
const window = 'auto_pad dilations kernel_shape pads strides';

/**
 * The attributes that the passes and rules of this compiler read, or that change nothing it computes, over all operator
 * sets (ONNX operator specification). One that is not here would be ignored, so its node is refused.
 */
const known: ReadonlyMap<string, string> = new Map(
  Object.entries({
    Abs: '',
    Acos: '',
    Acosh: '',
    Add: '',
    And: '',
    ArgMax: 'axis keepdims select_last_index',
    ArgMin: 'axis keepdims select_last_index',
    Asin: '',
    Asinh: '',
    Atan: '',
    Atanh: '',
    AveragePool: `${window} ceil_mode count_include_pad`,
    BatchNormalization: 'epsilon momentum spatial training_mode is_test',
    Cast: 'to saturate',
    Ceil: '',
    Celu: 'alpha',
    Clip: 'min max',
    Concat: 'axis',
    ConstantOfShape: 'value',
    Conv: `${window} group`,
    ConvTranspose: `${window} group output_padding output_shape`,
    Cos: '',
    Cosh: '',
    DepthToSpace: 'blocksize mode',
    Div: '',
    Dropout: 'ratio seed is_test',
    Elu: 'alpha',
    Equal: '',
    Exp: '',
    Expand: '',
    Flatten: 'axis',
    Floor: '',
    GRU: `${recurrent} linear_before_reset`,
    Gather: 'axis',
    Gelu: 'approximate',
    Gemm: 'alpha beta transA transB',
    GlobalAveragePool: '',
    GlobalMaxPool: '',
    HardSigmoid: 'alpha beta',
    HardSwish: '',
    Identity: '',
    LayerNormalization: 'axis epsilon stash_type',
    LSTM: `${recurrent} input_forget`,
    LeakyRelu: 'alpha',
    Log: '',
    LogSoftmax: 'axis',
    MatMul: '',
    Max: '',
    MaxPool: `${window} ceil_mode storage_order`,
    Mean: '',
    Min: '',
    Mish: '',
    Mul: '',
    Neg: '',
    PRelu: '',
    Pad: 'mode pads value',
    Pow: '',
    RNN: recurrent,
    Reciprocal: '',
    ReduceL1: reduce,
    ReduceL2: reduce,
    ReduceLogSumExp: reduce,
    ReduceMax: reduce,
    ReduceMean: reduce,
    ReduceMin: reduce,
    ReduceSum: reduce,
    ReduceSumSquare: reduce,
    Relu: '',
    Reshape: 'allowzero',
    Resize:
      'antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value keep_aspect_ratio_policy mode nearest_mode',
    Round: '',
    Selu: 'alpha gamma',
    Shrink: 'bias lambd',
    Sigmoid: '',
    Sign: '',
    Sin: '',
    Sinh: '',
    Slice: 'axes ends starts',
    Softmax: 'axis',
    Softplus: '',
    Softsign: '',
    SpaceToDepth: 'blocksize',
    Split: 'axis num_outputs split',
    Squeeze: 'axes',
    Sub: '',
    Sum: '',
    Tan: '',
    Tanh: '',
    ThresholdedRelu: 'alpha',
    Tile: '',
    Transpose: 'perm',
    Trilu: 'upper',
    Unsqueeze: 'axes',
    Upsample: 'mode scales width_scale height_scale',
    Where: '',
  }),
);

/** Operators of other domains that mean what ONNX's own of that name does. */
const borrowed: ReadonlyMap<string, string> = new Map([['com.microsoft.Gelu', '']]);

/** Throws OPERATOR_UNSUPPORTED for an operator of a foreign domain, and for an attribute that nothing here reads. */
export function refuseUnknownAttributes({ nodes, opset }: Pick<Graph, 'nodes' | 'opset'>): void {
  for (const node of nodes) {
    const isOwn = node.domain === '' || node.domain === 'ai.onnx';
    const names = isOwn ? known.get(node.op) : borrowed.get(`${node.domain}.${node.op}`);
    if (names === undefined && !isOwn)
      throw unsupported(node, `operators of the domain ${node.domain} are not known`);
    const odd = names === undefined ? undefined : unknownAttribute(node, names.split(' '));
    if (odd)
      throw unsupported(
        node,
        `its attribute ${odd} is not known (opset ${opset})`,
        'Export the model with opset 13 or later.',
      );
  }
}

const unknownAttribute = (node: Node, names: readonly string[]): string | undefined =>
  Object.keys(node.attributes).find((name) => !names.includes(name));
