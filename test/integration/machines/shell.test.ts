/** Commands in a running machine: as whom, held to what, on which terminal, and how they end. */
import { execa } from 'execa'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { startMachine, verb, type BackgroundMachine } from './running-machine.ts'

describe.skipIf(lacks('root', 'user namespaces', 'overlay')).each([
  ['with users of its own', ['-U', '--private-network', '--drop-capability=CAP_CHOWN']],
  ['with an init', ['-a', '--drop-capability=CAP_CHOWN']],
])('in a machine %s', (_title, options) => {
  let machine: BackgroundMachine
  beforeAll(async () => {
    machine = await startMachine(['sleep', '97'], options)
  })
  afterAll(() => machine[Symbol.asyncDispose]())
  const inside = (...argv: string[]) => verb('shell', machine.name, ...argv)

  test('a command runs in every namespace of the machine, and under its root', async () => {
    const { stdout } = await inside(
      'sh',
      '-c',
      'for n in mnt pid ipc uts net cgroup user; do readlink /proc/self/ns/$n; readlink /proc/1/ns/$n; done; hostname; pwd; cat /proc/1/comm',
    )
    const lines = stdout.split('\n')
    for (let i = 0; i < 14; i += 2) expect(lines[i]).toBe(lines[i + 1])
    expect(lines.slice(14, 16)).toEqual([machine.name, '/root'])
  })

  test('a command may do no more than the payload', async () => {
    const fields = ['CapBnd', 'CapEff', 'Seccomp', 'Seccomp_filters', 'NoNewPrivs']
    const pattern = `^(${fields.join('|')}):`
    const own = await inside('grep', '-E', pattern, '/proc/self/status')
    const find = 'for p in /proc/[0-9]*; do read n <$p/comm; [ "$n" != sleep ] || echo $p; done'
    const payload = (await inside('sh', '-c', find)).stdout
    const wanted = await inside('grep', '-E', pattern, `${payload}/status`)
    expect(wanted.stdout).toContain('CapBnd')
    expect(own.stdout).toBe(wanted.stdout)
    expect((await inside('chown', '1:1', '/tmp')).exitCode).toBe(1)
  })

  test('a command is in the control group of the machine', async () => {
    const { stdout } = await inside('cat', '/proc/self/cgroup')
    expect(stdout).toBe((await inside('cat', '/proc/1/cgroup')).stdout)
  })
})

