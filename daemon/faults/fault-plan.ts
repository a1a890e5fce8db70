import { z } from 'zod';
import { HildaError } from '../core/errors.js';

/** Where the daemon meets what is not its own code. */
export type Edge = 'serial' | 'socket' | 'ws' | 'store' | 'child' | 'file' | 'clock';
export type Action = 'drop' | 'delay' | 'truncate' | 'corrupt' | 'fail';

/** What can happen at each edge. */
export const actionsAt: Readonly<Record<Edge, readonly Action[]>> = {
  serial: ['drop', 'delay', 'truncate', 'corrupt', 'fail'],
  socket: ['drop', 'delay', 'truncate', 'corrupt', 'fail'],
  ws: ['drop', 'delay', 'truncate', 'corrupt', 'fail'],
  store: ['delay', 'fail'],
  child: ['drop', 'delay', 'truncate', 'corrupt', 'fail'],
  file: ['drop', 'delay', 'truncate', 'corrupt', 'fail'],
  clock: ['delay', 'corrupt'],
};

const edges = Object.keys(actionsAt) as [Edge, ...Edge[]];
const mostMs = 86_400_000;

const ruleSchema = z
  .strictObject({
    edge: z.enum(edges),
    match: z
      .string()
      .min(1)
      .max(200)
      .default('*')
      .describe('Part of the name of a place; `*` stands for any text.'),
    action: z.enum(['drop', 'delay', 'truncate', 'corrupt', 'fail']),
    probability: z.number().gt(0).max(1).optional(),
    every: z.int().min(1).optional().describe('Of the passages that match: each so many.'),
    nth: z.int().min(1).optional().describe('Of the passages that match: this one alone.'),
    times: z.int().min(1).optional().describe('At most so often.'),
    seed: z.int().min(0).optional(),
    ms: z.int().min(-mostMs).max(mostMs).optional().describe('A delay, or how far the clock steps.'),
    as: z
      .string()
      .regex(/^[A-Z][A-Z0-9_]{1,40}$/)
      .optional()
      .describe('The code of the system or of SQLite that a failure carries, e.g. ENOSPC or SQLITE_BUSY.'),
  })
  .superRefine((rule, context) => {
    const wrong = (path: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [path], message });
    if (!actionsAt[rule.edge].includes(rule.action))
      wrong('action', `${rule.edge} takes ${actionsAt[rule.edge].join(', ')}`);
    if ([rule.probability, rule.every, rule.nth].filter((one) => one !== undefined).length > 1)
      wrong('probability', 'only one of probability, every and nth');
    const steps = rule.edge === 'clock' && rule.action === 'corrupt';
    if (rule.ms !== undefined && rule.action !== 'delay' && !steps)
      wrong('ms', 'only a delay, and a clock that steps, take a time');
    if (rule.ms !== undefined && rule.ms <= 0 && !steps) wrong('ms', 'a delay is above 0');
    if (rule.as !== undefined && !(rule.action === 'fail' && ['store', 'file'].includes(rule.edge)))
      wrong('as', 'only failures of store and file carry a code');
  });

const planSchema = z.strictObject({
  seed: z.int().min(0).default(1),
  rules: z.array(ruleSchema).min(1).max(1000),
});

export type FaultRule = z.infer<typeof ruleSchema>;
/** Which faults strike, where and how often. */
export type FaultPlan = z.infer<typeof planSchema>;
/** A plan as people write it, without what has a default. */
export type FaultPlanInput = z.input<typeof planSchema>;

/** Checks a plan. Throws SPEC_INVALID, which names every field that is wrong. */
export function parseFaultPlan(given: unknown): FaultPlan {
  const parsed = planSchema.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new HildaError('SPEC_INVALID', `the fault plan is not valid: ${z.prettifyError(parsed.error)}`, {
    hint: 'docs/faults.md shows each field.',
    details: { fields: parsed.error.issues.map(({ path }) => path.join('.')) },
  });
}
