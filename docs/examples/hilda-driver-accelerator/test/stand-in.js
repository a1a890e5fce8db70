import { createServer } from 'node:http';

/**
 * An accelerator that does not exist: a network of n bytes takes 100 + n / 1000 us, give or take 1 %. It refuses the operator
 * `NoSuchOperator`. Answers with its address, and the way to stop it.
 */
export async function startStandIn() {
  /** Bytes of each network, by name. @type {Map<string, number>} */
  const networks = new Map();
  let draws = 0;
  // The fractional parts of multiples of the golden ratio: even noise, the same in every run.
  const noise = () => 1 + 0.02 * (((++draws * 0.6180339887) % 1) - 0.5);

  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const answer = (/** @type {number} */ status, /** @type {unknown} */ value) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    if (request.method === 'GET')
      answer(200, { name: 'stand-in', model: 'Stand-in accelerator', version: '1', emulated: true });
    else if (request.url === '/networks') {
      if (body.includes('NoSuchOperator')) return answer(422, { message: 'unknown operator NoSuchOperator' });
      const network = `network-${networks.size}`;
      networks.set(network, body.length);
      answer(200, { network });
    } else if (request.url === '/time') {
      /** @type {{ legs: { network: string, runs: number }[] }} */
      const { legs } = JSON.parse(body.toString());
      const samplesUs = legs.map(({ network, runs }) => {
        const us = 100 + (networks.get(network) ?? 0) / 1000;
        return Array.from({ length: runs }, () => us * noise());
      });
      answer(200, { samplesUs });
    } else answer(404, { message: 'no such address' });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${port}/`, stop };
}
