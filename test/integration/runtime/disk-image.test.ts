/** Containers in disk images of every form, made by the usual tools. */
import { execa } from 'execa'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, readFileSync, statSync, truncateSync } from 'node:fs'
import { copyFile, mkdir, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runContainer } from '../../../src/runtime/client.ts'
import { defaultSettings } from '../../../src/settings/settings.ts'
import {
  commonTypes,
  makeBusyboxTree,
  makeDirectory,
  makeDisk,
  makeFileSystem,
  types,
  type TestFileSystem,
} from '../../fixtures/disk-image.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { tsnspawn } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'

const missing = lacks('root', 'loop devices', 'overlay', 'program:sfdisk', 'program:busybox')

describe.skipIf(missing)('a container in a disk image', () => {
  let shared: TemporaryDirectory
  let tree: string
  /** File systems in files, by name. */
  const parts: Record<string, string> = {}
  let before: Set<string>

  beforeAll(async () => {
    shared = await temporaryDirectory()
    before = await leftOvers({ directories: [shared.path] })
    tree = await makeBusyboxTree(join(shared.path, 'tree'))
    const small = async (name: string, files: Readonly<Record<string, string>>) => {
      const directory = await makeDirectory(join(shared.path, `${name}.d`), files)
      parts[name] = join(shared.path, `${name}.fs`)
      await makeFileSystem('ext4', directory, parts[name], 8)
    }
    parts['root'] = join(shared.path, 'root.fs')
    await makeFileSystem('ext4', tree, parts['root'], 16)
    for (const name of ['home', 'srv', 'var', 'tmp', 'esp', 'xbootldr'])
      await small(name, { [`is-${name}`]: name })
    const usr = join(shared.path, 'usr.fs')
    await makeFileSystem('ext4', join(tree, 'usr'), usr, 16)
    parts['usr'] = usr
    const etc = await makeDirectory(join(shared.path, 'no-usr'), { 'etc/is-root': '' })
    for (const name of ['usr', 'efi', 'home']) await mkdir(join(etc, name))
    for (const name of ['bin', 'lib']) await execa('ln', ['-s', `usr/${name}`, join(etc, name)])
    parts['without-usr'] = join(shared.path, 'no-usr.fs')
    await makeFileSystem('ext4', etc, parts['without-usr'], 8)
  })

  afterAll(async () => {
    await shared[Symbol.asyncDispose]()
  })

  const run = async (image: string, command: string, ...options: readonly string[]) => {
    const [program, ...args] = tsnspawn(
      ...['--console=pipe', '--quiet', '--register=no', `--image=${image}`],
      ...options,
      ...['sh', '-c', command],
    )
    const result = await execa(program, args, { reject: false, stdin: 'ignore' })
    return { status: result.exitCode, stdout: result.stdout, stderr: result.stderr }
  }

  const succeed = async (...words: Parameters<typeof run>) => {
    const { status, stdout, stderr } = await run(...words)
    expect(stderr).toBe('')
    expect(status).toBe(0)
    return stdout
  }

  const fresh = (name: string) => join(shared.path, name)
  const root = () => ({ type: types.root, content: parts['root'], sizeMiB: 16 })
  const common = (name: keyof typeof commonTypes, more: object = {}) => ({
    type: commonTypes[name],
    content: parts[name],
    sizeMiB: 8,
    ...more,
  })

  /** Of mount points in the container: file system and the options that say something. */
  const mountsOf = `cut -d' ' -f2-4 /proc/mounts | grep -E ' (ext4|xfs|btrfs|squashfs|erofs|overlay) '`

  describe('that is one file system', () => {
    const forms: readonly (readonly [TestFileSystem, boolean])[] = [
      ['ext4', true],
      ['xfs', true],
      ['btrfs', true],
      ['squashfs', false],
      ['erofs', false],
    ]
    for (const [form, writable] of forms) {
      const needs = form === 'ext4' ? ('root' as const) : form
      test.skipIf(missing || lacks(needs))(
        `${form}: is written to as far as it can be`,
        async () => {
          const image = fresh(`${form}.raw`)
          await makeFileSystem(form, tree, image, 16)
          const wrote = await run(image, 'touch /root/new && ls /root')
          expect(wrote.stdout).toBe(writable ? 'new' : '')
          expect(wrote.status).toBe(writable ? 0 : 1)
          const bytes = readFileSync(image)
          expect(await run(image, 'touch /root/no', '--read-only')).toMatchObject({ status: 1 })
          const thrown = await succeed(image, 'touch /root/gone && ls /root', '--ephemeral')
          expect(thrown).toContain('gone')
          expect(
            await succeed(image, 'touch /root/gone; ls /root', '--volatile=overlay'),
          ).toContain('gone')
          expect(await succeed(image, 'touch /root/gone; ls /root /usr', '--volatile')).toContain(
            'gone',
          )
          expect(readFileSync(image).equals(bytes)).toBe(true)
        },
      )
    }

    test('belongs to users of its own', async () => {
      const image = fresh('users.raw')
      await copyFile(parts['root'] as string, image)
      const said = await succeed(
        image,
        'touch /root/mine; stat -c %u /root/mine; cut -c1-10,11-21 /proc/self/uid_map; grep -c idmapped /proc/self/mountinfo',
        '-U',
      )
      expect(said.split('\n')[0]).toBe('0')
      expect(said.split('\n').at(-1)).toBe('1')
      expect(await succeed(image, 'stat -c %u /root/mine')).toBe('0')
    })

    test('keeps nothing of an overlay but what was written to it', async () => {
      const image = fresh('overlay.raw')
      await copyFile(parts['root'] as string, image)
      const overlay = '--overlay=+/usr:+/root:/mnt'
      expect(await succeed(image, 'touch /mnt/new; ls /root', overlay)).toBe('new')
      expect(await succeed(image, 'ls -A / /root')).toMatch(/^\/root:\nnew$/m)
      expect(await succeed(image, 'ls -A /')).not.toContain('.#')
    })

    test('is locked while it is written to, and shared by readers', async () => {
      const image = fresh('busy.raw')
      await copyFile(parts['root'] as string, image)
      const [program, ...args] = tsnspawn(
        ...['--console=pipe', '--quiet', '--register=no', '--image', image, '-M', 'busy-image'],
        ...['sh', '-c', 'echo up; sleep 60'],
      )
      const running = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
      await once(running.stdout, 'data')
      const second = await run(image, 'true')
      expect(second.status).toBe(1)
      expect(second.stderr).toMatch(/busy|in use/i)
      expect((await execa('losetup', ['-j', image])).stdout).not.toBe('')
      running.kill('SIGKILL')
      await once(running, 'exit')
      await expect
        .poll(async () => (await execa('losetup', ['-j', image])).stdout, { timeout: 10_000 })
        .toBe('')
      expect(await succeed(image, 'echo again')).toBe('again')
    })

    test('that is marked read-only is not written to, but copied', async () => {
      const image = fresh('marked.raw')
      await copyFile(parts['root'] as string, image)
      chmodSync(image, 0o444)
      await execa('chattr', ['+i', image])
      try {
        expect(await run(image, 'touch /root/x')).toMatchObject({ status: 1 })
        expect(await succeed(image, 'touch /root/x && echo done', '-x')).toBe('done')
      } finally {
        await execa('chattr', ['-i', image])
      }
    })

    test('is known by its name, through the library too, and has its settings beside it', async () => {
      const machines = fresh('machines')
      await makeDirectory(machines, { 'small.nspawn': '[Exec]\nEnvironment=FROM=file\n' })
      await copyFile(parts['root'] as string, join(machines, 'small.raw'))
      const [program, ...args] = tsnspawn(
        ...['--console=pipe', '--quiet', '--register=no', `--machines-dir=${machines}`],
        ...['-M', 'small', 'sh', '-c', 'echo $FROM'],
      )
      expect((await execa(program, args)).stdout).toBe('file')
      const outcome = await runContainer({
        settings: {
          ...defaultSettings(),
          root: { kind: 'image', path: join(machines, 'small.raw') },
          ephemeral: true,
          register: 'no',
          quiet: true,
          command: ['sh', '-c', 'touch /root/x; ls /root'],
        },
        stdio: 'capture',
      })
      expect(outcome).toMatchObject({ status: 0, stdout: 'x\n' })
    })

    test('is told of in a plan without being attached', async () => {
      const image = parts['root'] as string
      const [program, ...args] = tsnspawn('--print-plan', '-i', image, 'true')
      const plan = JSON.parse((await execa(program, args)).stdout) as Record<string, unknown>
      expect(plan['image']).toMatchObject({
        path: image,
        mounts: [{ designator: 'root', source: `${image}@0`, fileSystem: 'ext4', readOnly: false }],
      })
    })
  })

  describe('with partitions', () => {
    test('has each of them in its place', async () => {
      const image = await makeDisk(fresh('all.raw'), 'gpt', [
        common('esp'),
        common('xbootldr'),
        root(),
        ...(['home', 'srv', 'var', 'tmp'] as const).map((name) => common(name)),
        { type: commonTypes.swap, sizeMiB: 2 },
      ])
      const look = 'ls /home /srv /var /var/tmp /boot /efi; '
      const said = await succeed(image, `${look}${mountsOf}`)
      expect(said).toMatch(
        /boot:\nis-xbootldr\n\n.*efi:\nis-esp\n\n.*home:\nis-home\n\n.*srv:\nis-srv\n\n.*var:\nis-var\ntmp\n\n.*tmp:\nis-tmp\n/,
      )
      expect(said).toMatch(/^\/var\/tmp ext4 rw,nosuid,nodev,/m)
      expect(said).toMatch(/^\/boot ext4 rw,nosuid,nodev,noexec,.*nosymfollow/m)
      expect(said).toMatch(/^\/efi ext4 rw,nosuid,nodev,noexec,.*nosymfollow/m)
      expect(said).toMatch(/^\/home ext4 rw,nodev,/m)

      const copy = readFileSync(image)
      const all = 'for d in root home srv var; do echo x >/$d/new || exit; done; echo done'
      expect(await succeed(image, all, '--ephemeral')).toBe('done')
      expect(await run(image, 'echo x >/home/new', '--read-only')).toMatchObject({ status: 1 })
      expect(await run(image, 'echo x >/home/new', '--volatile=overlay')).toMatchObject({
        status: 1,
      })
      expect(await succeed(image, 'touch /root/x; ls /home', '--volatile=yes')).toContain('is-home')
      expect(await succeed(image, 'touch /var/x && ls /srv', '--volatile=state')).toContain(
        'is-srv',
      )
      expect(readFileSync(image).equals(copy)).toBe(true)

      const owned = await succeed(image, 'touch /home/mine; stat -c %u /home/mine /home /var', '-U')
      expect(owned).toBe('0\n0\n0')
      expect(await succeed(image, 'stat -c %u /home/mine')).toBe('0')
      const changed = '--private-users=1879048192:65536'
      expect(
        await succeed(image, 'stat -c %u /home/mine', changed, '--private-users-ownership=chown'),
      ).toBe('0')
      expect(await succeed(image, 'stat -c %u /home/mine /root')).toBe('1879048192\n1879048192')
    })

    test('takes an ESP for /boot where that is empty and nobody else wants it', async () => {
      const image = await makeDisk(fresh('esp.raw'), 'gpt', [common('esp'), root()])
      expect(await succeed(image, 'ls /efi')).toBe('is-esp')
      expect(await succeed(image, 'ls /boot 2>/dev/null; ls /efi', '--bind=/usr:/boot')).toContain(
        'is-esp',
      )
      expect(await succeed(image, 'ls /boot')).toBe('is-esp')
    })

    test('has a /usr of its own, with or without a root', async () => {
      const usr = { type: types.usr, content: parts['usr'], sizeMiB: 16 }
      const both = await makeDisk(fresh('usr.raw'), 'gpt', [
        { type: types.root, content: parts['without-usr'], sizeMiB: 8 },
        usr,
      ])
      expect(await succeed(both, 'ls /etc; touch /usr/new; ls /usr')).toMatch(/is-root[^]*new/)
      expect(await succeed(both, 'touch /etc/x; ls /etc', '--volatile=overlay')).toMatch(
        /is-root\nx?/,
      )
      const alone = await makeDisk(fresh('only-usr.raw'), 'gpt', [usr])
      expect(await succeed(alone, 'touch /root/x && ls / /usr/bin')).toContain('busybox')
      expect(await succeed(alone, 'ls /root')).toBe('')
    })

    test('is the newest of several versions, of this architecture, and what nobody is to mount is left', async () => {
      const old = join(shared.path, 'old.fs')
      await makeFileSystem('ext4', await makeDirectory(fresh('old'), { old: '' }), old, 8)
      const image = await makeDisk(fresh('versions.raw'), 'gpt', [
        { type: types.root, content: old, sizeMiB: 8, name: 'tiny_9' },
        { ...root(), name: 'tiny_10' },
        { type: types.root, content: old, sizeMiB: 8, name: 'tiny_11', flags: 'GUID:63' },
        // Of an IBM mainframe.
        { type: '5eead9a9-fe09-4a1e-a1d7-520d00531306', content: old, sizeMiB: 8, name: 'tiny_12' },
        common('home', { flags: 'GUID:60' }),
      ])
      expect(await succeed(image, 'ls /old 2>/dev/null; ls /home')).toBe('is-home')
      expect(await run(image, 'touch /home/x')).toMatchObject({ status: 1 })
    })

    test('may be marked read-only itself', async () => {
      const image = await makeDisk(fresh('ro.raw'), 'gpt', [{ ...root(), flags: 'GUID:60' }])
      expect(await run(image, 'touch /root/x')).toMatchObject({ status: 1 })
      expect(await succeed(image, 'touch /root/x; ls /root', '-x')).toBe('x')
    })

    test('is found by chance where there is but one that it could be', async () => {
      const one = { type: commonTypes.generic, content: parts['root'], sizeMiB: 16 }
      const image = await makeDisk(fresh('generic.raw'), 'gpt', [one])
      expect(await succeed(image, 'echo up')).toBe('up')
      const two = await makeDisk(fresh('generics.raw'), 'gpt', [one, one])
      expect((await run(two, 'true')).stderr).toContain('several partitions may be its root')
    })

    test('of the old kind has a root that is marked', async () => {
      const part = { type: '83', content: parts['root'], sizeMiB: 16 }
      const image = await makeDisk(fresh('mbr.raw'), 'dos', [
        { type: 'ea', content: parts['xbootldr'], sizeMiB: 8 },
        { ...part, flags: 'bootable' },
        { ...part, content: undefined },
      ])
      expect(await succeed(image, 'ls /boot')).toBe('is-xbootldr')
      const none = await makeDisk(fresh('unmarked.raw'), 'dos', [part])
      expect((await run(none, 'true')).stderr).toContain('no root partition')
    })

    test('is used only as its policy allows', async () => {
      const image = await makeDisk(fresh('policy.raw'), 'gpt', [root(), common('home')])
      expect(await succeed(image, 'ls /home', '--image-policy=root=unprotected')).toBe('')
      expect(await succeed(image, 'ls /home', '--image-policy=*')).toBe('is-home')
      for (const [policy, words] of [
        ['root=verity', 'its root partition (1) is not protected as the policy wants it'],
        ['root=unprotected:home=absent', 'its home partition (2) is there'],
        ['root=unprotected:srv=unprotected', 'its srv partition is missing'],
        ['root=unprotected+read-only-on', 'its root partition (1) is not marked read-only'],
        ['~', 'its root partition (1) is there'],
      ] as const) {
        const { status, stderr } = await run(image, 'true', `--image-policy=${policy}`)
        expect(stderr).toContain(words)
        expect(status).toBe(1)
      }
    })

    test('runs from what is left of a damaged table', async () => {
      const image = await makeDisk(fresh('damaged.raw'), 'gpt', [root()])
      await using file = await open(image, 'r+')
      await file.write(Buffer.alloc(512), 0, 512, 512)
      expect(await succeed(image, 'echo up')).toBe('up')
      await file.write(Buffer.alloc(512), 0, 512, statSync(image).size - 512)
      expect((await run(image, 'true')).stderr).toContain('its partition table (GPT) is damaged')
    })
  })

  describe('that is none', () => {
    const refusal = async (image: string, ...options: readonly string[]) => {
      const { status, stderr } = await run(image, 'true', ...options)
      expect(status).toBe(1)
      return stderr
    }

    test('is refused for what it is', async () => {
      expect(await refusal(fresh('nowhere.raw'))).toContain('the disk image does not exist')
      expect(await refusal(shared.path)).toContain('neither a file nor a block device')
      const empty = fresh('empty.raw')
      await execa('truncate', ['--size=1M', empty])
      expect(await refusal(empty)).toContain('neither a partition table nor a file system')
      truncateSync(empty, 0)
      expect(await refusal(empty)).toContain('neither a partition table nor a file system')
      expect(await refusal(parts['home'] as string)).toContain('no usr/ directory')
      const swap = await makeDisk(fresh('swap.raw'), 'gpt', [{ type: types.root, sizeMiB: 4 }])
      expect(await refusal(swap)).toContain('no file system that is known')
    })

    test('cut short it is refused, and nothing is attached', async () => {
      const image = await makeDisk(fresh('cut.raw'), 'gpt', [root()])
      truncateSync(image, 9 << 20)
      expect(await refusal(image)).toMatch(/damaged|no root partition/)
      const damaged = fresh('torn.raw')
      await copyFile(parts['root'] as string, damaged)
      truncateSync(damaged, 4096)
      expect(await refusal(damaged)).toMatch(/cannot mount ext4|needs to be repaired/)
      expect((await execa('losetup', ['-j', damaged])).stdout).toBe('')
    })

    test('contradictions are refused before anything is done', async () => {
      const image = parts['root'] as string
      expect(await refusal(image, '-D', tree)).toContain(
        '--directory= and --image= may not be combined',
      )
      expect(await refusal(image, '--template', tree)).toContain('--template= and --image=')
      expect(await refusal(image, '--root-hash=abc')).toContain('--root-hash=abc')
      expect(await refusal(image, '--image-policy=rot=open')).toContain('did you mean root?')
      expect(await refusal(image, `--root-hash=${'ab'.repeat(32)}`)).toContain('no verity data')
      expect(await refusal(image, '--link-journal=guest')).toContain(
        '--link-journal=guest needs a tree',
      )
      const moved = fresh('moved')
      await copyFile(image, moved)
      await rename(moved, fresh('bad name.raw'))
      expect((await run(fresh('bad name.raw'), 'true')).status).toBe(0)
    })
  })

  test('leaves nothing attached or mounted', async () => {
    expect(await newLeftOvers(before, { directories: [shared.path] })).toEqual([])
  })
})
