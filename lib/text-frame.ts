/** Returns a text frame of a WebSocket as a server sends it: in one piece and without a mask (RFC 6455, section 5.2). */
export function textFrame(payload: Buffer): Buffer {
  const { length } = payload
  const [size, code] = length < 126 ? [2, length] : length < 65_536 ? [4, 126] : [10, 127]
  const frame = Buffer.alloc(size + length)
  frame[0] = 0x81
  frame[1] = code
  if (code === 126) frame.writeUInt16BE(length, 2)
  if (code === 127) frame.writeBigUInt64BE(BigInt(length), 2)
  payload.copy(frame, size)
  return frame
}
