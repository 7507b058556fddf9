/** Trees of the rpm family with a package manager of their own: the real dnf and the real zypper, from this host. */
import { execa } from 'execa'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import fedora from '../../../recipes/fedora.ts'
import tumbleweed from '../../../recipes/opensuse-tumbleweed.ts'
import { createTree, planCreate } from '../../../src/bootstrap/create.ts'
import type { TreeRequest } from '../../../src/bootstrap/plan.ts'
import { TreeFiles } from '../../../src/bootstrap/tree-files.ts'
import { updateTree, type UpdatedTree } from '../../../src/bootstrap/update.ts'
import { findImage } from '../../../src/images/discover.ts'
import { silent } from '../../../src/log.ts'
import { lacks } from '../../fixtures/requires.ts'
import {
  rpmArchitecture,
  rpmMirror,
  rpmMirrorNeeds,
  type RpmSpec,
} from '../../fixtures/rpm-repository.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { managerPackage } from '../../fixtures/tiny-managers.ts'
import { serve, type WebServer } from '../../fixtures/web-server.ts'

const missing = lacks('root', 'program:dnf', 'program:zypper', 'program:dpkg', ...rpmMirrorNeeds)

const slow = 300_000

const tool = (version: string, more: Partial<RpmSpec> = {}): RpmSpec => ({
  name: 'tool',
  version,
  files: { '/usr/share/tool': `${version}\n` },
  requires: ['/bin/sh'],
  ...more,
})

interface Family {
  readonly request: TreeRequest
  /** Where the tree's own package manager looks for repositories. */
  readonly repositories: string
  readonly provides: readonly string[]
  readonly distribution: { readonly id: string; readonly version: string }
  /** Of its first repository on a mirror. */
  readonly path: (architecture: string) => string
  /** Directories that it must leave as they were. */
  readonly clean: readonly string[]
}

const families: Readonly<Record<'dnf' | 'zypper', Family>> = {
  dnf: {
    request: { recipe: 'fedora', via: 'dnf', updates: 'none' },
    repositories: 'etc/yum.repos.d',
    provides: fedora.packageSets.minimal.include,
    distribution: { id: 'fedora', version: '43' },
    path: (architecture) => `releases/43/Everything/${architecture}/os`,
    clean: ['tmp', 'var/tmp', 'root'],
  },
  zypper: {
    request: { recipe: 'opensuse-tumbleweed', via: 'zypper' },
    repositories: 'etc/zypp/repos.d',
    provides: tumbleweed.packageSets.minimal.include,
    distribution: { id: 'opensuse-tumbleweed', version: '20261120' },
    path: () => tumbleweed.repositories[0].path,
    clean: ['tmp', 'var/tmp', 'root'],
  },
}

