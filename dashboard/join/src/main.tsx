import '../join.css';
import { render } from 'preact';
import type { LineFacts } from '../../../daemon/core/link/line-rate.js';
import { formatRate } from '../../../daemon/core/link/transfer-limits.js';
import { readAbout } from './about.js';
import { conditions, watchConditions } from './conditions.js';
import { missingAbility } from './missing-ability.js';
import type { Link } from './page-world.js';
import { identity, join, line, link, measured, refusal, step } from './session.js';
import type { About } from './wire.js';
import { compiled } from './worker-host.js';

const headline: Readonly<Record<Link, string>> = {
  connecting: 'Joining',
  ready: 'Ready',
  working: 'Measuring',
  lost: 'Looking for hilda',
  refused: 'Not let in',
  displaced: 'Used elsewhere',
  unable: 'Not possible here',
};

function explain(state: Link): string {
  switch (state) {
    case 'connecting':
      return 'A moment.';
    case 'ready':
      return 'Networks will run here as the daemon sends them. Keep this page in front.';
    case 'working':
      return step.value;
    case 'lost':
      return 'The connection broke. It is tried again until it holds.';
    case 'displaced':
      return 'Another tab or window of this browser is at work. This one has stopped.';
    case 'refused':
    case 'unable':
      return refusal.value?.detail ?? '';
  }
}

function Check({ good, children }: { readonly good: boolean; readonly children: string }) {
  return <li class={good ? 'good' : 'poor'}>{children}</li>;
}

/** A model of 20 MB takes more than a minute. */
const slowBytesPerS = 300_000;

const describeLine = ({ bytesPerS, roundTripMs }: LineFacts): string =>
  `Line ${formatRate(bytesPerS ?? 0)}, ${Math.round(roundTripMs ?? 0)} ms`;

function Conditions({ about }: { readonly about: About }) {
  const { hiddenCount, wakeLock, battery } = conditions.value;
  const isolated = about.secure && about.isolated;
  return (
    <ul class="checks" aria-label="Conditions">
      <Check good={isolated}>
        {isolated ? 'Fine clock, threads allowed' : 'Basic tier: coarse clock, one thread (plain http)'}
      </Check>
      <Check good={about.gpu !== null && !about.gpu.software}>
        {about.gpu
          ? about.gpu.software
            ? 'WebGPU in software: results only, no speed'
            : `WebGPU on ${about.gpu.name}`
          : 'No WebGPU'}
      </Check>
      <Check good={wakeLock}>{wakeLock ? 'Screen kept on' : 'Keep the screen on by hand'}</Check>
      <Check good={hiddenCount === 0}>
        {hiddenCount === 0
          ? 'In front since it joined'
          : `Hidden ${hiddenCount} time${hiddenCount === 1 ? '' : 's'}`}
      </Check>
      {line.value && line.value.bytesPerS !== null && (
        <Check good={line.value.bytesPerS > slowBytesPerS}>{describeLine(line.value)}</Check>
      )}
      {battery && (
        <Check good={battery.charging || battery.level > 0.3}>
          {`Battery ${Math.round(battery.level * 100)} %${battery.charging ? ', charging' : ''}`}
        </Check>
      )}
    </ul>
  );
}

const stopped: ReadonlySet<Link> = new Set<Link>(['refused', 'displaced', 'unable']);
let joined: { takeOver(): void } | null = null;

function Page({ about }: { readonly about: About }) {
  const state = link.value;
  return (
    <main class={state}>
      <header>
        <img src="icon.svg" alt="" width="28" height="28" />
        <span>hilda</span>
        {identity.value && <code data-testid="identity">{identity.value}</code>}
      </header>
      <section class="stage" aria-live="polite">
        <div class="pulse" aria-hidden="true">
          <span>{stopped.has(state) ? '!' : measured.value}</span>
        </div>
        <h1 data-testid="link">{headline[state]}</h1>
        <p>{explain(state)}</p>
        {(state === 'refused' || state === 'unable') && <p class="hint">{refusal.value?.hint}</p>}
        {state === 'displaced' && (
          <button type="button" onClick={() => joined?.takeOver()}>
            Use this one
          </button>
        )}
        <p class="count">
          {measured.value === 1 ? '1 network has run here' : `${measured.value} networks have run here`}
        </p>
      </section>
      <section class="card">
        <h2>{about.model}</h2>
        <p>
          {about.browser}, {about.platform || 'unknown system'}, {about.cores} cores
        </p>
        <Conditions about={about} />
      </section>
    </main>
  );
}

// While the page reads its surroundings and joins, the runtime that every device has first comes in.
if (!missingAbility(globalThis)) compiled('wasm').catch(() => {});
watchConditions();
const about = await readAbout();
render(<Page about={about} />, document.getElementById('page') as HTMLElement);
joined = join(about);
