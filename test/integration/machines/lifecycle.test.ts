/** Machines that run are found, described and ended by their names. */
import { existsSync, readFileSync } from 'node:fs'
import { execa } from 'execa'
import { describe, expect, test, vi } from 'vitest'
import { runContainer } from '../../../src/runtime/client.ts'
import { defaultSettings } from '../../../src/settings/settings.ts'
import { debianTree } from '../../fixtures/debian-tree.ts'
import { tsnspawn, tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { startMachine, verb } from './running-machine.ts'

const stateFile = (name: string) => `/run/tsnspawn/machines/${name}.json`

describe.skipIf(lacks('root', 'user namespaces', 'overlay'))('a machine', () => {
  test('is listed, shown and described while it runs', async () => {
    await using machine = await startMachine(['sleep', '97'], ['-U', '--private-network'])
    const listed = await verb('list', '-o', 'json')
    const rows = JSON.parse(listed.stdout) as { machine: string }[]
    expect(rows.find((row) => row.machine === machine.name)).toEqual({
      machine: machine.name,
      class: 'container',
      service: 'systemd-nspawn',
      os: 'debian',
      version: '12',
      addresses: null,
    })
    const shown = await verb('show', machine.name)
    const properties = Object.fromEntries(shown.stdout.split('\n').map((line) => line.split('=')))
    expect(properties).toMatchObject({
      Name: machine.name,
      Class: 'container',
      State: 'running',
      RootDirectory: await debianTree(),
      Supervisor: String(machine.supervisor.pid),
    })
    expect(properties['Id']).toMatch(/^[0-9a-f]{32}$/)
    const leader = readFileSync(`/proc/${properties['Leader']}/cmdline`, 'latin1')
    expect(leader.split('\0')).toEqual(['sleep', '97', ''])
    const status = await verb('status', machine.name)
    expect(status.stdout).toContain(`${machine.name}(${properties['Id']})\n           Since: `)
    expect(status.stdout).toMatch(/\n {14}OS: Debian GNU\/Linux 12 \(bookworm\)\n/)
    expect(status.stdout).toContain(`└─${properties['Leader']} sleep 97`)
  })

  test.skipIf(lacks('program:setpriv'))(
    'has an unknown number of processes for who may not see them',
    async () => {
      await using machine = await startMachine(['sleep', '97'], ['-U'])
      const [program, ...args] = tsnspawnBuild('status', machine.name)
      const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups']
      const { stdout } = await execa('setpriv', [...nobody, program, ...args])
      expect(stdout).toMatch(/\n {7}Processes: unknown$/)
      expect((await verb('status', machine.name)).stdout).toMatch(/\n {7}Processes: 1\n/)
    },
  )

  test('keeps its name to itself', async () => {
    await using machine = await startMachine(['sleep', '97'])
    const [program, ...args] = tsnspawn('-D', await debianTree(), '-x', '-M', machine.name, 'true')
    const { exitCode, stderr } = await execa(program, args, { reject: false })
    expect(exitCode).toBe(1)
    expect(stderr).toContain(`machine ${machine.name} already exists`)
    const again = await execa(program, ['--register=no', '-q', ...args], { reject: false })
    expect(again).toMatchObject({ exitCode: 0, stderr: '' })
    expect(existsSync(stateFile(machine.name))).toBe(true)
  })

  test('that the library runs is registered like any other', async () => {
    const name = `library-${process.pid}`
    const running = runContainer({
      settings: {
        ...defaultSettings(),
        root: { kind: 'directory', path: await debianTree() },
        ephemeral: true,
        machine: name,
        command: ['sleep', '96'],
      },
      stdio: 'capture',
    })
    await vi.waitFor(
      async () =>
        expect((await verb('show', name, '-p', 'State', '--value')).stdout).toBe('running'),
      { timeout: 20_000, interval: 100 },
    )
    expect((await verb('shell', name, 'cat', '/proc/1/comm')).stdout).toBe('sleep')
    await verb('terminate', name)
    expect((await running).signal).toBe(9)
    expect(existsSync(stateFile(name))).toBe(false)
  })

  test('is not registered when that is not wanted, and refused where machined is insisted on', async () => {
    const name = `unregistered-${process.pid}`
    const inside = ['-q', '-P', '-D', await debianTree(), '-x', '-M', name]
    const [program, ...args] = tsnspawn('--register=no', ...inside, 'sleep', '1')
    const running = execa(program, args, { reject: false })
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(existsSync(stateFile(name))).toBe(false)
    await running
    const [, ...insisting] = tsnspawn('--register=yes', ...inside, 'true')
    const { exitCode, stderr } = await execa(program, insisting, { reject: false })
    if (existsSync('/run/systemd/system')) return
    expect(exitCode).toBe(1)
    expect(stderr).toContain('this host does not run it')
  })

  test('with an init shuts down when it is asked to', async () => {
    await using machine = await startMachine(['sleep', '97'], ['--as-pid2'])
    expect(await verb('poweroff', machine.name)).toMatchObject({ exitCode: 0, stderr: '' })
    expect((await machine.supervisor).exitCode).toBe(0)
    expect(existsSync(stateFile(machine.name))).toBe(false)
  })

  test('that cannot hear a request says so, and is ended at once all the same', async () => {
    await using machine = await startMachine(['sleep', '97'])
    const deaf = await verb('stop', machine.name)
    expect(deaf.exitCode).toBe(2)
    expect(deaf.stderr).toContain('takes no request to power off')
    expect((await verb('terminate', machine.name)).exitCode).toBe(0)
    expect(existsSync(stateFile(machine.name))).toBe(false)
    expect((await machine.supervisor).exitCode).toBe(1)
    const gone = await verb('status', machine.name)
    expect(gone.exitCode).toBe(2)
    expect(gone.stderr).toContain(`no machine ${machine.name} is running`)
  })

  test('passes signals to its first process or to all', async () => {
    const script = 'trap "kill -9 $!; exit 7" USR1; sleep 96 & while :; do wait; done'
    await using machine = await startMachine(['sh', '-c', script])
    const kill = ['kill', machine.name, '--kill-whom=leader', '-s']
    expect((await verb(...kill, 'NOSUCH')).exitCode).toBe(2)
    expect((await verb(...kill, 'SIGUSR1')).exitCode).toBe(0)
    expect((await machine.supervisor).exitCode).toBe(7)

    await using other = await startMachine(['sh', '-c', 'sleep 95; exit 9'])
    await verb('kill', other.name)
    expect((await other.supervisor).exitCode).toBe(9)
  })

  test('whose supervisor is killed is gone, and its file is swept by the next one', async () => {
    const machine = await startMachine(['sleep', '97'])
    machine.supervisor.kill('SIGKILL')
    await machine.supervisor
    expect((await verb('show', machine.name)).exitCode).toBe(2)
    expect(existsSync(stateFile(machine.name))).toBe(true)
    await using next = await startMachine(['sleep', '97'])
    expect(existsSync(stateFile(next.name))).toBe(true)
    expect(existsSync(stateFile(machine.name))).toBe(false)
  })
})
