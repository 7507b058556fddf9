import { execFileSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { LogEvent } from '../../../src/log.ts'
import { pullOci, type OciPull } from '../../../src/transfer/oci/pull-oci.ts'
import { pushDocument, startRegistry, type DockerRegistry } from '../../fixtures/docker-registry.ts'
import {
  copyPrograms,
  dockerTypes,
  hostArchitecture,
  makeLayer,
  ociTypes,
  pushImage,
  type Layer,
} from '../../fixtures/oci-image.ts'
import { systemdNspawn, tsnspawn, tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { isSubvolume } from '../../../src/sys/btrfs.ts'
import { loopFileSystem } from '../images/loop-file-system.ts'
import { treeListing } from '../images/tree-listing.ts'

const absent = lacks('root', 'program:docker-registry')

let registry: DockerRegistry
let layers: Layer[]
let place: TemporaryDirectory

beforeAll(async () => {
  if (absent) return
  registry = await startRegistry()
  layers = threeLayers()
})
afterAll(async () => {
  if (!absent) await registry[Symbol.asyncDispose]()
})
beforeEach(async () => {
  place = await temporaryDirectory()
  return () => place[Symbol.asyncDispose]()
})

/** A tree that runs, and two layers that change it in every way that layers can. */
function threeLayers(): Layer[] {
  return [
    makeLayer(`
      ${copyPrograms('/bin/sh', '/usr/bin/env', '/usr/bin/id', '/usr/bin/getent', '/bin/cat', '/bin/pwd')}
      mkdir -p etc usr/lib proc sys dev tmp run var data home/www; chmod 1777 tmp
      printf 'root:x:0:0::/root:/bin/sh\\nwww:x:1234:2345::/home/www:/bin/sh\\n' > etc/passwd
      printf 'root:x:0:\\nwww:x:2345:\\n' > etc/group
      cd data
      mkdir -p becomes-file/deep opaque/below kept; echo 1 > becomes-file/deep/one; echo 2 > becomes-dir
      echo 3 > opaque/old; echo 4 > opaque/below/old; echo 5 > gone; mkdir gone-dir; echo 6 > gone-dir/x
      echo 7 > original; echo 8 > kept/file; echo 9 > kept/goes; ln -s kept link; ln -s /etc/passwd becomes-real
      chown 1234:2345 kept; chmod 2750 kept; echo 10 > twice
    `),
    makeLayer(
      `
      mkdir -p data/becomes-dir data/opaque/below data/kept; cd data
      : > .wh.gone; : > .wh.gone-dir; : > opaque/.wh..wh..opq; echo new > opaque/new; echo new > opaque/below/new
      echo file > becomes-file; echo inner > becomes-dir/inner; echo real > becomes-real; : > kept/.wh.goes
      echo original > original; ln original original-link; echo second > twice
      chown 1234:2345 kept; chmod 2750 kept
    `,
      ['data/original'],
    ),
    makeLayer(`
      mkdir -p data/gone-dir usr/bin; echo back > data/gone-dir/y; echo third > data/twice
      cp /bin/cat usr/bin/special; chmod 4755 usr/bin/special; setcap cap_net_raw+ep usr/bin/special
      mkfifo data/fifo; mknod data/null c 1 3; echo a > data/acl; setfacl -m u:1234:r data/acl
      ln -s nowhere data/dangling; chown -h 1234:2345 data/dangling
      touch -d '2001-02-03 04:05:06.123456789' data/twice
    `),
  ]
}

const request = (reference: string, more: Partial<OciPull> = {}): OciPull => ({
  reference: `${registry.address}/${reference}`,
  directory: join(place.path, 'machines'),
  stateDirectory: join(place.path, 'state'),
  retries: 0,
  ...more,
})

const cache = () => join(place.path, 'state/cache/oci')

describe.skipIf(absent)('an image of a registry', () => {
  const execution = {
    Entrypoint: ['/bin/sh', '-c', 'echo "$1|$GREETING|$(pwd)|$(id -un)"', 'name'],
    Cmd: ['a "quoted"   word'],
    Env: ['GREETING=good  day', 'PATH=/usr/bin:/bin'],
    User: 'www',
    WorkingDir: '/srv/not there yet',
    StopSignal: 'SIGINT',
    ExposedPorts: { '80/tcp': {} },
  }

  test('becomes a tree that runs as the image says, with either nspawn', async () => {
    const pushed = await pushImage(registry.origin, 'team/web', '1', { layers, execution })
    const pulled = await pullOci(request('team/web:1'))
    expect(pulled).toEqual({
      name: 'web',
      path: join(place.path, 'machines/web'),
      reference: `${registry.address}/team/web:1`,
      digest: pushed.manifest.digest,
      platform: `linux/${hostArchitecture}`,
      layers: 3,
      fetchedBytes: layers.reduce((sum, { bytes }) => sum + bytes.length, 0),
    })
    expect(readdirSync(join(place.path, 'machines')).toSorted()).toEqual([
      'web',
      'web.nspawn',
      'web.oci-config',
    ])
    expect(readFileSync(`${pulled.path}.nspawn`, 'utf8')).toContain('\nPort=tcp:80\n')
    const config = JSON.parse(readFileSync(`${pulled.path}.oci-config`, 'utf8'))
    expect(config.config).toEqual(execution)
    const said = 'a "quoted"   word|good  day|/srv/not there yet|www\n'
    const options = ['--quiet', '--register=no', '--keep-unit', '--console=pipe']
    for (const [program, ...args] of [tsnspawn(...options), systemdNspawn(...options)]) {
      const output = execFileSync('timeout', ['60', program, ...args, '-D', pulled.path], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      expect(output.replaceAll('\r', '')).toBe(said)
    }
  })

  test('has the tree that another tool makes of the same layers', async () => {
    if (lacks('program:skopeo', 'program:umoci')) return
    await pushImage(registry.origin, 'team/tree', '1', { layers })
    const { path } = await pullOci(request('team/tree:1'))
    const layout = `oci:${place.path}/layout:one`
    execFileSync('skopeo', [
      ...['--insecure-policy', 'copy', '--quiet', '--src-tls-verify=false'],
      `docker://${registry.address}/team/tree:1`,
      layout,
    ])
    execFileSync('umoci', [
      'unpack',
      '--image',
      layout.slice('oci:'.length),
      `${place.path}/bundle`,
    ])
    expect(treeListing(path)).toBe(treeListing(join(place.path, 'bundle/rootfs')))
    expect(readdirSync(join(path, 'data')).toSorted()).toEqual(
      'acl,becomes-dir,becomes-file,becomes-real,dangling,fifo,gone-dir,kept,link,null,opaque,original,original-link,twice'.split(
        ',',
      ),
    )
    expect(statSync(join(path, 'data/original-link')).ino).toBe(
      statSync(join(path, 'data/original')).ino,
    )
  })

  test('comes for the platform that is asked for, from indexes of either kind', async () => {
    for (const types of [ociTypes, dockerTypes]) {
      const name = types === ociTypes ? 'many/oci' : 'many/docker'
      const push = async (architecture: string, os = 'linux') => {
        const image = { layers: layers.slice(2), architecture, os, types }
        const { manifest } = await pushImage(registry.origin, name, undefined, image)
        return { ...manifest, platform: { os, architecture } }
      }
      const manifests = [await push('s390x'), await push(hostArchitecture, 'windows')]
      manifests.push(await push(hostArchitecture))
      const index = { schemaVersion: 2, mediaType: types.index, manifests }
      await pushDocument(registry.origin, name, 'all', index)
      expect(await pullOci(request(`${name}:all`, { name: 'here' }))).toMatchObject({
        digest: manifests[2]?.digest,
        platform: `linux/${hostArchitecture}`,
      })
      const there = request(`${name}:all`, { name: 'there', architecture: 's390x' })
      expect(await pullOci(there)).toMatchObject({
        digest: manifests[0]?.digest,
        platform: 'linux/s390x',
      })
      await expect(
        pullOci(request(`${name}:all`, { name: 'nowhere', architecture: 'riscv64' })),
      ).rejects.toMatchObject({
        code: 'NO_SUCH_PLATFORM',
        hint: expect.stringContaining(`linux/s390x, windows/${hostArchitecture}`),
      })
      execFileSync('rm', ['-rf', join(place.path, 'machines')])
    }
  })

  test('of one platform is refused when another one was asked for, else taken with a warning', async () => {
    const image = { layers: layers.slice(2), architecture: 's390x' }
    await pushImage(registry.origin, 'only/s390x', '1', image)
    const events: LogEvent[] = []
    await pullOci(request('only/s390x:1', { log: (event) => events.push(event) }))
    expect(events).toContainEqual(
      expect.objectContaining({
        kind: 'warning',
        text: `the image is for linux/s390x, this host is linux/${hostArchitecture}`,
      }),
    )
    const asked = request('only/s390x:1', { name: 'other', architecture: 'arm64' })
    await expect(pullOci(asked)).rejects.toMatchObject({ code: 'NO_SUCH_PLATFORM' })
  })

  test('can be named by its digest, and a tag that moved does not matter then', async () => {
    const old = await pushImage(registry.origin, 'moving', 'latest', { layers: layers.slice(2) })
    await pushImage(registry.origin, 'moving', 'latest', { layers: layers.slice(0, 2) })
    const { digest, layers: count } = await pullOci(
      request(`moving:latest@${old.manifest.digest}`, { name: 'old' }),
    )
    expect([digest, count]).toEqual([old.manifest.digest, 1])
    expect(await pullOci(request('moving', { name: 'new' }))).toMatchObject({ layers: 2 })
  })

  test('that shares layers with another one fetches only the others', async () => {
    await pushImage(registry.origin, 'share/one', '1', { layers: layers.slice(0, 2) })
    await pushImage(registry.origin, 'share/two', '1', { layers })
    const [one = 0, two = 0, three] = layers.map(({ bytes }) => bytes.length)
    expect(await pullOci(request('share/one:1'))).toMatchObject({ fetchedBytes: one + two })
    expect(readdirSync(cache())).toHaveLength(2)
    expect(await pullOci(request('share/two:1'))).toMatchObject({ fetchedBytes: three })
    expect(readdirSync(cache())).toHaveLength(3)
  })

  test('with a layer that was damaged in the cache fetches it again', async () => {
    await pushImage(registry.origin, 'damaged', '1', { layers })
    await pullOci(request('damaged:1'))
    for (const [n, change] of [
      (bytes: Buffer) => bytes.fill(bytes.readUInt8(100) ^ 1, 100, 101),
      (bytes: Buffer) => bytes.subarray(0, -1),
    ].entries()) {
      const [name = ''] = readdirSync(cache())
      const whole = readFileSync(join(cache(), name))
      writeFileSync(join(cache(), name), change(Buffer.from(whole)))
      const { fetchedBytes } = await pullOci(request('damaged:1', { name: `again-${n}` }))
      expect(fetchedBytes).toBe(whole.length)
      expect(readFileSync(join(cache(), name)).equals(whole)).toBe(true)
    }
  })

  test('leaves nothing in the cache where that is not wanted', async () => {
    await pushImage(registry.origin, 'dropped', '1', { layers })
    await pullOci(request('dropped:1', { layers: 'drop' }))
    expect(readdirSync(cache())).toEqual([])
  })

  test('replaces another one only by force, in one step and with its settings', async () => {
    await pushImage(registry.origin, 'first', '1', { layers: layers.slice(0, 1), execution })
    await pushImage(registry.origin, 'second', '1', { layers })
    await pullOci(request('first:1', { name: 'web' }))
    const again = request('second:1', { name: 'web' })
    await expect(pullOci(again)).rejects.toMatchObject({ code: 'IMAGE_EXISTS' })
    const { path } = await pullOci({ ...again, existing: 'replace', access: 'read-only' })
    expect(existsSync(join(path, 'data/fifo'))).toBe(true)
    expect(readFileSync(`${path}.nspawn`, 'utf8')).not.toContain('GREETING')
    expect(execFileSync('lsattr', ['-d', path], { encoding: 'utf8' })).toMatch(/^-+i/)
    execFileSync('chattr', ['-i', path])
  })

  test('that names users and groups nobody here knows says so', async () => {
    const image = { layers: layers.slice(0, 1), execution: { User: '4321:99' } }
    await pushImage(registry.origin, 'strangers', '1', image)
    const warnings: string[] = []
    const log = (event: LogEvent) => void (event.kind === 'warning' && warnings.push(event.text))
    const { path } = await pullOci(request('strangers:1', { log }))
    expect(warnings).toEqual([
      'the image names a user that it does not have: "4321"',
      'the settings do not say the group "99" of its user',
    ])
    expect(readFileSync(`${path}.nspawn`, 'utf8')).toContain('\nUser=4321\n')
  })

  test('that is not there is told so', async () => {
    await expect(pullOci(request('none/such:1'))).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining(`${registry.origin}/v2/none/such/manifests/1`),
    })
  })

  test('comes on the command line, and its layers go away with the cache', async () => {
    await pushImage(registry.origin, 'cli/web', '1', { layers, execution })
    const [program, ...args] = tsnspawnBuild(
      ...['--json', '--machines-dir', join(place.path, 'machines')],
      ...[
        '--state-dir',
        join(place.path, 'state'),
        'pull-oci',
        `${registry.address}/cli/web:1`,
        'mine',
      ],
    )
    const lines = execFileSync('timeout', ['60', program, ...args], { encoding: 'utf8' })
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string; value?: unknown; total?: number })
    expect(lines.findLast(({ kind }) => kind === 'result')?.value).toMatchObject({
      name: 'mine',
      layers: 3,
    })
    const total = layers.reduce((sum, { bytes }) => sum + bytes.length, 0)
    expect(lines.findLast(({ kind }) => kind === 'progress')).toMatchObject({ done: total, total })
    expect(lstatSync(join(place.path, 'machines/mine')).isDirectory()).toBe(true)
    const cleaning = tsnspawnBuild(
      ...['--machines-dir', join(place.path, 'machines'), '--state-dir', join(place.path, 'state')],
      'clean',
    )
    execFileSync('timeout', ['60', ...cleaning], { stdio: 'ignore' })
    expect(readdirSync(join(place.path, 'machines'))).toContain('mine')
    expect(readdirSync(cache())).toEqual([])
  })

  test('is a subvolume on btrfs', async () => {
    if (lacks('btrfs', 'loop devices')) return
    await pushImage(registry.origin, 'small', '1', { layers: layers.slice(2) })
    using btrfs = loopFileSystem('btrfs', place.path)
    const { path } = await pullOci(request('small:1', { directory: join(btrfs.path, 'machines') }))
    expect(isSubvolume(path)).toBe(true)
  })

  test('that does not fit on the disk leaves nothing there', async () => {
    await pushImage(registry.origin, 'large', '1', { layers })
    const directory = join(place.path, 'full')
    mkdirSync(directory)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1M', 'tmpfs', directory])
    try {
      const full = pullOci(request('large:1', { directory }))
      await expect(full).rejects.toMatchObject({ code: 'ENOSPC' })
      expect(readdirSync(directory)).toEqual([])
    } finally {
      execFileSync('umount', [directory])
    }
  })
})
