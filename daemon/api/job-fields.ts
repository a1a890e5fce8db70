import { z } from 'zod';

/** What a request may say of its job. */
export const jobFields = {
  priority: z.int().min(-100).max(100).optional().describe('Higher goes first; 0 where it is left out.'),
  deadlineMs: z
    .int()
    .min(0)
    .optional()
    .describe('Milliseconds since 1970: the job fails unless it began by then.'),
};
