import { formatMetric } from '../../core/quantities.js';
import { besideChange, describeChange } from '../comparison/gate.js';
import type { ReportDocument } from './document.js';

interface Case {
  readonly classname: string;
  readonly name: string;
  readonly failure?: string;
  readonly skipped?: string;
  readonly output?: string;
}

/**
 * As hosted CI reads it: a test a network and place, a limit, a comparison. What is broken or missing is a failure, what the
 * intervals do not decide is skipped.
 */
export function junitOf(document: ReportDocument): string {
  const cases = casesOf(document);
  const count = (key: 'failure' | 'skipped'): number => cases.filter((one) => one[key] !== undefined).length;
  const { suite, startedMs, endedMs } = document;
  const counts = `tests="${cases.length}" failures="${count('failure')}" errors="0" skipped="${count('skipped')}"`;
  const seconds = endedMs === null ? 0 : Math.max(0, endedMs - startedMs) / 1000;
  const at = new Date(startedMs).toISOString().slice(0, 19);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${counts} time="${seconds}">`,
    `  <testsuite name="${xml(suite)}" ${counts} time="${seconds}" timestamp="${at}">`,
    ...cases.map(elementOf),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

function casesOf({ rows, limits, comparison, alternated, beside }: ReportDocument): Case[] {
  return [
    ...rows.map(
      ({ network, place, figures, failures }): Case => ({
        classname: place,
        name: `${network}: measured`,
        ...(failures.length > 0 && { failure: failures.join('\n') }),
        output: figures.map(({ metric, value }) => `${metric}: ${formatMetric(metric, value)}`).join('\n'),
      }),
    ),
    ...limits.map(({ network, place, metric, max, value, interval, state }): Case => {
      const told = value === null ? 'nothing was measured' : formatMetric(metric, value, interval);
      return {
        classname: place ?? 'limits',
        name: `${network ?? 'any network'}: ${metric} within ${formatMetric(metric, max)}`,
        ...((state === 'broken' || state === 'absent') && { failure: told }),
        ...(state === 'unclear' && { skipped: `${told}: the limit lies within the interval` }),
        output: told,
      };
    }),
    ...(comparison?.compared ?? []).map(
      (one): Case => ({
        classname: one.place,
        name: `${one.network}: ${one.metric} against run ${comparison?.with}`,
        ...(one.verdict === 'worse' && { failure: describeChange(one) }),
        ...(one.verdict === 'unclear' && { skipped: describeChange(one) }),
        output: `${describeChange(one)}: ${one.verdict}`,
      }),
    ),
    ...(comparison?.lost ?? []).map(
      ({ network, place, why }): Case => ({
        classname: place,
        name: `${network}: against run ${comparison?.with}`,
        failure: why,
      }),
    ),
    // Imported figures break nothing: their verdict stands in the output.
    ...(beside?.pairs ?? []).map(
      (one): Case => ({
        classname: one.place,
        name: `${one.network}: ${one.metric} beside ${one.otherPlace} of run ${beside?.with}`,
        output: `${besideChange(one)}: ${one.verdict}`,
      }),
    ),
    ...alternated.map(({ place, networks, metric, ratio, pairs }): Case => {
      const told = ratio ? describeChange(ratio) : `${pairs} pairs say too little`;
      return {
        classname: place,
        name: `${networks[1]} against ${networks[0]} in turn: ${metric}`,
        ...(ratio?.verdict === 'worse' && { failure: told }),
        ...((!ratio || ratio.verdict === 'unclear') && { skipped: told }),
        output: told,
      };
    }),
  ];
}

function elementOf({ classname, name, failure, skipped, output = '' }: Case): string {
  const attributes = `classname="${xml(classname)}" name="${xml(name)}"`;
  const [first = ''] = (failure ?? '').split('\n');
  const inner = [
    ...(failure === undefined ? [] : [`<failure message="${xml(first)}">${xml(failure)}</failure>`]),
    ...(skipped === undefined ? [] : [`<skipped message="${xml(skipped)}"/>`]),
    ...(output === '' ? [] : [`<system-out>${xml(output)}</system-out>`]),
  ];
  return `    <testcase ${attributes}>${inner.join('')}</testcase>`;
}

// What XML 1.0 takes: anything else, half a surrogate pair among it, has no escape either.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what XML refuses.
const refused = /[^\u0009\u000a\u000d\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;
const entities: ReadonlyMap<string, string> = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&quot;'],
  ["'", '&apos;'],
  ['\t', '&#9;'],
  ['\n', '&#10;'],
  ['\r', '&#13;'],
]);

/** For attributes and text alike. */
const xml = (given: string): string =>
  given.replace(refused, '\ufffd').replace(/[&<>"'\t\n\r]/g, (one) => entities.get(one) ?? one);
