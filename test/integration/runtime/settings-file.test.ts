/** Which `.nspawn` file holds for a machine, and what happens to one that cannot be read. */
import { execa } from 'execa'
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ContainerPlan } from '../../../src/plan/plan.ts'
import { tsnspawn } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { Room } from '../../fixtures/room.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'

const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--']
const host = (name: string) => `[Exec]\nHostname=${name}\n`

describe.skipIf(lacks('root'))('the settings file of a machine', () => {
  let directory: TemporaryDirectory
  let room: Room
  let machines = ''
  let tree = ''

  beforeAll(async () => {
    directory = await temporaryDirectory()
    await chmod(directory.path, 0o755)
    machines = join(directory.path, 'machines')
    tree = join(machines, 'box')
    await mkdir(join(tree, 'usr'), { recursive: true })
    room = await Room.open(machines)
    await room.run(['mkdir', '-p', '/run/systemd/nspawn', '/etc/systemd'])
  })
  afterAll(async () => {
    await room[Symbol.asyncDispose]()
    await directory[Symbol.asyncDispose]()
  })
  beforeEach(async () => {
    for (const name of ['box', 'link', 'other']) {
      rmSync(join(machines, `${name}.nspawn`), { recursive: true, force: true })
      await room.run(['rm', '-rf', `/run/systemd/nspawn/${name}.nspawn`])
    }
    rmSync(join(machines, 'link'), { force: true })
  })

  const beside = (name: string, text: string) => writeFileSync(join(machines, name), text)
  const inRun = (name: string, text: string) =>
    room.run(['sh', '-c', 'printf %s "$2" > "/run/systemd/nspawn/$1"', 'sh', name, text])

  async function start(argv: readonly string[], before: readonly string[] = [], cwd = '/') {
    const words = [...before, ...tsnspawn('--print-plan', ...argv)]
    const { status, stdout, stderr } = await room.run(words, { cwd })
    return { status, stderr, hostname: status === 0 ? hostnameIn(stdout) : undefined }
  }
  const hostnameIn = (plan: string) => (JSON.parse(plan) as ContainerPlan).hostname

  test('lies beside the tree, by the name of the machine', async () => {
    beside('box.nspawn', host('beside'))
    beside('other.nspawn', host('other'))
    expect(await start(['-D', tree])).toEqual({ status: 0, stderr: '', hostname: 'beside' })
    expect((await start(['-M', 'box'])).hostname).toBe('beside')
    expect((await start([], [], tree)).hostname).toBe('beside')
    expect((await start(['-D', tree, '-x'])).hostname).toBe('beside')
    expect((await start(['-D', tree, '-M', 'other'])).hostname).toBe('other')
    expect((await start(['-D', tree, '--settings=no'])).hostname).toBe('box')
  })

  test('of a tree behind a link lies beside the link', async () => {
    symlinkSync('box', join(machines, 'link'))
    beside('box.nspawn', host('beside'))
    beside('link.nspawn', host('linked'))
    expect((await start(['-D', join(machines, 'link')])).hostname).toBe('linked')
  })

  test('of a tree that a template is to fill is found before there is one', async () => {
    beside('other.nspawn', host('early'))
    const argv = ['-D', join(machines, 'other'), `--template=${tree}`]
    expect((await start(argv)).hostname).toBe('early')
  })

  test('in /run comes first and is the only one read; a link to nothing counts for none', async () => {
    beside('box.nspawn', host('beside'))
    await inRun('box.nspawn', '[Exec]\nLimitNOFILE=100\n')
    expect(await start(['-D', tree])).toEqual({ status: 0, stderr: '', hostname: 'box' })
    await room.run(['ln', '-sf', '/nonexistent', '/run/systemd/nspawn/box.nspawn'])
    expect((await start(['-D', tree])).hostname).toBe('beside')
  })

  test('beside the tree is not trusted, unless asked for', async () => {
    beside('box.nspawn', `${host('beside')}LimitNOFILE=100\n`)
    const { stderr, hostname } = await start(['-D', tree])
    expect(hostname).toBe('beside')
    expect(stderr).toMatch(/box\.nspawn: ignoring LimitNOFILE=: the file is not trusted/)
    expect((await start(['-D', tree, '--settings=trusted'])).stderr).toBe('')
  })

  test.each<[string, () => unknown, RegExp]>([
    ['a directory', () => mkdirSync(join(machines, 'box.nspawn')), /is no regular file/],
    [
      'a pipe that nobody writes to',
      () => execa('mkfifo', [join(machines, 'box.nspawn')]),
      /is no regular file/,
    ],
    ['a device', () => symlinkSync('/dev/zero', join(machines, 'box.nspawn')), /is no regular/],
    ['too long', () => beside('box.nspawn', '#'.repeat(70_000)), /longer than 64 KiB/],
    ['broken', () => beside('box.nspawn', '\n[Exec'), /box\.nspawn:2: section header \[Exec has/],
  ])('that is %s ends the start at once, and --settings=no helps', async (_what, make, message) => {
    await make()
    const { status, stderr } = await start(['-D', tree])
    expect(status).toBe(1)
    expect(stderr).toMatch(message)
    expect(stderr).toContain('--settings=no')
    expect((await start(['-D', tree, '--settings=no'])).status).toBe(0)
  })

  test('is not looked at by --cleanup', async () => {
    beside('box.nspawn', '[Exec')
    const { status, stderr } = await room.run(tsnspawn('-D', tree, '--cleanup'))
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })

  test('that only root can read is named to others', async () => {
    beside('box.nspawn', host('beside'))
    await chmod(join(machines, 'box.nspawn'), 0o600)
    const { status, stderr } = await start(['-D', tree], asNobody)
    expect(status).toBe(1)
    expect(stderr).toMatch(/settings file .*box\.nspawn cannot be read .*EACCES/)
  })
})
