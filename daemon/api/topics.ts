import { HildaError } from '../core/errors.js';

/** Topics of the daemon's events; the last two stand for one topic each study and each specialisation. */
const plain = [
  'devices',
  'jobs',
  'campaigns',
  'benchmarks',
  'schedules',
  'rollouts',
  'measurements',
  'predictors',
  'alerts',
  'retention',
] as const;
const families = ['study', 'specialisation'] as const;

const familyTopic = new RegExp(`^(${families.join('|')})\\.(\\*|[\\w.-]+)$`);
const known = [...plain, ...families.map((family) => `${family}.ID or ${family}.*`)].join(', ');

/** Throws REQUEST_INVALID for a topic that no event can have. */
export function checkTopics(topics: readonly string[]): void {
  const unknown = topics.filter(
    (topic) => !(plain as readonly string[]).includes(topic) && !familyTopic.test(topic),
  );
  if (unknown.length === 0) return;
  const shown = unknown.map((topic) => JSON.stringify(topic.slice(0, 40)));
  throw new HildaError(
    'REQUEST_INVALID',
    `there is no topic ${shown.slice(0, 3).join(', ')}; topics are ${known}`,
    {
      details: { topics: unknown.slice(0, 3) },
    },
  );
}
