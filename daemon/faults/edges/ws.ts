import { HildaError } from '../../core/errors.js';
import { switchboard } from '../present.js';
import { type Strike, struckBytes, struckText } from '../switchboard.js';

type Message = string | Uint8Array;

/** A channel of messages, as far as faults see it. */
interface MessageLine {
  readonly peer: string;
  send(message: Message): void;
  onMessage(listener: ((message: Message) => void) | null): void;
  drop(): void;
}

const possible = ['drop', 'delay', 'truncate', 'corrupt', 'fail'] as const;

/** `send PEER` and `receive PEER`: a message is lost, late, cut or changed, or (`fail`) the connection breaks. */
export function withMessageFaults<Line extends MessageLine>(line: Line): Line {
  const board = switchboard();
  if (!board) return line;
  const carry = (way: 'send' | 'receive'): ((message: Message, go: (message: Message) => void) => void) => {
    let [order, waiting] = [Promise.resolve(), 0];
    return (message, go) => {
      const strike = board.strike('ws', `${way} ${line.peer}`, possible);
      if (strike?.action === 'fail') return line.drop();
      if (strike?.action === 'drop') return;
      const late = strike?.action === 'delay';
      const arrived = strike && !late ? struck(message, strike) : message;
      if (!late && waiting === 0) return go(arrived);
      // None overtakes another.
      waiting++;
      order = order
        .then(() => (late ? board.clock.sleep(strike.ms) : undefined))
        .then(() => {
          waiting--;
          go(arrived);
        });
    };
  };
  const [out, back] = [carry('send'), carry('receive')];
  return {
    ...line,
    send: (message: Message) => out(message, (arrived) => line.send(arrived)),
    onMessage: (listener: ((message: Message) => void) | null) =>
      line.onMessage(listener && ((message) => back(message, listener))),
  };
}

/** `dial URL` may fail. Throws DAEMON_UNREACHABLE. */
export function dialFault(url: string): void {
  if (switchboard()?.strike('ws', `dial ${url}`, ['fail']))
    throw new HildaError('DAEMON_UNREACHABLE', `no daemon answers at ${url} (an injected fault)`);
}

const struck = (message: Message, strike: Strike): Message =>
  typeof message === 'string' ? struckText(message, strike) : struckBytes(message, strike);
