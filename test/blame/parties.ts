import type { HildaError } from '../../daemon/core/errors.js';
import { weightBytesOf } from '../../daemon/network/weights.js';
import type { FailingDriver } from './failing-driver.js';

/** Who is bad, and what must come of a study: the other party has nothing to do with it. */
export interface Party {
  readonly name: string;
  /** `device`: no network is infeasible and the study does not complete. `network`: the bad ones are infeasible, and they alone. */
  readonly guilty: 'device' | 'network' | 'nobody';
  /** Texts of memory alone. */
  readonly memory?: true;
  /** Sets the scene. `bad`: structures of the bad networks. */
  readonly play: (driver: FailingDriver, failure: () => HildaError, bad: ReadonlySet<string>) => void;
}

export const parties: readonly Party[] = [
  {
    name: 'broken from the start',
    guilty: 'device',
    play: (driver, failure) => {
      driver.before = () => {
        throw failure();
      };
    },
  },
  {
    name: 'breaks during',
    guilty: 'device',
    play: (driver, failure) => {
      driver.before = ({ call }) => {
        if (call > 4) throw failure();
      };
    },
  },
  {
    name: 'bad networks',
    guilty: 'network',
    play: (driver, failure, bad) => {
      driver.before = ({ hash }) => {
        if (bad.has(hash)) throw failure();
      };
    },
  },
  {
    name: 'bad networks that leave the device broken until it is opened afresh',
    guilty: 'network',
    play: (driver, failure, bad) => {
      let poisoned = false;
      driver.before = ({ hash, sinceOpened }) => {
        // What is opened right after the crash still meets its remains.
        const suffers = poisoned;
        poisoned = bad.has(hash) || (poisoned && sinceOpened > 1);
        if (suffers || bad.has(hash)) throw failure();
      };
    },
  },
  {
    name: 'a moment',
    guilty: 'nobody',
    play: (driver, failure) => {
      driver.before = ({ call }) => {
        if (call === 5 || call === 6) throw failure();
      };
    },
  },
  {
    name: 'fails every other time',
    guilty: 'device',
    play: (driver, failure) => {
      driver.before = ({ call }) => {
        if (call % 2 === 0) throw failure();
      };
    },
  },
  {
    name: 'fails two times in three',
    guilty: 'device',
    play: (driver, failure) => {
      driver.before = ({ call }) => {
        if (call % 3 !== 1) throw failure();
      };
    },
  },
  {
    name: 'has less memory for a while',
    guilty: 'nobody',
    memory: true,
    play: (driver, failure) => {
      let refused = 0;
      driver.before = ({ call, isReference }) => {
        if (call > 6 && !isReference && refused++ < 9) throw failure();
      };
    },
  },
  {
    name: 'networks that are too large for its memory',
    guilty: 'network',
    memory: true,
    play: (driver, failure, bad) => {
      driver.before = ({ hash }) => {
        if (bad.has(hash)) throw failure();
      };
    },
  },
];

/** Networks that end the page or agent they run on, which is back a moment later. They say no word. */
export const departing: Party = {
  name: 'networks that drive the device away',
  guilty: 'network',
  play: (driver, _, bad) => {
    driver.before = ({ hash }) => {
      if (!bad.has(hash)) return;
      setTimeout(() => driver.comeBack(), 5);
      driver.leave();
    };
  },
};

/** By weights: those that a device with too little memory refuses. */
export const sizeOf = weightBytesOf;
