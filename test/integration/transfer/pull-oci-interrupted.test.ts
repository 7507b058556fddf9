import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { digestOf, imageConfig, layerOf, ociTypes, tarOf } from '../../fixtures/oci-image.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { serve, type Responder } from '../../fixtures/web-server.ts'

const absent = lacks('root')

let place: TemporaryDirectory
beforeEach(async () => {
  place = await temporaryDirectory()
  return () => place[Symbol.asyncDispose]()
})

const layers = [layerOf(tarOf('one')), layerOf(tarOf('two'))]
const config = imageConfig({ layers })
const manifest = {
  schemaVersion: 2,
  mediaType: ociTypes.manifest,
  config: { mediaType: ociTypes.config, digest: digestOf(config), size: config.length },
  layers: layers.map(({ bytes }) => ({
    mediaType: ociTypes.layer,
    digest: digestOf(bytes),
    size: bytes.length,
  })),
}
const blobPath = (bytes: Buffer) => `/v2/web/blobs/${digestOf(bytes)}`

/** A registry whose second layer comes in part, and says when it is asked for; with the first one done. */
async function stuckRegistry(stuck: () => void) {
  const [one, two] = layers.map(({ bytes }) => bytes) as [Buffer, Buffer]
  const half: Responder = (_asked, response) => {
    response.write(two.subarray(0, 20))
    stuck()
  }
  return serve({
    '/v2/web/manifests/latest': JSON.stringify(manifest),
    [blobPath(config)]: config,
    [blobPath(one)]: one,
    [blobPath(two)]: half,
  })
}

const names = (path: string): string[] => {
  try {
    return readdirSync(join(place.path, path)).toSorted()
  } catch {
    return []
  }
}

/** Runs `pull-oci` until it waits for the rest of a layer. */
async function startAndStick() {
  let stuck = () => {}
  const isStuck = new Promise<void>((resolve) => (stuck = resolve))
  const server = await stuckRegistry(stuck)
  const [program, ...args] = tsnspawnBuild(
    ...['--machines-dir', join(place.path, 'machines'), '--state-dir', join(place.path, 'state')],
    ...['pull-oci', `${server.origin.slice('http://'.length)}/web`],
  )
  const env = { ...process.env, TSNSPAWN_RUNTIME_DIR: join(place.path, 'run') }
  const running = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  running.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const ended = once(running, 'close') as Promise<[number | null, string | null]>
  await Promise.race([
    isStuck,
    ended.then(() => {
      throw new Error(said)
    }),
  ])
  // The first layer is unpacked meanwhile; what is there by now is what a kill leaves.
  while (names('state/cache/oci').filter((name) => !name.startsWith('.')).length === 0)
    await new Promise((resolve) => setTimeout(resolve, 10))
  return {
    running,
    ended,
    said: () => said,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

describe.skipIf(absent)('a pull that ends before its time', () => {
  test('by SIGINT leaves the layers that are whole, and else nothing', async () => {
    await using stuck = await startAndStick()
    const { running, ended, said } = stuck
    expect(names('run/transfers')).toHaveLength(1)
    running.kill('SIGINT')
    expect(await ended).toEqual([130, null])
    expect(said()).not.toMatch(/\n\s+at /)
    expect(names('machines')).toEqual([])
    expect(names('state/cache/oci')).toEqual([digestOf(layers[0]!.bytes).slice('sha256:'.length)])
    expect(names('run/transfers')).toEqual([])
  })

  test('by SIGKILL shows nothing, and the next one removes what is left', async () => {
    await using killed = await startAndStick()
    killed.running.kill('SIGKILL')
    expect(await killed.ended).toEqual([null, 'SIGKILL'])
    const left = names('machines')
    expect(left.length).toBeGreaterThan(0)
    expect(left.filter((name) => !name.startsWith('.#'))).toEqual([])
    await using again = await startAndStick()
    again.running.kill('SIGTERM')
    expect(await again.ended).toEqual([143, null])
    expect(names('machines')).toEqual([])
    expect(names('state/cache/oci')).toEqual([digestOf(layers[0]!.bytes).slice('sha256:'.length)])
    expect(names('run/transfers')).toEqual([])
  })
})