describe.skipIf(missing).each(['dnf', 'zypper'] as const)('update of a tree with %s', (manager) => {
  const { request, repositories, provides, distribution, path, clean } = families[manager]
  let dir: TemporaryDirectory
  let server: WebServer
  const routes: Record<string, Buffer> = {}
  const machines = () => join(dir.path, 'machines')
  const tree = () => join(machines(), 'box')
  const context = () => ({
    machinesDirectory: machines(),
    stateDirectory: join(dir.path, 'state'),
    cache: 'off' as const,
    log: silent,
  })

  beforeAll(async () => {
    dir = await temporaryDirectory()
    server = await serve(routes)
    const own = provides.filter((name) => name !== manager)
    const mirror = await rpmMirror({
      distribution,
      provides: own,
      repositories: {
        [path(await rpmArchitecture())]: {
          packages: [
            'system',
            tool('1'),
            await managerPackage(manager, provides.includes(manager) ? [manager] : []),
          ],
        },
      },
    })
    const include = ['tool', `tiny-${manager}`]
    const plan = await planCreate(
      { ...request, name: 'box', mirror: mirror.path, keyring: mirror.keyring, include },
      machines(),
    )
    await createTree(plan, context())
    const files = new TreeFiles(tree())
    files.empty(`/${repositories}`)
  }, slow)

  afterAll(async () => {
    await server?.[Symbol.asyncDispose]()
    await dir?.[Symbol.asyncDispose]()
  })

  /** What the tree finds in its one repository from now on. */
  async function publish(
    packages: readonly RpmSpec[],
    signedBy: 'archive' | 'stranger' = 'archive',
  ): Promise<void> {
    for (const one of Object.keys(routes)) delete routes[one]
    const mirror = await rpmMirror({
      distribution,
      repositories: {
        updates: { packages, packagesSignedBy: signedBy, metadataSignedBy: signedBy },
      },
    })
    Object.assign(routes, mirror.routes())
    const files = new TreeFiles(tree())
    files.write('/etc/pki/key.asc', readFileSync(mirror.keyring))
    // Each mirror of the tests has a key of its own.
    await execa('chroot', [tree(), 'rpm', '--import', '/etc/pki/key.asc'])
    const lines = ['[updates]', 'name=updates', 'enabled=1', `baseurl=${server.origin}/updates`]
    const checks = ['gpgcheck=1', 'gpgkey=file:///etc/pki/key.asc', '']
    files.write(`/${repositories}/updates.repo`, [...lines, ...checks].join('\n'))
  }

  const update = (mode: 'apply' | 'preview'): Promise<UpdatedTree> =>
    updateTree(findImage('box', machines())!, mode, context())
  const content = () => readFileSync(join(tree(), 'usr/share/tool'), 'utf8')
  const change = (from: string, to: string) => ({
    name: 'tool',
    architecture: 'noarch',
    from: `${from}-1`,
    to: `${to}-1`,
  })

  test(
    'what would change is shown first; then it changes, in one step, and only once',
    { timeout: slow },
    async () => {
      await publish([tool('2')])
      expect((await update('preview')).changes).toEqual([change('1', '2')])
      expect(content()).toBe('1\n')
      const before = statSync(tree()).ino
      expect((await update('apply')).changes).toEqual([change('1', '2')])
      expect(content()).toBe('2\n')
      expect(statSync(tree()).ino).not.toBe(before)
      const query = ['rpm', '-q', '--qf', '%{VERSION}', 'tool']
      expect((await execa('chroot', [tree(), ...query])).stdout).toBe('2')
      for (const one of clean) expect(readdirSync(join(tree(), one)), one).toEqual([])
      expect((await update('apply')).changes).toEqual([])
      expect(readdirSync(machines())).toEqual(['box'])
    },
  )

  test.each<[string, string, string | RegExp, () => Promise<void>]>([
    [
      'a script that fails',
      'BOOTSTRAP_SCRIPT',
      /%post of tool-3-1\.noarch/,
      () => publish([tool('3', { scripts: { post: ['echo gone wrong', 'exit 3'] } })]),
    ],
    [
      'a package signed by a stranger',
      'BOOTSTRAP_',
      'cannot bring the tree up to date',
      () => publish([tool('4')], 'stranger'),
    ],
    [
      'a mirror that is not there',
      'BOOTSTRAP_',
      'cannot bring the tree up to date',
      async () => {
        await publish([tool('5')])
        for (const one of Object.keys(routes)) delete routes[one]
      },
    ],
  ])('%s leaves the tree as it was', { timeout: slow }, async (_what, code, words, prepare) => {
    const old = content()
    await prepare()
    const inode = statSync(tree()).ino
    await expect(update('apply')).rejects.toMatchObject({
      code: expect.stringMatching(code) as string,
      message: expect.stringMatching(words) as string,
      log: join(dir.path, 'state/logs/update-box.log'),
    })
    expect(statSync(tree()).ino).toBe(inode)
    expect(content()).toBe(old)
    expect(readdirSync(machines())).toEqual(['box'])
  })
})
