import { printableLine } from '../../core/printable.js';
import { formatMetric } from '../../core/quantities.js';
import { besideChange, describeChange, withoutInterval } from '../comparison/gate.js';
import type { ReportDocument } from './document.js';

/** For people: a table of figures, what changed, what broke. Names stay names: nothing of them becomes markup. */
export function markdownOf(document: ReportDocument): string {
  const { run, suite, state, rows, comparison, alternated, beside, broken, failed, unclear } = document;
  const verdict = broken.length > 0 ? 'broken' : failed.length > 0 ? 'incomplete' : 'passed';
  const parts = [
    `## ${text(suite)}, run ${run}: ${verdict}`,
    ...(state === 'done' ? [] : [`The run is ${state}.`]),
    ...list('Broken', broken),
    ...list('Not measured', failed),
    ...list('Not decided', unclear),
    ...(comparison ? [comparedTable(comparison)] : []),
    ...(beside ? [besideTable(beside)] : []),
    ...(alternated.length > 0 ? [alternatedTable(alternated)] : []),
    table(
      ['network', 'on', 'metric', 'value', '95 % interval', 'obtained'],
      rows.flatMap(({ network, place, provenance, figures }) =>
        figures.map(({ metric, value, interval }) => [
          text(network),
          text(place),
          metric,
          formatMetric(metric, value),
          interval
            ? interval.map((one) => formatMetric(metric, one)).join(' to ')
            : withoutInterval(provenance),
          provenance ?? '',
        ]),
      ),
    ),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

const comparedTable = (comparison: NonNullable<ReportDocument['comparison']>): string =>
  [
    `Against run ${comparison.with}${comparison.suiteChanged ? ', whose suite was another one' : ''}:`,
    table(
      ['network', 'on', 'metric', 'before', 'now', 'change', 'verdict'],
      comparison.compared.map((one) => [
        text(one.network) + (one.networkChanged ? ' (another network)' : ''),
        text(one.place),
        one.metric,
        formatMetric(one.metric, one.before),
        formatMetric(one.metric, one.now),
        describeChange(one),
        one.verdict,
      ]),
    ),
  ].join('\n\n');

const besideTable = (beside: NonNullable<ReportDocument['beside']>): string =>
  [
    `Beside run ${beside.with}, imported figures on either side or both:`,
    table(
      ['network', 'on', 'now', 'beside', 'there', 'difference', 'verdict'],
      beside.pairs.map((one) => [
        text(one.network),
        text(one.place),
        formatMetric(one.metric, one.now),
        text(one.otherPlace),
        formatMetric(one.metric, one.before),
        besideChange(one),
        one.verdict,
      ]),
    ),
  ].join('\n\n');

const alternatedTable = (alternated: ReportDocument['alternated']): string =>
  table(
    ['in turn on', 'first', 'second', 'metric', 'pairs', 'second over first', 'verdict'],
    alternated.map(({ place, networks, metric, pairs, ratio }) => [
      text(place),
      text(networks[0]),
      text(networks[1]),
      metric,
      String(pairs),
      ratio ? describeChange(ratio) : 'too few pairs',
      ratio?.verdict ?? 'unclear',
    ]),
  );

const list = (title: string, entries: readonly string[]): string[] =>
  entries.length === 0 ? [] : [`**${title}**`, entries.map((one) => `- ${text(one)}`).join('\n')];

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(titles), line(titles.map(() => '---')), ...rows.map(line)].join('\n');
}

const entity = (one: string): string => `&#${one.charCodeAt(0)};`;

/** One line of plain text: what would begin markup in CommonMark or in GitHub's tables is a numbered entity. */
const text = (given: string): string =>
  printableLine(given)
    .trim()
    .replace(/[&\\`*_{}[\]<>|~!$^@#]|:(?=\/\/)|^[-+=]/g, entity)
    .replace(/^(\d+)([.)])/, (_, digits: string, mark: string) => digits + entity(mark));
