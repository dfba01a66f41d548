import { crc32 } from 'node:zlib'

/**
 * Returns an animated PNG (PNG Specification, third edition, 11.3.4) made of pictures of the same size. `ms` is the time
 * for which each one is shown.
 */
export function animate(frames: { png: Buffer; ms: number }[]): Buffer {
  const [first] = frames
  if (!first) throw new Error('an animation needs a frame')
  const chunks = chunksOf(first.png)
  const header = chunks.find(({ type }) => type === 'IHDR')?.data ?? Buffer.alloc(0)
  let sequence = 0
  const output = [
    first.png.subarray(0, 8),
    toChunk('IHDR', header),
    toChunk('acTL', uint32(frames.length), uint32(0))
  ]
  for (const [index, { png, ms }] of frames.entries()) {
    const size = header.subarray(0, 8)
    const delay = Buffer.alloc(6)
    delay.writeUInt16BE(ms, 0)
    delay.writeUInt16BE(1000, 2)
    output.push(toChunk('fcTL', uint32(sequence++), size, uint32(0), uint32(0), delay))
    for (const { type, data } of chunksOf(png)) {
      if (type !== 'IDAT') continue
      output.push(index === 0 ? toChunk('IDAT', data) : toChunk('fdAT', uint32(sequence++), data))
    }
  }
  return Buffer.concat([...output, toChunk('IEND')])
}

function chunksOf(png: Buffer): { type: string; data: Buffer }[] {
  const chunks = []
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at)
    const type = png.toString('latin1', at + 4, at + 8)
    chunks.push({ type, data: png.subarray(at + 8, at + 8 + length) })
    at += 12 + length
  }
  return chunks
}

function toChunk(type: string, ...parts: Buffer[]): Buffer {
  const data = Buffer.concat([Buffer.from(type, 'latin1'), ...parts])
  return Buffer.concat([uint32(data.length - 4), data, uint32(crc32(data))])
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeUInt32BE(value)
  return buffer
}
