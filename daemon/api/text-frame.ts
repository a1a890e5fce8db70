/** Lengths that the first length byte announces instead of holding one (RFC 6455, section 5.2). */
const follows16 = 126;
const follows64 = 127;

/** A text message of a server as one WebSocket frame: final, unmasked, without extensions. */
export function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const { length } = payload;
  const extra = length < follows16 ? 0 : length <= 0xffff ? 2 : 8;
  const frame = Buffer.allocUnsafe(2 + extra + length);
  frame[0] = 0x81;
  frame[1] = extra === 0 ? length : extra === 2 ? follows16 : follows64;
  if (extra === 2) frame.writeUInt16BE(length, 2);
  else if (extra === 8) frame.writeBigUInt64BE(BigInt(length), 2);
  payload.copy(frame, 2 + extra);
  return frame;
}
