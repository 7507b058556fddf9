import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { text as readText } from 'node:stream/consumers'
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { bundleProgram } from '../../fixtures/bundled-program.ts'
import { lacks } from '../../fixtures/requires.ts'

const probe = bundleProgram('integration/runtime/console-probe')
afterAll(() => probe[Symbol.dispose]())
const [node, script] = probe.command
const requests = join(probe.directory, 'requests')
beforeEach(() => rmSync(requests, { force: true }))

/** What appears on stdout, a pipe, when a shell script runs on the console. */
function shown(mode: string, noise: string, payload: string, env: NodeJS.ProcessEnv = {}): string {
  const { status, stdout, stderr } = spawnSync(
    node,
    [script, mode, noise, requests, 'sh', '-c', payload],
    { encoding: 'utf8', env: { ...probe.env, ...env }, input: '', maxBuffer: 64 << 20 },
  )
  if (status !== 0) throw new Error(stderr)
  return stdout
}

describe('a console without a terminal', () => {
  test('shows everything that is written, though it ends at once', () => {
    const lines = Array.from({ length: 100_000 }, (_, i) => `${i + 1}\r\n`).join('')
    expect(shown('read-only', 'quiet', 'seq 100000') === lines).toBe(true)
  })

  test('ends the last line unless it is to be quiet', () => {
    expect(shown('read-only', 'loud', 'printf x')).toBe('x\n')
    expect(shown('read-only', 'loud', 'echo x')).toBe('x\r\n')
    expect(shown('read-only', 'loud', 'true')).toBe('\n')
    expect(shown('read-only', 'quiet', 'printf x')).toBe('x')
  })

  test('goes on when everyone has closed the console and someone opens it again', () => {
    const payload = `t=$(tty); exec </dev/null >&- 2>&-; sleep 0.2; echo again >$t; sleep 0.2`
    expect(shown('read-only', 'quiet', payload)).toBe('again\r\n')
  })

  test('passes on what is piped in, and stays when that ends', () => {
    const { stdout } = spawnSync(
      node,
      [
        script,
        'interactive',
        'quiet',
        requests,
        'sh',
        '-c',
        'stty -echo; echo go; read a; echo "<$a>"',
      ],
      { encoding: 'utf8', env: probe.env, input: 'word\n' },
    )
    expect(stdout.replace('word\r\n', '')).toBe('go\r\n<word>\r\n')
  })

  test('shows output when it is passive, as systemd-nspawn does', () => {
    expect(shown('passive', 'loud', 'echo x')).toBe('x\r\n')
  })

  test('is 24 by 80, or what the environment says', () => {
    expect(shown('read-only', 'quiet', 'stty size')).toBe('24 80\r\n')
    const env = { LINES: '11', COLUMNS: '99' }
    expect(shown('read-only', 'quiet', 'stty size', env)).toBe('11 99\r\n')
    expect(shown('read-only', 'quiet', 'stty size', { LINES: '-1', COLUMNS: 'x' })).toBe(
      '24 80\r\n',
    )
  })

  test('appends to a file that others write to', () => {
    const file = join(probe.directory, 'log')
    const fd = openSync(file, 'w')
    writeSync(fd, 'before\n')
    spawnSync(node, [script, 'read-only', 'quiet', requests, 'echo', 'x'], {
      env: probe.env,
      stdio: ['ignore', fd, 'inherit'],
    })
    writeSync(fd, 'after\n')
    closeSync(fd)
    expect(readFileSync(file, 'utf8')).toBe('before\nx\r\nafter\n')
  })

  test('asks for the end when nobody reads any more', () => {
    const line = [node, script, 'read-only', 'quiet', requests, 'yes'].join(' ')
    execFileSync('bash', ['-c', `${line} | head -1`], { env: probe.env })
    expect(JSON.parse(readFileSync(requests, 'utf8'))).toContain('kill')
  })

  test('leaves the pipe of its caller blocking', () => {
    const line = [node, script, 'interactive', 'quiet', requests, 'true'].join(' ')
    const flags = `perl -MFcntl -e 'print STDERR fcntl(STDOUT, F_GETFL, 0) & O_NONBLOCK'`
    const both = `{ ${line}; ${flags}; } | cat`
    const { stderr } = spawnSync('bash', ['-c', both], { encoding: 'utf8', env: probe.env })
    expect(stderr).toBe('0')
  })
})

