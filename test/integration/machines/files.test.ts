/** Files between the host and a running machine: by copy, and by mount. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { startMachine, verb, type BackgroundMachine } from './running-machine.ts'

describe.skipIf(lacks('root', 'user namespaces', 'overlay')).each([
  ['with the users of the host', []],
  ['with users of its own', ['-U']],
])('a machine %s', (_title, options) => {
  let machine: BackgroundMachine
  let room: TemporaryDirectory
  const inside = async (script: string) =>
    (await verb('shell', machine.name, 'sh', '-c', script)).stdout
  const host = (name: string) => join(room.path, name)
  beforeAll(async () => {
    room = await temporaryDirectory()
    machine = await startMachine(['sleep', '97'], options)
  })
  afterAll(async () => {
    await machine[Symbol.asyncDispose]()
    await room[Symbol.asyncDispose]()
  })
  beforeEach(async () => {
    rmSync(host('.'), { recursive: true, force: true })
    mkdirSync(host('dir/sub'), { recursive: true })
    await inside('rm -rf /srv/*')
  })

  test('gets a tree with owners, modes, links and special files', async () => {
    writeFileSync(host('dir/file'), 'text')
    chownSync(host('dir/file'), 1000, 33)
    chmodSync(host('dir/file'), 0o4751)
    chownSync(host('dir/sub'), 2, 2_000_000)
    linkSync(host('dir/file'), host('dir/sub/hard'))
    symlinkSync('/etc/passwd', host('dir/link'))
    execFileSync('mkfifo', [host('dir/fifo')])
    expect(await verb('copy-to', machine.name, host('dir'), '/srv/dir')).toMatchObject({
      exitCode: 0,
      stderr: '',
    })
    const listed = await inside(
      'cd /srv/dir; stat -c "%n %u %g %a %h %F" file sub sub/hard link fifo; cat file; readlink link',
    )
    const group = options.length === 0 ? 2_000_000 : 65_534
    expect(listed.split('\n')).toEqual([
      'file 1000 33 4751 2 regular file',
      `sub 2 ${group} 755 2 directory`,
      'sub/hard 1000 33 4751 2 regular file',
      'link 0 0 777 1 symbolic link',
      'fifo 0 0 644 1 fifo',
      'text/etc/passwd',
    ])
  })

  test('gives a tree, but nothing that gives rights on the host', async () => {
    await inside(
      'mkdir -p /srv/out; cd /srv/out; echo text >file; chown 1000:33 file; chmod 6755 file; ln -s /etc/shadow link; ln file hard',
    )
    expect((await verb('copy-from', machine.name, '/srv/out', host('out'))).exitCode).toBe(0)
    const file = statSync(host('out/file'))
    expect([file.uid, file.gid, file.mode & 0o7777, file.nlink]).toEqual([1000, 33, 0o755, 2])
    expect(readFileSync(host('out/hard'), 'utf8')).toBe('text\n')
    expect(readlinkSync(host('out/link'))).toBe('/etc/shadow')
    expect(lstatSync(host('out/link')).uid).toBe(0)
  })

  test('does not lead a copy to the host by its symlinks', async () => {
    writeFileSync(host('secret'), 'host')
    await inside(`ln -s ${room.path} /srv/away; ln -s ${host('secret')} /srv/leak; mkdir /srv/real`)
    const outside = await verb('copy-to', machine.name, host('secret'), '/srv/away/planted')
    expect(outside.exitCode).not.toBe(0)
    expect(existsSync(host('planted'))).toBe(false)
    const through = await verb('copy-from', machine.name, '/srv/away/secret', host('got'))
    expect(through.exitCode).not.toBe(0)
    await verb('copy-from', machine.name, '/srv/leak', host('got'))
    expect(lstatSync(host('got')).isSymbolicLink()).toBe(true)
    writeFileSync(host('new'), 'new')
    const over = await verb('copy-to', machine.name, host('new'), '/srv/leak', '--force')
    expect(over.exitCode).toBe(0)
    expect(readFileSync(host('secret'), 'utf8')).toBe('host')
    expect(await inside('cat /srv/leak')).toBe('new')
  })

  test('keeps a file that is there, unless it is to be replaced; directories are merged', async () => {
    writeFileSync(host('dir/a'), 'new')
    writeFileSync(host('dir/b'), 'new')
    await inside('mkdir -m 700 /srv/dir; echo -n old >/srv/dir/a')
    const single = await verb('copy-to', machine.name, host('dir/a'), '/srv/dir/a')
    expect(single.exitCode).not.toBe(0)
    expect(single.stderr).toContain('EEXIST')
    expect((await verb('copy-to', machine.name, host('dir'), '/srv/dir')).exitCode).toBe(0)
    const state = 'cat /srv/dir/a /srv/dir/b; stat -c " %a" /srv/dir'
    expect(await inside(state)).toBe('oldnew 700')
    await verb('copy-to', machine.name, host('dir'), '/srv/dir', '--force')
    expect(await inside(state)).toBe('newnew 700')
  })

  test('refuses paths that are none', async () => {
    for (const args of [
      ['copy-to', machine.name, host('dir'), 'srv/x'],
      ['copy-from', machine.name, '/', host('all')],
      ['copy-from', machine.name, '/srv/..', host('all')],
      ['bind', machine.name, host('dir'), '/srv/../x'],
      ['bind', machine.name, 'dir', '/srv/x'],
    ])
      expect((await verb(...args)).exitCode, args.join(' ')).toBe(2)
  })

  test('sees what is bound into it while it runs', async () => {
    writeFileSync(host('dir/file'), 'host')
    const missing = await verb('bind', machine.name, host('dir'), '/srv/bound')
    expect(missing.stderr).toContain('ENOENT')
    expect(
      await verb('bind', machine.name, host('dir'), '/srv/deep/bound', '--mkdir'),
    ).toMatchObject({ exitCode: 0, stderr: '' })
    expect(await inside('cat /srv/deep/bound/file; umount /srv/deep/bound')).toBe('host')
    expect(
      (await verb('bind', machine.name, host('dir/file'), '/srv/one', '--mkdir', '--read-only'))
        .exitCode,
    ).toBe(0)
    expect(
      await inside('cat /srv/one; echo x >>/srv/one || echo " refused"; umount /srv/one'),
    ).toBe('host refused')
    expect(readFileSync(host('dir/file'), 'utf8')).toBe('host')
  })

  test('cannot send a mount to the host by its symlinks', async () => {
    writeFileSync(host('victim'), 'victim')
    await inside(`ln -s ${host('victim')} /srv/victim`)
    const bound = await verb('bind', machine.name, '/etc/hostname', '/srv/victim')
    expect(bound.exitCode).not.toBe(0)
    expect(readFileSync(host('victim'), 'utf8')).toBe('victim')
  })
})

test.skipIf(lacks('root', 'overlay'))('device nodes do not come out of a machine', async () => {
  await using machine = await startMachine(['sleep', '97'])
  await using room = await temporaryDirectory()
  const refused = await verb('copy-from', machine.name, '/dev/null', join(room.path, 'null'))
  expect(refused.stderr).toContain('device nodes are not copied out of a machine')
  expect(existsSync(join(room.path, 'null'))).toBe(false)
})
