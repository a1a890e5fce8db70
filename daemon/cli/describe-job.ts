import type { JobView } from '../api/job-schemas.js';
import { describeMeasurement } from './describe.js';
import { formatTime } from './format.js';
import { type Field, formatFields } from './terminal/fields.js';
import { type Layout, plainLayout, toneOfState } from './terminal/layout.js';

export function describeJob(job: JobView, layout: Layout = plainLayout): string {
  const { id, state, work, devices, deviceId, share, priority, attempt, maxAttempts } = job;
  const { waitsFor, problem, createdMs, startedMs, endedMs, deadlineMs, measurement } = job;
  const times = [
    `submitted ${formatTime(createdMs)}`,
    ...(startedMs === null ? [] : [`begun ${formatTime(startedMs)}`]),
    ...(endedMs === null ? [] : [`ended ${formatTime(endedMs)}`]),
    ...(deadlineMs === null ? [] : [`to begin by ${formatTime(deadlineMs)}`]),
  ];
  const fields: Field[] = [
    ['job', id],
    ['state', state, toneOfState(state)],
    ['work', `${work} on ${devices}${deviceId !== null && deviceId !== devices ? ` (${deviceId})` : ''}`],
    ['share', `${share}, priority ${priority}`],
    ['attempts', `${attempt}, at most ${maxAttempts} that fail`],
    ['times', `${times.join(', ')} UTC`],
    ...(waitsFor === null ? [] : [['waits', waitsFor] as const]),
    ...(problem === null ? [] : [['problem', `${problem.code}: ${problem.detail}`, 'bad'] as const]),
  ];
  const head = formatFields(fields, layout);
  return measurement === null ? head : `${head}\n\n${describeMeasurement(measurement)}`;
}
