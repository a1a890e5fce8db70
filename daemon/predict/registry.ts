import type { Predictor } from './contract.js';
import { LutPredictor } from './lut.js';
import { RidgePredictor } from './ridge.js';

export const predictorMakers = {
  lut: (): Predictor => new LutPredictor(),
  ridge: (): Predictor => new RidgePredictor(),
} as const;

export type PredictorName = keyof typeof predictorMakers;

export const predictorNames = Object.keys(predictorMakers) as readonly PredictorName[];

export const createPredictor = (name: PredictorName): Predictor => predictorMakers[name]();
