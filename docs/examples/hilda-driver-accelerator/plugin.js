/**
 * An accelerator that times networks on request, over HTTP, as a device of hilda. hilda's own loop decides how often the
 * candidate and a reference network run, and judges the result; the driver only runs them.
 *
 * What the accelerator answers, in JSON:
 * - `GET /` `{name, model, version, emulated}`; `emulated: true` where no hardware stands behind it
 * - `POST /networks` with an ONNX file: `{network}`, its name from then on; 422 `{message}` where it is refused
 * - `POST /time` with `{legs: [{network, runs}]}`: `{samplesUs}`, microseconds of each run, an array a leg
 *
 * @typedef {{ url: string }} Options
 * @typedef {{ name: string, model: string, version: string, emulated: boolean }} Description
 * @type {import('hilda/plugin').PluginFactory}
 */
export default (hilda) => {
  /** @type {import('hilda/plugin').DriverKind<Options>} */
  const accelerator = {
    kind: 'accelerator',

    readOptions({ url, ...others }) {
      const [unknown] = Object.keys(others);
      if (unknown !== undefined) throw new Error(`${unknown} is no option; known: url`);
      if (typeof url !== 'string' || !URL.canParse(url))
        throw new Error('url is the address of the accelerator');
      return { url };
    },

    create: ({ url }, { clock }) => ({
      kind: 'accelerator',

      async *discover({ signal }) {
        const seen = await describe(url, signal);
        // One that does not answer is away.
        if (seen) yield sightingOf(seen);
      },

      async open(sighting, { signal }) {
        const seen = await describe(url, signal);
        if (!seen) throw gone(hilda, url);
        return openAccelerator(hilda, { url, clock, target: sighting.target, emulated: seen.emulated });
      },
    }),
  };
  return { drivers: [accelerator] };
};

/** @param {string} url @param {AbortSignal} signal @returns {Promise<Description | undefined>} */
async function describe(url, signal) {
  try {
    const response = await fetch(url, { signal });
    return response.ok ? /** @type {Description} */ (await response.json()) : undefined;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

/** @param {Description} description @returns {import('hilda/plugin').Sighting} */
const sightingOf = ({ name, model, version, emulated }) => ({
  id: /** @type {import('hilda/plugin').DeviceId} */ (`accelerator-${name}`),
  kind: 'accelerator',
  label: model,
  target: {
    model,
    clockHz: null,
    runtime: 'accelerator-http',
    runtimeVersion: version,
    provider: 'accelerator',
    threads: 1,
    dtype: 'float32',
    tier: emulated ? 'emulated-service' : 'remote',
  },
  host: null,
  obstacle: null,
});

/** @param {import('hilda/plugin').PluginApi} hilda @param {string} url */
const gone = (hilda, url) => new hilda.HildaError('DEVICE_GONE', `no accelerator answers at ${url}`);

/**
 * @param {import('hilda/plugin').PluginApi} hilda
 * @param {{
 *   url: string,
 *   clock: import('hilda/plugin').Clock,
 *   target: import('hilda/plugin').Target,
 *   emulated: boolean,
 * }} device
 * @returns {import('hilda/plugin').Device}
 */
function openAccelerator(hilda, { url, clock, target, emulated }) {
  const rng = hilda.Xoshiro128.fromSeed(1);
  let isClosed = false;
  /** @type {import('hilda/plugin').Calibration | undefined} */
  let calibration;

  /** @param {string} path @param {BodyInit} body @param {AbortSignal} signal */
  async function post(path, body, signal) {
    if (isClosed) throw new hilda.HildaError('DEVICE_FAILED', 'the accelerator was closed');
    const response = await fetch(new URL(path, url), { method: 'POST', body, signal }).catch(() => {
      signal.throwIfAborted();
      throw gone(hilda, url);
    });
    const answer = await response.json();
    if (response.status === 422) throw new hilda.HildaError('NETWORK_REJECTED', answer.message);
    if (!response.ok) throw new hilda.HildaError('DEVICE_FAILED', `${path} answers ${response.status}`);
    return answer;
  }

  /** @param {import('hilda/plugin').Graph} network @param {AbortSignal} signal @returns {Promise<string>} */
  const load = async (network, signal) =>
    (await post('/networks', Buffer.from(hilda.writeOnnx(network)), signal)).network;

  /**
   * @param {readonly { network: string, runs: number }[]} legs
   * @param {AbortSignal} signal
   * @returns {Promise<Float64Array[]>}
   */
  async function time(legs, signal) {
    const { samplesUs } = await post('/time', JSON.stringify({ legs }), signal);
    return samplesUs.map((/** @type {number[]} */ samples) => Float64Array.from(samples));
  }

  /** @param {AbortSignal} signal */
  async function calibrated(signal) {
    const { convolution, transformer } = hilda.referenceNetworks();
    const legs = [
      { network: await load(convolution, signal), runs: 20 },
      { network: await load(transformer, signal), runs: 20 },
    ];
    const [convolutionUs, transformerUs] = (await time(legs, signal)).map(medianOf);
    return {
      convolutionUs: /** @type {number} */ (convolutionUs),
      transformerUs: /** @type {number} */ (transformerUs),
      takenAtMs: clock.nowMs(),
    };
  }

  return {
    target,
    limits: { memoryBytes: null, weightBytes: null },

    async calibrate({ known, signal }) {
      calibration = known ?? (await calibrated(signal));
      return calibration;
    },

    async measure(network, protocol, { signal, onProgress }) {
      const takenAtMs = clock.nowMs();
      const startUs = clock.monotonicUs();
      const candidate = await load(network, signal);
      const loadUs = clock.monotonicUs() - startUs;
      calibration ??= await calibrated(signal);
      const reference = hilda.referenceFor(network);
      const names = { candidate, reference: await load(hilda.referenceNetworks()[reference], signal) };
      const [first] = await time([{ network: candidate, runs: 1 }], signal);
      const run = await hilda.measureLatency(
        {
          time: async (legs, options) => ({
            samplesUs: await time(
              legs.map((leg) => ({
                network: leg.network === 'candidate' ? names.candidate : names.reference,
                runs: leg.runs,
              })),
              options.signal,
            ),
            lostShare: null,
          }),
        },
        protocol,
        {
          clock,
          rng,
          signal,
          onRound: (_, total) => onProgress?.({ step: 'rounds', done: total, of: protocol.maxRounds }),
        },
      );
      return hilda.assembleMeasurement({
        facts: hilda.networkFacts(network),
        target,
        provenance: emulated ? 'emulated' : 'measured',
        protocol,
        run,
        reference,
        calibration,
        loadUs,
        firstRunUs: first?.[0] ?? null,
        activationPeakBytes: hilda.countCost(network).peakActivationBytes,
        runPeakRssBytes: null,
        manifest: { url },
        takenAtMs,
        durationMs: clock.nowMs() - takenAtMs,
      });
    },

    async close() {
      isClosed = true;
    },
  };
}

/** @param {Float64Array} samples */
const medianOf = (samples) => samples.toSorted()[Math.floor(samples.length / 2)];