describe.skipIf(lacks('root', 'user namespaces', 'overlay'))('in a machine', () => {
  let machine: BackgroundMachine
  beforeAll(async () => {
    machine = await startMachine(['sleep', '97'], ['-U'])
  })
  afterAll(() => machine[Symbol.asyncDispose]())
  const inside = (...argv: string[]) => verb('shell', machine.name, ...argv)

  /** Runs in a terminal of its own, and types `keys` into it once the prompt is there. */
  async function typed(keys: string, ...argv: string[]) {
    const line = tsnspawnBuild('shell', machine.name, ...argv)
    const running = execa('script', ['-qec', line.join(' '), '/dev/null'], {
      reject: false,
      env: { TERM: 'xterm' },
    })
    const shown = new Promise<void>((resolve) => {
      let text = ''
      running.stdout.on('data', (bytes: Buffer) => {
        text += bytes.toString()
        if (text.includes('# ')) resolve()
      })
    })
    if (keys !== '') {
      await shown
      running.stdin.write(keys)
    }
    const result = await running
    return { status: result.exitCode, text: result.stdout.replaceAll('\r', '') }
  }

  test('a command sees nothing of the caller’s environment, and what it is given', async () => {
    const [program, ...argv] = tsnspawnBuild('shell', '-E', 'GIVEN=a b', machine.name, 'env')
    const { stdout } = await execa(program, argv, { env: { SECRET: 'x', LANG: 'xx' }, input: '' })
    expect(stdout.split('\n').toSorted()).toEqual([
      'GIVEN=a b',
      'HOME=/root',
      'LANG=C.UTF-8',
      'LOGNAME=root',
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'SHELL=/bin/bash',
      'USER=root',
      'container=systemd-nspawn',
    ])
  })

  test('a command has no descriptor of the host but its streams, and they are the caller’s', async () => {
    const [program, ...argv] = tsnspawnBuild(
      'shell',
      machine.name,
      'sh',
      '-c',
      'cat; ls /proc/self/fd; echo err >&2',
    )
    const result = await execa(program, argv, { input: 'typed\n' })
    expect(result).toMatchObject({ stdout: 'typed\n0\n1\n2\n3', stderr: 'err' })
  })

  test('the user is found in the machine, by name or number, with no privileges left', async () => {
    const script = 'id -u; id -g; grep CapEff /proc/self/status'
    const wanted = '65534\n65534\nCapEff:\t0000000000000000'
    const nobody = await verb('shell', `nobody@${machine.name}`, 'sh', '-c', script)
    expect(nobody.stdout).toBe(wanted)
    const number = await verb('shell', '--uid=65534', machine.name, 'sh', '-c', script)
    expect(number.stdout).toBe(wanted)
    const missing = await verb('shell', `nosuch@${machine.name}`, 'true')
    expect(missing.exitCode).toBe(2)
    expect(missing.stderr).toContain(`machine ${machine.name} has no user nosuch`)
  })

  test.each([
    [['sh', '-c', 'exit 7'], 7],
    [['sh', '-c', 'kill -TERM $$'], 143],
    [['nosuch'], 127],
    [['/etc/passwd'], 126],
  ])('the exit status of %j is %i', async (argv, status) => {
    expect((await inside(...argv)).exitCode).toBe(status)
  })

  test('options behind the command are the command’s', async () => {
    expect((await inside('printf', '%s', '--help', '-q')).stdout).toBe('--help-q')
  })

  test('a signal to us is passed on', async () => {
    const [program, ...argv] = tsnspawnBuild(
      'shell',
      machine.name,
      'sh',
      '-c',
      'trap "exit 42" TERM; echo up; while :; do sleep 0.1; done',
    )
    const running = execa(program, argv, { reject: false, stdin: 'ignore' })
    await new Promise((resolve) => running.stdout.once('data', resolve))
    running.kill('SIGTERM')
    expect((await running).exitCode).toBe(42)
  })

  test('a command dies with us', async () => {
    const [program, ...argv] = tsnspawnBuild(
      'shell',
      machine.name,
      'sh',
      '-c',
      'echo up; exec sleep 4321',
    )
    const running = execa(program, argv, { reject: false, stdin: 'ignore' })
    await new Promise((resolve) => running.stdout.once('data', resolve))
    running.kill('SIGKILL')
    await running
    await sleep(200)
    expect((await inside('sh', '-c', 'cat /proc/[0-9]*/cmdline')).stdout).not.toContain('4321')
  })

  test('a terminal gets a terminal of the machine, which controls the session', async () => {
    const { status, text } = await typed(
      '',
      'sh',
      '-c',
      '"tty; echo x >/dev/tty; echo $TERM; exit 3"',
    )
    expect(status).toBe(3)
    expect(text).toMatch(/\/dev\/pts\/\d+\nx\nxterm\n/)
    expect(text).toContain(`Connection to machine ${machine.name} terminated.`)
  })

  test('a shell is a login shell, and three ^] leave it', async () => {
    expect(await typed('shopt -q login_shell && exit 9\n')).toMatchObject({ status: 9 })
    expect(await typed('\x1d\x1d\x1d')).toMatchObject({ status: 0 })
  })
})

test.skipIf(lacks('root', 'overlay'))('a session says that its machine has ended', async () => {
  await using machine = await startMachine(['sleep', '97'])
  const line = tsnspawnBuild('shell', machine.name, 'sh', '-c', '"echo up; sleep 60"')
  const running = execa('script', ['-qec', line.join(' '), '/dev/null'], { reject: false })
  await new Promise<void>((resolve) => {
    running.stdout.on('data', (bytes: Buffer) => {
      if (bytes.toString().includes('up')) resolve()
    })
  })
  await verb('terminate', machine.name)
  const { exitCode, stdout } = await running
  expect(stdout).toContain(`Machine ${machine.name} terminated.`)
  expect(exitCode).toBe(1)
})
