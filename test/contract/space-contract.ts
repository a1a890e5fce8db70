import type { Test } from 'tap';
import type { Space } from '../../daemon/search/spaces/contract.js';
import { spaceContract } from '../../daemon/testing/space-contract.js';
import { holds } from './holds.js';

export const runSpaceContract = (t: Test, space: Space, samples: number): Promise<void> =>
  holds(t, spaceContract(space, samples));
