import { z } from 'zod';

/** What devices answer with, for every wire that it crosses: the API's and the agents'. */

export const operatorCostSchema = z
  .object({
    name: z.string(),
    op: z.string(),
    provider: z.string(),
    medianUs: z.number().nullable().describe('Null where the device counts and does not time.'),
    count: z
      .object({
        unit: z.enum(['cycles', 'instructions']),
        value: z.number(),
        provenance: z.enum(['measured', 'emulated']),
      })
      .nullable()
      .describe('Null where the device times. Cycles of an emulated board are modelled.'),
    outputBytes: z.int(),
    parameterBytes: z.int(),
    liveBytes: z.int(),
  })
  .meta({ id: 'OperatorCost' });

const portSchema = z.object({
  name: z.string(),
  dims: z.array(z.int()).readonly(),
  layout: z.enum(['row-major', 'channels-last']),
  quantisation: z.object({ scale: z.number(), zeroPoint: z.int() }),
  dtype: z.string().optional(),
  elementBytes: z.union([z.literal(1), z.literal(4)]).optional(),
});

export const rehearsalSchema = z.object({
  programCrc: z.int(),
  flashBytes: z.int(),
  arenaBytes: z.int(),
  answers: z.array(z.string().regex(/^[0-9a-f]{64}$/)).readonly(),
});

export const deploymentSchema = z
  .object({
    structureHash: z.string(),
    weightsHash: z.string(),
    programCrc: z.int(),
    flashBytes: z.int(),
    arenaBytes: z.int(),
    inputOffset: z.int().nullable(),
    inputBytes: z.int(),
    outputOffset: z.int(),
    outputBytes: z.int(),
    input: portSchema,
    output: portSchema,
    moreInputs: z.array(portSchema).readonly().describe('Behind the first, in the order of the network.'),
    moreOutputs: z.array(portSchema).readonly(),
    calibratedOn: z.string(),
  })
  .meta({ id: 'Deployment', description: "A network in a board's flash." });
