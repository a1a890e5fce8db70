import type { Test } from 'tap';
import type { Sampler } from '../../daemon/search/samplers/contract.js';
import * as suite from '../../daemon/testing/sampler-contract.js';
import { holds } from './holds.js';

export const samplerContract = (t: Test, make: () => Sampler): Promise<void> =>
  holds(t, suite.samplerContract(make));
