/** Machines in the background: booted, restarted, shut down, and enabled to start with the host. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { installUnit } from '../../../src/machines/enabled.ts'
import { debianBootTree } from '../../fixtures/debian-tree.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { verb } from './running-machine.ts'

/** What `--link-journal=try-guest` has linked from the host into trees below this directory. */
function removeJournalLinks(directory: string): void {
  const journals = '/var/log/journal'
  if (!existsSync(journals)) return
  for (const entry of readdirSync(journals, { withFileTypes: true })) {
    const path = join(journals, entry.name)
    if (entry.isSymbolicLink() && readlinkSync(path).startsWith(`${directory}/`)) unlinkSync(path)
  }
}

describe.skipIf(lacks('root', 'user namespaces') || existsSync('/run/systemd/system'))(
  'a machine in the background',
  () => {
    const name = `started-${process.pid}`
    let room: TemporaryDirectory
    const run = (...args: string[]) =>
      verb('--machines-dir', join(room.path, 'images'), '--state-dir', room.path, ...args)
    const leader = async () => (await run('show', name, '-p', 'Leader', '--value')).stdout
    beforeAll(async () => {
      room = await temporaryDirectory()
      vi.stubEnv('TSNSPAWN_CONFIG_DIR', join(room.path, 'etc'))
      mkdirSync(join(room.path, 'images/broken/usr'), { recursive: true })
      const image = join(room.path, 'images', name)
      execFileSync('cp', ['-a', '--reflink=auto', '--', await debianBootTree(), image])
    })
    afterAll(async () => {
      await run('terminate', name)
      removeJournalLinks(room.path)
      vi.unstubAllEnvs()
      await room[Symbol.asyncDispose]()
    })

    test('boots, and is left alone by a second start', async () => {
      expect(await run('start', name)).toMatchObject({ exitCode: 0, stderr: '' })
      await vi.waitFor(
        async () => {
          const { stdout } = await run('shell', name, 'systemctl', 'is-system-running')
          expect(stdout).toMatch(/^(running|degraded)$/)
        },
        { timeout: 30_000, interval: 300 },
      )
      const first = await leader()
      expect((await run('start', name)).stderr).toBe(`Machine ${name} is running already.`)
      expect(await leader()).toBe(first)
      const log = readFileSync(join(room.path, `logs/machine-${name}.log`), 'utf8')
      expect(log).toContain('Welcome to')
      await vi.waitFor(
        async () => {
          const { stdout } = await run('status', name, '-n', '2')
          const shown = stdout.split('\n\n')[1]?.split('\n') ?? []
          expect(shown.length).toBeLessThanOrEqual(2)
          expect(shown.at(-1)).toContain('login:')
        },
        { timeout: 30_000, interval: 300 },
      )
    })

    test('restarts under the same supervisor', async () => {
      const [first, supervisor] = [await leader(), await run('show', name, '-p', 'Supervisor')]
      expect((await run('reboot', name)).exitCode).toBe(0)
      await vi.waitFor(async () => expect(await leader()).not.toMatch(`^$|^${first}$`), {
        timeout: 30_000,
        interval: 300,
      })
      await vi.waitFor(
        async () => expect((await run('show', name, '-p', 'State')).stdout).toBe('State=running'),
        { timeout: 30_000 },
      )
      expect((await run('show', name, '-p', 'Supervisor')).stdout).toBe(supervisor.stdout)
    })

    test('shuts down, and starts with all that are enabled', async () => {
      expect((await run('enable', name)).stderr).toContain('Created symlink')
      expect(readlinkSync(join(room.path, 'etc/machines', name))).toContain(name)
      await vi.waitFor(
        async () =>
          expect((await run('shell', name, 'systemctl', 'is-system-running')).stdout).toMatch(
            /^(running|degraded)$/,
          ),
        { timeout: 30_000, interval: 300 },
      )
      expect((await run('poweroff', name)).exitCode).toBe(0)
      await vi.waitFor(async () => expect((await run('show', name)).exitCode).toBe(2), {
        timeout: 30_000,
        interval: 300,
      })
      expect((await run('start', '--enabled')).exitCode).toBe(0)
      expect((await run('show', name)).exitCode).toBe(0)
      expect((await run('disable', name)).stderr).toContain('Removed')
      expect(existsSync(join(room.path, 'etc/machines', name))).toBe(false)
    })

    test('that does not come up says why, and where the whole story is', async () => {
      const { exitCode, stderr } = await run('start', 'broken')
      expect(exitCode).toBe(10)
      expect(stderr).toContain('machine broken did not come up')
      expect(stderr).toContain('it has no os-release file')
      expect(stderr).toContain(`log: ${room.path}/logs/machine-broken.log`)
      expect((await run('start', 'nosuch')).exitCode).toBe(2)
    })

    test('is neither started nor enabled under a name that no machine can have', async () => {
      mkdirSync(join(room.path, 'images/no_name'))
      for (const verbName of ['start', 'enable']) {
        const { exitCode, stderr } = await run(verbName, 'no_name')
        expect({ exitCode, stderr }).toEqual({
          exitCode: 2,
          stderr: 'tsnspawn-build: "no_name" is not a machine name',
        })
      }
    })
  },
)

test.skipIf(lacks('root', 'program:systemctl'))('systemd can enable the unit', async () => {
  await using room = await temporaryDirectory()
  installUnit(room.path)
  const unit = readFileSync(join(room.path, 'etc/systemd/system/tsnspawn@.service'), 'utf8')
  expect(unit).toMatch(/^ExecStart=\/.* --keep-unit --boot .* --machine=%i$/m)
  execFileSync('systemctl', [`--root=${room.path}`, 'enable', 'tsnspawn@web.service'], {
    stdio: 'ignore',
  })
  const link = join(room.path, 'etc/systemd/system/machines.target.wants/tsnspawn@web.service')
  expect(readlinkSync(link)).toBe('/etc/systemd/system/tsnspawn@.service')
})
