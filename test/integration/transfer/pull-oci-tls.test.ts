import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { startRegistry, type TlsFiles } from '../../fixtures/docker-registry.ts'
import { makeLayer, pushImage } from '../../fixtures/oci-image.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'

const absent = lacks('root', 'program:docker-registry', 'program:openssl')

let place: TemporaryDirectory
beforeEach(async () => {
  place = await temporaryDirectory()
  return () => place[Symbol.asyncDispose]()
})

function makeCertificate(): TlsFiles {
  const [certificate, key] = [join(place.path, 'cert.pem'), join(place.path, 'key.pem')]
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=test', '-days', '2'],
      ...['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate],
    ],
    { stdio: 'ignore' },
  )
  return { certificate, key }
}

/** @param address under a name that is not known to be this host's */
function pull(address: string, trusted: string | undefined, ...options: string[]) {
  const [program, ...args] = tsnspawnBuild(
    ...['--machines-dir', join(place.path, 'machines'), '--state-dir', join(place.path, 'state')],
    ...['pull-oci', ...options, `${address.replace('127.0.0.1', '127.1')}/web:1`],
  )
  const env = { ...process.env, ...(trusted === undefined ? {} : { NODE_EXTRA_CA_CERTS: trusted }) }
  const { status, stderr } = spawnSync('timeout', ['60', program, ...args], {
    env,
    encoding: 'utf8',
  })
  return { status, stderr }
}

describe.skipIf(absent)('a registry of another host', () => {
  test('is spoken to over https, and only if its certificate can be trusted', async () => {
    const tls = makeCertificate()
    const data = join(place.path, 'data')
    {
      await using plain = await startRegistry(undefined, undefined, data)
      await pushImage(plain.origin, 'web', '1', { layers: [makeLayer('echo one > one')] })
    }
    await using registry = await startRegistry(undefined, tls, data)
    const stranger = pull(registry.address, undefined)
    expect(stranger).toMatchObject({ status: 5, stderr: expect.stringMatching(/certificate/) })
    expect(existsSync(join(place.path, 'machines'))).toBe(false)
    expect(pull(registry.address, tls.certificate)).toMatchObject({ status: 0 })
    expect(readdirSync(join(place.path, 'machines/web'))).toEqual(['one'])
  })

  test('that has no certificate is spoken to only when that is asked for', async () => {
    await using registry = await startRegistry()
    await pushImage(registry.origin, 'web', '1', { layers: [makeLayer('echo one > one')] })
    expect(pull(registry.address, undefined)).toMatchObject({
      status: 5,
      stderr: expect.stringMatching(
        / https:\/\/127\.0\.0\.1:.*no safe connection to the server: [a-z0-9 ]+ \(GET/,
      ),
    })
    expect(existsSync(join(place.path, 'machines'))).toBe(false)
    expect(pull(registry.address, undefined, '--insecure')).toMatchObject({ status: 0 })
  })
})
