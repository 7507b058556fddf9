/** Where credentials come from. How they arrive in a container is compared with the original (test/parity). */
import { execa } from 'execa'
import { createServer } from 'node:net'
import { mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { runContainer } from '../../../src/runtime/client.ts'
import { loadCredentials } from '../../../src/runtime/credentials.ts'
import { defaultSettings } from '../../../src/settings/settings.ts'
import { debianTree } from '../../fixtures/debian-tree.ts'
import { tsnspawn } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'

let room: TemporaryDirectory
beforeAll(async () => void (room = await temporaryDirectory()))
afterAll(() => room[Symbol.asyncDispose]())

const load = async (path: string) => {
  const loaded = await loadCredentials([{ name: 'a', source: { kind: 'file', path } }])
  return Buffer.from(loaded[0]?.base64 ?? '', 'base64')
}

it('reads files whole, and devices to their end', async () => {
  const path = join(room.path, 'file')
  const bytes = Buffer.alloc(200_000, 'x\0')
  writeFileSync(path, bytes)
  expect((await load(path)).equals(bytes)).toBe(true)
  expect(await load('/dev/null')).toHaveLength(0)
})

it('asks a stream socket, which sees an end of file and no request', async () => {
  const path = join(room.path, 'socket')
  const heard: Buffer[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('data', (chunk) => heard.push(chunk))
    socket.on('end', () => socket.end(Buffer.alloc(300_000, 's')))
  })
  await new Promise<void>((resolve) => void server.listen(path, resolve))
  try {
    expect(await load(path)).toHaveLength(300_000)
    expect(heard).toEqual([])
  } finally {
    server.close()
  }
  await expect(load(path)).rejects.toThrow('cannot read credential "a"')
})

it('says which file cannot be read, and why', async () => {
  mkdirSync(join(room.path, 'directory'))
  writeFileSync(join(room.path, 'large'), '')
  truncateSync(join(room.path, 'large'), 65 * 1024 * 1024)
  for (const [name, code] of [
    ['none', 'ENOENT'],
    ['directory', 'EISDIR'],
    ['large', 'E2BIG'],
  ] as const) {
    const subject = join(room.path, name)
    await expect(load(subject)).rejects.toMatchObject({ code, subject })
  }
  await expect(load('/dev/zero')).rejects.toMatchObject({ code: 'E2BIG' })
})

it.skipIf(lacks('root', 'program:mmdebstrap'))(
  'hands them to containers of the library',
  async () => {
    const source = { kind: 'value', base64: Buffer.from('secret').toString('base64') } as const
    const settings = {
      ...defaultSettings(),
      root: { kind: 'directory' as const, path: await debianTree() },
      access: 'read-only' as const,
      register: 'no' as const,
      quiet: true,
      credentials: [{ name: 'a', source }],
      command: ['sh', '-c', 'cat "$CREDENTIALS_DIRECTORY/a"'],
    }
    const { stdout } = await runContainer({ settings, stdio: 'capture' })
    expect(stdout).toBe('secret')
  },
)

it.skipIf(lacks('root', 'overlay', 'program:mmdebstrap'))(
  'reads them once, as settings files: over a reboot only sources of mounts are looked up again',
  async () => {
    const place = join(room.path, 'reboot')
    mkdirSync(join(place, 'images'), { recursive: true })
    for (const name of ['one', 'two']) {
      mkdirSync(join(place, name))
      writeFileSync(join(place, name, 'name'), `${name} `)
    }
    symlinkSync('one', join(place, 'link'))
    symlinkSync(await debianTree(), join(place, 'images/again'))
    writeFileSync(join(place, 'credential'), 'one ')
    writeFileSync(join(place, 'images/again.nspawn'), '[Exec]\nEnvironment=FROM=one\n')
    const script = `cat "$CREDENTIALS_DIRECTORY/c" /srv/name; echo $FROM
      [ ! -e /seen ] || exit 0
      touch /seen; printf two > /mnt/credential; ln -sfn two /mnt/link
      echo "[Exec]\nEnvironment=FROM=two" > /mnt/images/again.nspawn
      exec perl -e 'syscall 169, 0xfee1dead, 672274793, 0x1234567, 0; sleep 5'`
    const [program, ...args] = tsnspawn(
      ...['-q', '-P', '-x', '--register=no', `--machines-dir=${place}/images`, '-M', 'again'],
      ...['--settings=trusted', `--load-credential=c:${place}/credential`, `--bind=${place}:/mnt`],
      ...[`--bind=${place}/link:/srv`, 'sh', '-c', script],
    )
    const { stdout, stderr } = await execa(program, args)
    expect({ stdout, stderr }).toEqual({ stdout: 'one one one\none two one', stderr: '' })
    expect(readFileSync(join(place, 'credential'), 'utf8')).toBe('two')
  },
)
