import { HildaError } from '../../core/errors.js';
import { mostWithinUs } from '../told-times.js';
import type { Answer, PageCall } from './wire.js';

/**
 * MESSAGE_INVALID for an answer whose times cannot be: more than the whole call took by the daemon's clock, or others than
 * those that were asked for. Null otherwise.
 */
export function timesFault(
  call: PageCall,
  answer: Answer<PageCall['op']>,
  elapsedUs: number,
): HildaError | null {
  const invalid = (what: string): HildaError =>
    new HildaError('MESSAGE_INVALID', `the page answered "${call.op}" with ${what}`, {
      details: { elapsedUs },
    });
  if (call.op === 'time') {
    const { samplesUs } = answer as Answer<'time'>;
    const counts = samplesUs.map((samples) => samples.length).join(', ');
    const wanted = call.legs.map(({ runs }) => runs).join(', ');
    if (counts !== wanted) return invalid(`${counts || 'no'} samples where ${wanted} were asked for`);
  }
  const told = toldUs(call, answer);
  if (told <= mostWithinUs(elapsedUs)) return null;
  return invalid(`${told.toPrecision(4)} us of work within ${elapsedUs.toPrecision(4)} us`);
}

/** The least time that the page must have spent, by what it says itself. */
function toldUs({ op }: PageCall, answer: Answer<PageCall['op']>): number {
  switch (op) {
    case 'load':
      return (answer as Answer<'load'>).loadUs;
    case 'first':
      return (answer as Answer<'first'>).firstRunUs;
    case 'time': {
      const { tookUs, samplesUs } = answer as Answer<'time'>;
      return Math.max(
        tookUs,
        samplesUs.flat().reduce((sum, us) => sum + us, 0),
      );
    }
    default:
      return 0;
  }
}
