/** How a container is started and ended around its payload, with shells in place of whole systems. */
import { execa } from 'execa'
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { debianTree } from '../../fixtures/debian-tree.ts'
import { tsnspawn } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'

let room: TemporaryDirectory
let pristine = ''
beforeAll(async () => {
  room = await temporaryDirectory()
  pristine = await debianTree()
})
afterAll(() => room[Symbol.asyncDispose]())

/** A service manager: prints each datagram that comes in as a line of JSON-like text. */
const listener = `
use Socket; $| = 1;
socket(S, AF_UNIX, SOCK_DGRAM, 0) or die; unlink $ARGV[0];
bind(S, pack_sockaddr_un($ARGV[0])) or die; print "listening\\n";
while (defined recv(S, my $m, 4096, 0)) { $m =~ s/\\n$//; $m =~ s/\\n/|/g; print "$m\\n" }
`

/** Sends to the notify socket from the process that runs it; exec'd by a shell it is still PID 1. */
const say = (text: string) =>
  `perl -MSocket -e 'socket(S, AF_UNIX, SOCK_DGRAM, 0); send(S, "${text}", 0, pack_sockaddr_un($ENV{NOTIFY_SOCKET})) or die $!'`

async function told(args: readonly string[], script: string): Promise<string[]> {
  const address = join(room.path, 'manager')
  const manager = execa('perl', ['-e', listener, address], { reject: false })
  await new Promise((resolve) => manager.stdout.once('data', resolve))
  const [program, ...rest] = tsnspawn('-q', '-P', '-x', '-D', pristine, ...args, 'sh', '-c', script)
  await execa(program, rest, { env: { NOTIFY_SOCKET: address }, stdin: 'ignore' })
  manager.kill()
  return (await manager).stdout.split('\n').slice(1)
}

describe.skipIf(lacks('root', 'overlay', 'program:perl'))('readiness', () => {
  const running = expect.stringMatching(/^STATUS=Container running\.\|X_NSPAWN_LEADER_PID=\d+$/)
  const stopping = 'STOPPING=1|STATUS=Terminating...'

  test('is told at once, unless process 1 shall say so', async () => {
    expect(await told([], 'true')).toEqual([
      expect.stringMatching(/^STATUS=Container running\.\|X_NSPAWN_LEADER_PID=\d+\|READY=1$/),
      stopping,
    ])
    expect(await told(['--notify-ready=yes'], 'true')).toEqual([running, stopping])
  })

  test('comes from process 1 alone, with its status and nothing else', async () => {
    const script = `${say('READY=1')}; ${say('STATUS=a child')}; sleep 0.1; exec ${say('X_OTHER=1\\nSTATUS=up\\nREADY=1')}`
    expect(await told(['--notify-ready=yes'], script)).toEqual([
      running,
      'READY=1',
      'STATUS=Container running: up',
      stopping,
    ])
  })

  test('of a container with users of its own is heard too', async () => {
    expect(await told(['--notify-ready=yes', '-U'], `exec ${say('READY=1')}`)).toEqual([
      running,
      'READY=1',
      stopping,
    ])
  })
})

describe.skipIf(lacks('root', 'overlay'))('the signal to end', () => {
  test.each([[[]], [['-U']]])('waits until process 1 is ready for it, %j', async (more) => {
    const script =
      'echo up; sleep 0.4; trap "echo asked; exit 7" TERM; while :; do sleep 0.05; done'
    const options = ['-P', '-x', '--kill-signal=SIGTERM', '-D', pristine, ...more]
    const [program, ...args] = tsnspawn(...options, 'sh', '-c', script)
    const child = execa(program, args, { reject: false, stdin: 'ignore' })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    child.kill('SIGTERM')
    const { exitCode, stdout } = await child
    expect(stdout).toContain('asked')
    expect(exitCode).toBe(7)
  })

  test('kills what is not ready for it when it comes again', async () => {
    const options = ['-P', '-x', '--kill-signal=SIGTERM', '-D', pristine]
    const [program, ...args] = tsnspawn(...options, 'sh', '-c', 'echo up; exec sleep 60')
    const child = execa(program, args, { reject: false, stdin: 'ignore' })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    child.kill('SIGTERM')
    await new Promise((resolve) => setTimeout(resolve, 100))
    child.kill('SIGTERM')
    expect((await child).exitCode).toBe(1)
  })
})

