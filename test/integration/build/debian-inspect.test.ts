/** What is done with the results of a Debian build: they are looked at, installed, removed and purged; in real containers. */
import { execa } from 'execa'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { buildDebian } from '../../../src/build/debian/build.ts'
import type { DebianBuild } from '../../../src/build/debian/driver.ts'
import { describeError, type NspawnError } from '../../../src/errors.ts'
import { aptArchive, buildDeb } from '../../fixtures/apt-archive.ts'
import { debianBuildTree } from '../../fixtures/debian-tree.ts'
import { buildNeeds, lacks } from '../../fixtures/requires.ts'
import { makeSigner } from '../../fixtures/signing.ts'
import { makeSourcePackage, type SourceFixture } from '../../fixtures/source-package.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { serve } from '../../fixtures/web-server.ts'

/** Lines of the rules that make a maintainer script. */
function script(name: string, ...lines: readonly string[]): readonly string[] {
  const place = `debian/tiny/DEBIAN/${name}`
  const put = ['#!/bin/sh', 'set -e', ...lines].map((line) => `echo '${line}' >>${place}`)
  return [['mkdir -p debian/tiny/DEBIAN', ...put, `chmod 755 ${place}`].join(' && ')]
}

describe.skipIf(lacks(...buildNeeds))('the results of a Debian build', { timeout: 300_000 }, () => {
  let tree: string
  let state: string
  let work: string
  let packageSources: NonNullable<DebianBuild['options']['packageSources']>
  /** The archive has a package that they need, an older one of them, and what stands for lintian: it takes a minute to install. */
  beforeAll(async () => {
    tree = await debianBuildTree()
    const temporary = await temporaryDirectory()
    work = temporary.path
    state = join(work, 'state')
    const signer = await makeSigner(work, 'extra')
    const lintian = [
      '#!/bin/sh',
      'echo "N: $(id -un) $(ls /sys/class/net) $*"',
      'echo "W: tiny: warned"; echo "E: tiny: wrong [usr]"',
      'for changes; do :; done; test -e "$changes"',
    ]
    const files = { 'usr/bin/lintian': `${lintian.join('\n')}\n` }
    const debs = [
      await buildDeb(work, { name: 'needed', files: { 'usr/share/needed': '' } }),
      await buildDeb(work, { name: 'tiny', version: '0.5', files: { 'etc/tiny-was': '' } }),
      await buildDeb(work, {
        name: 'lintian',
        version: '99',
        files,
        scripts: { postinst: ['chmod 755 /usr/bin/lintian'] },
      }),
    ]
    const archive = { suite: 'extra', architecture: 'amd64', forApt: true }
    const server = await serve(await aptArchive(debs, signer, archive))
    packageSources = {
      repositories: [`deb ${server.origin}/debian extra main`],
      keys: [signer.armouredKeyring],
      pins: [],
    }
    return async () => {
      await server[Symbol.asyncDispose]()
      await temporary[Symbol.asyncDispose]()
    }
  }, 600_000)

  async function build(
    name: string,
    fixture: SourceFixture,
    options: Partial<DebianBuild['options']>,
  ) {
    const directory = join(work, name)
    await execa('mkdir', [directory])
    const dsc = await makeSourcePackage(directory, fixture)
    const outputDirectory = join(directory, 'out')
    const failure = await buildDebian({
      ...{ tree, outputDirectory, stateDirectory: state },
      source: { kind: 'dsc-file', path: dsc },
      signature: { keyrings: [], required: false },
      options: {
        scope: { any: true, all: true, source: false },
        ...{ jobs: 2, buildOptions: [], profiles: [], network: 'none', environment: {} },
        packageSources,
        ...options,
      },
    }).then(
      () => undefined,
      (error: unknown) => error as NspawnError,
    )
    const read = async (file: string) => readFile(join(outputDirectory, file), 'utf8')
    const record = JSON.parse(await read('build.json')) as {
      result: string
      lint?: unknown
      installCheck?: unknown
      layers: { kind: string; origin: string }[]
      steps: { id: string; user: string; network: string }[]
    }
    return { failure, read, record, files: await readdir(outputDirectory) }
  }

  test('are looked at by lintian and leave nothing when they are good, upgraded ones neither', async () => {
    const own = { depends: 'needed', build: script('postinst', 'touch /var/lib/tiny') }
    const clean = { ...own, build: [...own.build, ...script('postrm', 'rm -f /var/lib/tiny')] }
    const { failure, record, read } = await build('good', clean, {
      lintian: { options: ['--verbose'], failOn: ['info'] },
      installCheck: true,
    })
    expect(failure).toBeUndefined()
    expect(record).toMatchObject({ result: 'succeeded', installCheck: [] })
    expect(record.lint).toEqual(['W: tiny: warned', 'E: tiny: wrong [usr]'])
    expect(await read('lintian.log')).toContain(
      'N: builder lo --color never --fail-on none --display-info --verbose /build/results/tiny_1.0_amd64.changes\n',
    )
    expect(await read('install-check.log')).toBe('')
    const from = record.steps.findIndex(({ id }) => id.startsWith('look-older'))
    expect(record.steps.slice(from + 1).map(({ id, network }) => `${id} ${network}`)).toEqual([
      ...['try-install-fetch-1 host', 'try-install-1 loopback', 'try-remove-1 loopback'],
      ...['try-purge-others-1 loopback', 'try-purge-1 loopback'],
      ...['try-older-fetch-1-upgrade host', 'try-older-1-upgrade loopback'],
      ...['try-install-fetch-1-upgrade host', 'try-install-1-upgrade loopback'],
      ...['try-remove-1-upgrade loopback', 'try-purge-others-1-upgrade loopback'],
      'try-purge-1-upgrade loopback',
    ])
  })

  test('are handed out with all that was found in them when they are not', async () => {
    const lines = [
      'mkdir /etc/tiny.d; touch /etc/tiny.d/kept',
      'echo >>/etc/bash.bashrc; rm -f /etc/issue; ln -s /nowhere /var/dangling',
      'grep -q ^tiny: /etc/passwd || echo tiny:x:990:990::/:/bin/false >>/etc/passwd',
    ]
    const { failure, record, read, files } = await build(
      'bad',
      { build: script('postinst', ...lines) },
      { lintian: { options: [], failOn: ['error'] }, installCheck: true },
    )
    expect(failure).toMatchObject({ code: 'TEST_LINTIAN' })
    expect(describeError(failure)).toContain('  | E: tiny: wrong [usr]')
    expect(describeError(failure)).not.toContain('W: tiny: warned')
    expect(files).toContain('tiny_1.0_amd64.deb')
    expect(record).toMatchObject({ result: 'failed' })
    const left = [
      'changed and not restored: /etc/bash.bashrc',
      'removed and not restored: /etc/issue',
      'left behind: /etc/tiny.d',
      'left behind: /etc/tiny.d/kept',
      'left behind: /var/dangling',
    ]
    const upgraded = left.map((line) => line.replace(':', ', after an upgrade:'))
    const dangling = 'dangling link: /var/dangling'
    expect((await read('install-check.log')).trim().split('\n')).toEqual([
      ...[dangling, ...left],
      ...[dangling, ...upgraded],
    ])
    // Layers of the first build fit.
    expect(record.layers.map(({ kind, origin }) => `${kind} ${origin}`)).toContain('lintian kept')
  })

  test('that cannot be installed are a failure of tests, with the lines that say why', async () => {
    const { failure, files } = await build(
      'missing',
      { depends: 'nobody-has-this' },
      { installCheck: true },
    )
    expect(failure).toMatchObject({ code: 'TEST_INSTALL' })
    expect(describeError(failure)).toContain('nobody-has-this')
    expect(files).toContain('tiny_1.0_amd64.deb')
  })
})