test('gives back the terminal of the keys when the one of the output cannot be written to', () => {
  using restoring = bundleProgram('integration/runtime/console-restore-probe')
  const [program, file] = restoring.command
  const { stderr } = spawnSync(program, [file], { encoding: 'utf8', env: restoring.env })
  const { thrown, restored } = JSON.parse(stderr) as { thrown: string; restored: boolean[] }
  expect(thrown).toBe('clean-up failed')
  expect(restored[0]).toBe(true)
})

describe('a console with a background', () => {
  const env = { ...probe.env, PROBE_BACKGROUND: '44' }
  const words = (mode: string) => [script, mode, 'loud', requests, 'printf', '\\033[0mx\\n']

  test('colours a terminal, and gives it back as it was', async () => {
    const line = [node, ...words('interactive').map((word) => `'${word}'`)].join(' ')
    const argv = ['--quiet', '--return', '--command', line, '/dev/null']
    // Its standard input stays open: at its end, script would type an end of file.
    const running = spawn('script', argv, { env, stdio: ['pipe', 'pipe', 'inherit'] })
    const stdout = await readText(running.stdout)
    const [begin, end] = ['\u001b[44m\u001b[K', '\u001b[0m\u001b[J']
    expect(stdout.replaceAll('\r', '')).toBe(`${begin}\u001b[0m\u001b[44mx\n\u001b[K${end}`)
  })

  test('adds nothing to what does not go to a terminal, or is not interactive', () => {
    for (const mode of ['interactive', 'read-only']) {
      const { stdout } = spawnSync(node, words(mode), { encoding: 'utf8', env, input: '' })
      expect(stdout).toBe('\u001b[0mx\r\n')
    }
  })
})

describe.skipIf(lacks('program:tmux'))('a console in a terminal', () => {
  // A socket for each test: a server that was told to end may still answer on its own.
  let socket = ''
  let servers = 0
  const tmux = (...args: string[]): string =>
    execFileSync('tmux', ['-S', socket, '-f', '/dev/null', ...args], {
      encoding: 'utf8',
      env: probe.env,
    })
  const sees = (text: string) =>
    vi.waitFor(() => expect(tmux('capture-pane', '-p', '-t', 'probe')).toContain(text), {
      timeout: 10_000,
    })
  const start = (payload: string): void => {
    const line = [
      node,
      script,
      'interactive',
      'loud',
      requests,
      'setsid',
      '-c',
      ...payload.split(' '),
    ]
    socket = join(probe.directory, `tmux-${servers++}`)
    const after = 'stty -a | grep -oE -- "-?icanon"; sleep 30'
    tmux('new-session', '-d', '-s', 'probe', '-x', '90', '-y', '30', `${line.join(' ')}; ${after}`)
  }

  test('passes keys, sizes and interrupts, and gives the terminal back', async () => {
    start('sh')
    try {
      tmux('send-keys', '-t', 'probe', 'stty size', 'Enter')
      await sees('30 90')
      tmux('resize-window', '-t', 'probe', '-x', '70', '-y', '20')
      tmux('send-keys', '-t', 'probe', 'sleep 0.2; stty size', 'Enter')
      await sees('20 70')
      tmux('send-keys', '-t', 'probe', 'echo wait; sleep 60', 'Enter')
      await sees('\nwait')
      tmux('send-keys', '-t', 'probe', 'C-c')
      tmux('send-keys', '-t', 'probe', 'echo "status $?"', 'Enter')
      await sees('status 130')
      tmux('send-keys', '-t', 'probe', 'exit', 'Enter')
      await sees('\nicanon')
      expect(JSON.parse(readFileSync(requests, 'utf8'))).toEqual([])
    } finally {
      tmux('kill-server')
    }
  })

  test('hears the keys for restart, shutdown and end', async () => {
    start('cat')
    try {
      tmux('send-keys', '-t', 'probe', 'ready', 'Enter')
      await sees('ready\nready')
      tmux('send-keys', '-t', 'probe', 'C-]', 'C-]', 'r', 'C-]', 'C-]', 'p', 'C-]', 'C-]', 'C-]')
      await vi.waitFor(() => expect(existsSync(requests)).toBe(true), { timeout: 10_000 })
      expect(JSON.parse(readFileSync(requests, 'utf8'))).toEqual([39, 38, 'kill'])
      await sees('\nicanon')
    } finally {
      tmux('kill-server')
    }
  })
})