/** A tree that holds another one, both small: hard links to the pristine tree's files would change it. */
async function nestedTree(name: string): Promise<string> {
  const tree = join(room.path, name)
  mkdirSync(join(tree, 'usr'), { recursive: true })
  writeFileSync(join(tree, 'outer'), '')
  mkdirSync(join(tree, 'systems/new/old'), { recursive: true })
  const top = join(tree, 'systems/new')
  for (const part of ['bin', 'lib', 'lib64', 'usr', 'etc'])
    await execa('cp', ['-a', '--reflink=auto', join(pristine, part), top])
  symlinkSync('/systems/new', join(tree, 'current'))
  return tree
}

const run = async (...args: string[]) => {
  const [program, ...rest] = tsnspawn('-q', '-P', ...args)
  const result = await execa(program, rest, { reject: false, stdin: 'ignore' })
  return { status: result.exitCode, lines: result.stdout.split('\n'), stderr: result.stderr }
}

describe.skipIf(lacks('root', 'overlay', 'user namespaces'))('--pivot-root=', () => {
  let tree = ''
  beforeAll(async () => {
    tree = await nestedTree('nested')
  })

  test.each([
    ['a tree', []],
    ['a throw-away copy', ['-x']],
    ['users of its own', ['-x', '-U']],
    ['a volatile layer', ['--volatile=overlay']],
    ['a volatile /var', ['--volatile=state']],
  ])('makes a directory the root, with %s', async (_what, more) => {
    const result = await run('-D', tree, ...more, '--pivot-root=/current', 'ls', '/')
    expect(result.stderr).toBe('')
    expect(result.lines).toEqual(expect.arrayContaining(['old', 'proc', 'usr']))
    expect(result.lines).not.toContain('outer')
    expect(result.lines).not.toContain('systems')
  })

  test.each([[[]], [['-x', '-U']]])(
    'keeps the rest of the tree where it is told, %j',
    async (more) => {
      const { lines, stderr } = await run(
        ...[
          '-D',
          tree,
          ...more,
          '--pivot-root=/current:/old',
          'ls',
          '/old',
          '/old/systems/new/old',
        ],
      )
      expect(stderr).toBe('')
      expect(lines).toContain('outer')
      expect(lines.slice(lines.indexOf('/old/systems/new/old:'))).toEqual(['/old/systems/new/old:'])
    },
  )

  test('refuses what is not there, and looks for the system to boot below it', async () => {
    const missing = await run('-D', tree, '--pivot-root=/nowhere', 'true')
    expect([missing.status, missing.stderr]).toEqual([1, expect.stringContaining('nowhere')])
    const noOld = await run('-D', tree, '-x', '--pivot-root=/current:/nowhere', 'true')
    expect([noOld.status, noOld.stderr]).toEqual([1, expect.stringContaining('nowhere')])
    const notBootable = await run('-D', tree, '-b')
    expect(notBootable.stderr).toContain('os-release')
  })
})

