import { mkdir, symlink, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { pacman } from '../../../../src/build/installers/pacman.ts'
import {
  installedPacmanPackages,
  parseEntry,
} from '../../../../src/build/installers/pacman-packages.ts'
import { readPacmanSetup } from '../../../../src/build/installers/pacman-repositories.ts'
import { temporaryDirectory } from '../../../fixtures/temporary.ts'
import { serve, type Responder } from '../../../fixtures/web-server.ts'

async function put(root: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
}

const answer =
  (text: string, date?: string): Responder =>
  (_request, response) => {
    const dated = date === undefined ? {} : { 'last-modified': date }
    response.writeHead(200, { 'content-length': text.length, ...dated }).end(text)
  }

test('repositories are those of the configuration and what it includes, in its order', async () => {
  await using work = await temporaryDirectory()
  await put(work.path, {
    'etc/pacman.conf': [
      '[options]',
      'Architecture = x86_64 x86_64_v3',
      '#[testing]',
      '[core]',
      'SigLevel = Required',
      'Server = http://first.example/$repo/os/$arch',
      'Include = /etc/pacman.d/mirrorlist',
      '[own]',
      'Server = file:///repo',
      'Include = /etc/pacman.d/*.repo',
    ].join('\n'),
    'etc/pacman.d/mirrorlist': '#Server = no\nServer = http://second.example/$repo/$arch\n',
    'etc/pacman.d/more.repo': '[more]\nServer = http://more.example\n',
    'etc/pacman.d/more.txt': '[never]\n',
  })
  expect(await readPacmanSetup(work.path)).toEqual({
    architecture: 'x86_64',
    fetchesItself: true,
    repositories: [
      {
        name: 'core',
        servers: ['http://first.example/core/os/x86_64', 'http://second.example/core/x86_64'],
      },
      { name: 'own', servers: ['file:///repo'] },
      { name: 'more', servers: ['http://more.example'] },
    ],
  })
})

test('a file that includes itself, or one of the host, does no harm', async () => {
  await using work = await temporaryDirectory()
  await put(work.path, {
    'etc/pacman.conf': '[a]\nServer = http://a\nInclude = /etc/pacman.conf\n',
  })
  await symlink('../../../../../etc/passwd', join(work.path, 'etc/link'))
  const { repositories } = await readPacmanSetup(work.path)
  expect(repositories.map(({ name }) => name)).toEqual(['a'])
})

describe('databases', () => {
  const date = 'Thu, 01 Jan 2026 00:00:00 GMT'
  const seconds = Date.parse(date) / 1000
  const configuration = (...servers: readonly string[]) =>
    `[core]\n${servers.map((server) => `Server = ${server}\n`).join('')}`

  test('of a mirror are known by the same marks as those that pacman has fetched', async () => {
    await using work = await temporaryDirectory()
    await using server = await serve({ '/core.db': answer('12345', date) })
    await put(work.path, {
      'etc/pacman.conf': configuration(server.origin),
      'layer/var/lib/pacman/sync/core.db': '12345',
    })
    await utimes(join(work.path, 'layer/var/lib/pacman/sync/core.db'), seconds, seconds)
    const now = await pacman.currentIndexes(work.path, undefined)
    expect(now).toEqual([`core ${seconds} 5`])
    expect(await pacman.layerIndexes(join(work.path, 'layer'))).toEqual(now)
  })

  test('are asked for at the next server where one does not answer', async () => {
    await using work = await temporaryDirectory()
    await using server = await serve({ '/core.db': answer('12345', date) })
    await put(work.path, {
      'etc/pacman.conf': configuration(`${server.origin}/nothing`, server.origin),
    })
    expect(await pacman.currentIndexes(work.path, undefined)).toEqual([`core ${seconds} 5`])
  })

  test('cannot be known where nobody answers, or nobody says how old they are, or they are too young', async () => {
    await using work = await temporaryDirectory()
    const young = new Date().toUTCString()
    await using server = await serve({
      '/undated/core.db': answer('12345'),
      '/young/core.db': answer('12345', young),
    })
    for (const place of ['undated', 'young', 'absent']) {
      await put(work.path, { 'etc/pacman.conf': configuration(`${server.origin}/${place}`) })
      expect(await pacman.currentIndexes(work.path, undefined)).toBeUndefined()
    }
    const own = `[options]\nXferCommand = /usr/bin/wget\n${configuration(server.origin)}`
    await put(work.path, { 'etc/pacman.conf': own })
    expect(await pacman.currentIndexes(work.path, undefined)).toBeUndefined()
  })

  test('of a directory of the tree are looked at there, not on the host', async () => {
    await using work = await temporaryDirectory()
    await put(work.path, {
      'etc/pacman.conf': configuration('file:///repo'),
      'repo/core.db': '123',
    })
    await utimes(join(work.path, 'repo/core.db'), seconds, seconds)
    expect(await pacman.currentIndexes(work.path, undefined)).toEqual([`core ${seconds} 3`])
  })
})

test('installed packages are those of all layers', async () => {
  await using work = await temporaryDirectory()
  const entry = (name: string, version: string) =>
    `%NAME%\n${name}\n\n%VERSION%\n${version}\n\n%ARCH%\nany\n`
  await put(work.path, {
    'tree/var/lib/pacman/local/ALPM_DB_VERSION': '9\n',
    'tree/var/lib/pacman/local/b-1-1/desc': entry('b', '1-1'),
    'upper/var/lib/pacman/local/a-2-1/desc': entry('a', '2-1'),
    'upper/var/lib/pacman/local/half-1-1/files': '%FILES%\n',
  })
  const layers = ['upper', 'tree', 'nothing'].map((name) => join(work.path, name))
  expect(await installedPacmanPackages(layers)).toEqual([
    { name: 'a', version: '2-1', architecture: 'any' },
    { name: 'b', version: '1-1', architecture: 'any' },
  ])
  expect(parseEntry('%NAME%\nx\n')).toBeUndefined()
})

test('pacman asks nothing, and what it installs is named after its options', () => {
  for (const { command } of [...pacman.refresh(), pacman.install(['x'])])
    expect(command).toContain('--noconfirm')
  expect(pacman.install(['--x', 'y']).command.slice(-3)).toEqual(['--', '--x', 'y'])
})
