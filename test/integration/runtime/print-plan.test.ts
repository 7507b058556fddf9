/** `--print-plan` says what a start would make, and makes none of it. */
import { execa } from 'execa'
import { mkdirSync } from 'node:fs'
import { chmod, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hashedIdBase } from '../../../src/images/id-range.ts'
import type { ContainerPlan } from '../../../src/plan/plan.ts'
import { tsnspawn } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { Room } from '../../fixtures/room.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'

const everything = [
  ...['-M', 'planned', '-x', '-U', '--private-network', '--bind=:/mnt'],
  ...['--overlay=+/usr/share::/opt', '--print-plan', 'true'],
]
const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--']

/** Calls that change files, mounts or locks; Node's own cache of compiled code is not the host's business. */
const changing =
  'mkdir,mkdirat,mknod,mknodat,rmdir,unlink,unlinkat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,' +
  'chmod,fchmod,fchmodat,chown,fchown,fchownat,lchown,setxattr,fsetxattr,truncate,ftruncate,utimensat,mount,' +
  'move_mount,umount2,flock,fcntl,openat,open,fork,vfork,unshare,setns'
const harmless = [/\/var\/cache\/tsnspawn/, /"\/dev\/(fuse|net\/tun|null|tty)"/, /= -1 E/]
const opensForWriting = /O_CREAT|O_WRONLY|O_RDWR/

describe.skipIf(lacks('root', 'user namespaces', 'overlay', 'program:strace'))(
  '--print-plan',
  () => {
    let directory: TemporaryDirectory
    let room: Room
    let tree = ''

    beforeAll(async () => {
      directory = await temporaryDirectory()
      await chmod(directory.path, 0o755)
      const machines = join(directory.path, 'machines')
      tree = join(machines, 'planned')
      mkdirSync(join(tree, 'usr'), { recursive: true })
      room = await Room.open(machines)
    })
    afterAll(async () => {
      await room[Symbol.asyncDispose]()
      await directory[Symbol.asyncDispose]()
    })

    const state = async () => {
      const format = '%p %y %m %U:%G %C@ %T@\\n'
      const places = ['/run', '/var/lib/machines']
      const files = await room.run(['find', ...places, '-printf', format])
      const mounts = await room.run(['cat', '/proc/mounts'])
      return [files.stdout, mounts.stdout]
    }

    async function plan(argv: readonly string[]): Promise<ContainerPlan> {
      const { status, stdout, stderr } = await room.run(argv)
      expect(stderr).toBe('')
      expect(status).toBe(0)
      return JSON.parse(stdout) as ContainerPlan
    }

    test('leaves files, mounts and times as they were', async () => {
      const before = await state()
      await plan(tsnspawn(...everything))
      expect(await state()).toEqual(before)
    })

    test('makes no system call that changes a file, takes a lock or makes a namespace', async () => {
      const trace = join(directory.path, 'trace')
      await plan([
        'strace',
        '-f',
        '-o',
        trace,
        '-e',
        `trace=${changing}`,
        ...tsnspawn(...everything),
      ])
      const lines = (await readFile(trace, 'utf8')).split('\n')
      const suspicious = lines.filter((line) => {
        if (harmless.some((pattern) => pattern.test(line))) return false
        if (/\bopen(at)?\(/.test(line)) return opensForWriting.test(line)
        if (/\bfcntl\(/.test(line)) return /SETLK/.test(line)
        return /^\d+ +\w+\(/.test(line)
      })
      expect(suspicious).toEqual([])
    })

    test('names what a run would make, the same each time', async () => {
      const first = await plan(tsnspawn(...everything))
      expect(await plan(tsnspawn(...everything))).toEqual(first)
      const zeroes = '0'.repeat(16)
      expect(first.machine).toBe('planned')
      expect(first.users?.base).toBe(hashedIdBase('planned'))
      expect(first.root).toEqual({
        kind: 'overlay',
        layers: ['/var/lib/machines/planned'],
        upper: {
          hostPath: `/var/lib/machines/.#machine.planned${zeroes}/upper`,
          workPath: `/var/lib/machines/.#machine.planned${zeroes}/work`,
        },
        sync: 'skip',
      })
      const text = JSON.stringify(first)
      expect(text).toContain(`"/var/tmp/.#machine.temp${zeroes}/src"`)
      expect(text).toContain('"/var/tmp/.#machine.temp0000000000000001/src"')
      expect(text).toContain('"/run/systemd/nspawn/propagate/planned"')
    })

    test('a range of user ids that is taken is not the one foreseen', async () => {
      const own = hashedIdBase('planned')
      const ranges = '/run/systemd/nspawn-uid'
      await room.run(['mkdir', '-p', ranges])
      const hold = [
        'flock',
        '--no-fork',
        `${ranges}/${own}`,
        'sh',
        '-c',
        'echo held; exec sleep 60',
      ]
      const [program, ...args] = room.inside(hold)
      const holder = execa(program, args, { reject: false, stdin: 'ignore' })
      try {
        await new Promise((resolve) => holder.stdout.once('data', resolve))
        const { users } = await plan(tsnspawn(...everything))
        expect(users?.base).not.toBe(own)
        expect(users?.base).toBeGreaterThan(0)
      } finally {
        holder.kill('SIGKILL')
        await holder
      }
      expect((await plan(tsnspawn(...everything))).users?.base).toBe(own)
    })

    test('a tree that is not made yet is judged by its template', async () => {
      const made = await plan(
        tsnspawn('-D', `${tree}-new`, `--template=${tree}`, '--print-plan', 'true'),
      )
      expect(made.root).toEqual({ kind: 'directory', hostPath: `${tree}-new` })
      const { status, stderr } = await room.run(
        tsnspawn('-D', `${tree}-new`, `--template=${tree}-old`, '--print-plan', 'true'),
      )
      expect({ status, stderr }).toMatchObject({
        status: 1,
        stderr: expect.stringContaining('planned-old is not a directory') as string,
      })
    })

    test('an ordinary user gets the plan of root', async () => {
      const argv = tsnspawn('-D', tree, ...everything.slice(2))
      expect(await plan([...asNobody, ...argv])).toEqual(await plan(argv))
    })

    test('an ordinary user who cannot read the tree is told so', async () => {
      await chmod(tree, 0o700)
      try {
        const argv = tsnspawn('-D', tree, '--print-plan', 'true')
        const { status, stderr } = await room.run([...asNobody, ...argv])
        expect(status).toBe(1)
        expect(stderr).toMatch(/cannot be read .*planned\/usr: EACCES.*\n {2}hint: run it as root/)
        expect(stderr.split('\n')).toHaveLength(2)
      } finally {
        await chmod(tree, 0o755)
      }
    })
  },
)