describe.skipIf(lacks('root', 'overlay', 'user namespaces'))('--link-journal=', () => {
  const id = '00112233445566778899aabbccddeeff'
  const journal = `/var/log/journal/${id}`
  let tree = ''
  let host = ''
  beforeAll(() => {
    tree = join(room.path, 'journaling')
    host = join(room.path, 'host-journal')
    mkdirSync(join(tree, 'usr'), { recursive: true })
  })
  beforeEach(() => {
    rmSync(join(tree, 'var'), { recursive: true, force: true })
    rmSync(host, { recursive: true, force: true })
    mkdirSync(host)
  })

  /** Within a mount namespace whose /var/log/journal is ours. @returns the host's entry afterwards */
  async function journaled(mode: string, more: readonly string[] = [], command = 'true') {
    const binds = ['bin', 'lib', 'lib64'].map(
      (part) => `--bind-ro=${join(pristine, part)}:/${part}`,
    )
    const argv = tsnspawn(
      ...['-q', '-P', '-D', tree, `--uuid=${id}`, `--link-journal=${mode}`, ...binds],
      ...[`--bind-ro=${join(pristine, 'usr')}:/usr`, ...more, 'sh', '-c', command],
    )
    const setUp =
      'mkdir -p /var/log/journal && mount --bind "$1" /var/log/journal && shift && exec "$@"'
    const { exitCode, stderr, stdout } = await execa(
      'unshare',
      ['--mount', '--propagation', 'private', 'sh', '-c', setUp, 'sh', host, ...argv],
      { reject: false, stdin: 'ignore' },
    )
    return { status: exitCode, stderr, stdout }
  }

  test('guest leaves a link on the host to a directory of the tree', async () => {
    const { stderr } = await journaled('guest', [], `touch ${journal}/system.journal`)
    expect(stderr).toBe('')
    expect(readlinkSync(join(host, id))).toBe(join(tree, journal))
    expect(readdirSync(join(tree, journal))).toEqual(['system.journal'])
    expect((await journaled('guest')).status).toBe(0)
  })

  test.each([[[]], [['-U']]])(
    'host shows a directory of the host in the container, %j',
    async (more) => {
      const { stderr } = await journaled('host', more, `echo x >${journal}/system.journal`)
      expect(stderr).toBe('')
      expect(readFileSync(join(host, id, 'system.journal'), 'utf8')).toBe('x\n')
      expect(readdirSync(join(tree, journal))).toEqual([])
    },
  )

  test('auto takes the directory of the host when there is one, and a link that fits', async () => {
    await journaled('auto')
    expect(readdirSync(host)).toEqual([])
    mkdirSync(join(host, id))
    await journaled('auto', [], `touch ${journal}/from-inside`)
    expect(readdirSync(join(host, id))).toEqual(['from-inside'])
    rmSync(join(host, id), { recursive: true })
    await journaled('guest')
    await journaled('auto', [], `touch ${journal}/in-the-tree`)
    expect(readdirSync(join(tree, journal))).toEqual(['in-the-tree'])
  })

  test('what cannot be linked is a failure, but not with try-', async () => {
    mkdirSync(join(host, id))
    writeFileSync(join(host, id, 'old.journal'), '')
    const { status, stderr } = await journaled('guest')
    expect([status, stderr]).toEqual([1, expect.stringContaining('link the journal')])
    expect((await journaled('try-guest')).status).toBe(0)
    expect(readdirSync(join(host, id))).toEqual(['old.journal'])
  })

  test('a tree cannot lead the link of the host elsewhere', async () => {
    mkdirSync(join(tree, 'var/log'), { recursive: true })
    mkdirSync(join(tree, 'etc'), { recursive: true })
    symlinkSync('/etc', join(tree, 'var/log/journal'))
    const { status, stderr } = await journaled('guest')
    expect([status, stderr]).toEqual([1, expect.stringContaining('behind a symlink')])
    expect(readdirSync(host)).toEqual([])
  })

  test('is not done with the machine ID of the host, nor for a throw-away copy', async () => {
    const own = readFileSync('/etc/machine-id', 'utf8').trim()
    const same = await journaled('host', [`--uuid=${own}`])
    expect([same.status, same.stderr]).toEqual([1, expect.stringContaining('ids are equal')])
    expect((await journaled('try-host', [`--uuid=${own}`])).status).toBe(0)
    expect((await journaled('try-host', ['-x'])).status).toBe(0)
    expect(readdirSync(host)).toEqual([])
  })
})

describe.skipIf(lacks('root', 'overlay'))('--cleanup', () => {
  test('takes away what a killed run left, starts nothing, and not while the tree is in use', async () => {
    const tree = await nestedTree('to-clean')
    const options = ['-D', tree, '--pivot-root=/current', '-M', `clean-${process.pid}`]
    const [program, ...args] = tsnspawn(
      '-q',
      '-P',
      '-x',
      ...options,
      'sh',
      '-c',
      'echo up; sleep 60',
    )
    const child = execa(program, args, { reject: false, stdin: 'ignore' })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    const hidden = () => readdirSync(room.path).filter((name) => name.startsWith('.#machine.'))
    expect(hidden()).toHaveLength(1)
    const inUse = await run('--cleanup', ...options)
    expect([inUse.status, inUse.stderr]).toEqual([1, expect.stringContaining('busy')])
    child.kill('SIGKILL')
    await child
    expect(hidden()).toHaveLength(1)
    expect(await run('--cleanup', ...options, 'sh', '-c', 'echo started')).toEqual({
      ...{ status: 0, lines: [''], stderr: '' },
    })
    expect(hidden()).toEqual([])
  })
})
