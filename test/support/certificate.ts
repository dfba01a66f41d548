import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setDefaultCACertificates } from 'node:tls'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Only these, because each TLS client would parse the 150 certificates of Node otherwise. */
const trusted: string[] = []

/**
 * Writes a new self-signed certificate for 127.0.0.1 as `concord.crt` and `concord.key`, and both as `concord.pem`, into
 * a folder. All TLS clients of this process trust it.
 */
export async function createCertificate(folder: string): Promise<void> {
  const [crt = '', key = '', pem = ''] = ['crt', 'key', 'pem'].map(type =>
    join(folder, `concord.${type}`)
  )
  await run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
    ...['-subj', '/CN=concord', '-addext', 'subjectAltName=IP:127.0.0.1'],
    ...['-days', '1', '-keyout', key, '-out', crt]
  ])
  const certificate = await readFile(crt, 'utf8')
  await writeFile(pem, certificate + (await readFile(key, 'utf8')), { mode: 0o600 })
  trusted.push(certificate)
  setDefaultCACertificates(trusted)
}
