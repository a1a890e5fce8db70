import { arrangementRules } from './arrangement.js';
import { controlFlowRules } from './control-flow.js';
import { convolutionRules } from './convolution.js';
import { elementwiseRules } from './elementwise.js';
import { generatorRules } from './generators.js';
import { imageRules } from './images.js';
import { indexingRules } from './indexing.js';
import { matrixRules } from './matrix.js';
import { microsoftRules } from './microsoft.js';
import { normalisationRules } from './normalisation.js';
import { pieceRules } from './pieces.js';
import { quantisedRules } from './quantised.js';
import { recurrentRules } from './recurrent.js';
import { reductionRules } from './reduction.js';
import { resizeRules } from './resize.js';
import { type Place, type Rule, type RuleEntry, unsupported } from './rule.js';
import { signalRules } from './signals.js';
import { windowRules } from './windows.js';

/** Rules by operator, for each domain. Names come from files, so the tables are maps. */
const byDomain: ReadonlyMap<string, ReadonlyMap<string, RuleEntry>> = new Map([
  [
    '',
    new Map([
      ...arrangementRules,
      ...controlFlowRules,
      ...convolutionRules,
      ...elementwiseRules,
      ...generatorRules,
      ...imageRules,
      ...indexingRules,
      ...matrixRules,
      ...normalisationRules,
      ...pieceRules,
      ...quantisedRules,
      ...recurrentRules,
      ...reductionRules,
      ...resizeRules,
      ...signalRules,
      ...windowRules,
    ]),
  ],
  ['com.microsoft', new Map(microsoftRules)],
]);

/** The rule of a node. Throws OPERATOR_UNSUPPORTED, which names the operator set where another has the operator. */
export function ruleOf(place: Place): Rule {
  const { node, opset } = place;
  const domain = node.domain === 'ai.onnx' ? '' : node.domain;
  const entry = byDomain.get(domain)?.get(node.op);
  if (!entry)
    throw unsupported(place, `the operator ${domain ? `${domain}.` : ''}${node.op} is not supported`);
  if (domain === '' && opset < entry.since)
    throw unsupported(place, `is supported from opset ${entry.since}, the model imports ${opset}`);
  if (domain === '' && opset > entry.until)
    throw unsupported(place, `exists up to opset ${entry.until}, the model imports ${opset}`);
  return entry.rule;
}
