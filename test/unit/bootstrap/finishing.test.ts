import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import debian from '../../../recipes/debian.ts'
import { finishTree } from '../../../src/bootstrap/finishing.ts'
import { planTree, type TreeRequest } from '../../../src/bootstrap/plan.ts'
import { strategiesOf } from '../../../src/bootstrap/strategies.ts'
import { TreeFiles } from '../../../src/bootstrap/tree-files.ts'
import { bootstrapHost } from '../../fixtures/bootstrap-host.ts'
import { treeInMaking } from '../../fixtures/tree-in-making.ts'

const templates = new URL('../../../templates', import.meta.url).pathname

const host = bootstrapHost()

let root: string
let files: TreeFiles

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tree-'))
  files = new TreeFiles(root)
})

afterEach(() => rmSync(root, { recursive: true }))

async function finish(request: Omit<TreeRequest, 'recipe'> = {}) {
  const plan = planTree({ recipe: 'debian', ...request }, debian, host, strategiesOf(debian), '/m')
  await finishTree({ files, plan, tree: treeInMaking(root), templates })
}

test.skipIf(process.getuid?.() !== 0)(
  'nothing of the host is left, and doing it twice changes nothing',
  async () => {
    files.write('/etc/hostname', 'builder\n')
    files.write('/etc/resolv.conf', 'nameserver 192.0.2.1\n')
    files.write('/etc/shadow', 'root:!:1:0:99999:7:::\nbin:*:1::::::\n', 0o640)
    files.write('/var/cache/apt/archives/a_1_all.deb', 'x')
    files.write('/var/log/bootstrap.log', 'x')
    files.write('/dev/null', 'no device')
    files.write('/etc/apt/sources.list', 'deb file:///tmp x main\n')
    const look = () => ({
      etc: files.list('/etc').toSorted(),
      hosts: files.read('/etc/hosts'),
      machineId: files.read('/etc/machine-id'),
      archives: files.list('/var/cache/apt/archives'),
      log: files.list('/var/log'),
      dev: files.list('/dev'),
      sources: files.read('/etc/apt/sources.list.d/debian.sources'),
      oneLine: files.read('/etc/apt/sources.list'),
    })
    await finish()
    const once = look()
    expect(once).toMatchObject({
      hosts: '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n',
      machineId: '',
      archives: [],
      log: [],
      dev: [],
      oneLine: undefined,
    })
    expect(once.etc).not.toContain('hostname')
    expect(once.etc).not.toContain('resolv.conf')
    expect(once.sources).toContain('Suites: trixie trixie-updates\n')
    expect(once.sources).toContain('Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n')
    await finish()
    expect(look()).toEqual(once)
  },
)

test.skipIf(process.getuid?.() !== 0)(
  'a tree that is to boot gets its name, a first boot and keeps its resolver link',
  async () => {
    mkdirSync(join(root, 'etc'))
    symlinkSync('../run/systemd/resolve/stub-resolv.conf', join(root, 'etc/resolv.conf'))
    await finish({ name: 'web', variant: 'boot' })
    expect(files.read('/etc/hostname')).toBe('web\n')
    expect(files.read('/etc/machine-id')).toBe('uninitialized\n')
    expect(files.stat('/etc/resolv.conf', 'keep')?.isSymbolicLink()).toBe(true)
  },
)

test.skipIf(process.getuid?.() !== 0)('older releases get one-line sources', async () => {
  await finish({ release: 'bookworm', updates: 'none' })
  expect(files.read('/etc/apt/sources.list')).toBe(
    'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://ftp.debian.org/debian bookworm main\n',
  )
})

test('a link in the tree does not lead onto the host', () => {
  const outside = mkdtempSync(join(tmpdir(), 'host-'))
  writeFileSync(join(outside, 'file'), 'host')
  mkdirSync(join(root, 'etc'))
  symlinkSync(join(outside, 'file'), join(root, 'etc/hosts'))
  files.write('/etc/hosts', 'tree')
  expect(readFileSync(join(outside, 'file'), 'utf8')).toBe('host')
  expect(files.read('/etc/hosts')).toBe('tree')
  rmSync(outside, { recursive: true })
})
