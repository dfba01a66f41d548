import { createInterface } from 'node:readline'
import { verify } from '@node-rs/argon2'

/* Verifies passwords and nothing else. A line `seconds inFlight password hash` starts this; prints the number. */
const input = createInterface({ input: process.stdin }).on('line', async line => {
  const [seconds, inFlight, password = '', hash = ''] = line.split('\t')
  const end = performance.now() + Number(seconds) * 1000
  let count = 0
  const loops = Array.from({ length: Number(inFlight) }, async () => {
    for (; performance.now() < end; count++) await verify(hash, password)
  })
  await Promise.all(loops)
  console.log(count)
})
input.on('close', () => process.exit())
console.log('Peer ready')
