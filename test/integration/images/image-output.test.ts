/** What the verbs for images print, and how they end: machinectl's columns, labels and keys. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { manifestPath } from '../../../src/bootstrap/manifest.ts'
import { cleanImages } from '../../../src/images/clean-images.ts'
import { lockImage } from '../../../src/images/lock.ts'
import { silent } from '../../../src/log.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'

let room: TemporaryDirectory
let pool = ''
const at = (name: string): string => join(pool, name)

beforeEach(async () => {
  room = await temporaryDirectory()
  pool = join(room.path, 'pool')
  mkdirSync(at('alpha/etc'), { recursive: true })
  mkdirSync(at('.hidden'))
  writeFileSync(at('disk.raw'), '')
  truncateSync(at('disk.raw'), 8 << 20)
  chmodSync(at('disk.raw'), 0o444)
  utimesSync(at('disk.raw'), 1_445_412_480, 1_445_412_480)
})
afterEach(async () => {
  await cleanImages('all', pool, silent, () => {})
  await room[Symbol.asyncDispose]()
})

interface End {
  readonly status: number | undefined
  readonly stdout: string
  readonly stderr: string
}

async function verb(...args: string[]): Promise<End> {
  const [program, ...rest] = tsnspawnBuild('--machines-dir', pool, '--state-dir', room.path)
  const { exitCode, stdout, stderr } = await execa(program, [...rest, ...args], { reject: false })
  return { status: exitCode, stdout, stderr }
}

/** Dates of creation are of now. */
const dated = (text: string): string =>
  text
    .replace(/\w{3} 20(?!15)\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC/g, 'NOW')
    .replace(/NOW; .*/g, 'NOW; AGE')

describe.skipIf(lacks('root'))('the verb', () => {
  test('list-images prints the columns of machinectl, in JSON too; images is the same', async () => {
    const { stdout } = await verb('list-images', '--no-usage')
    expect(dated(stdout).split('\n')).toEqual([
      expect.stringMatching(/^NAME {2}TYPE {6}RO {2}USAGE CREATED +MODIFIED$/),
      'alpha directory no        NOW -',
      'disk  raw       yes    0B NOW Wed 2015-10-21 07:28:00 UTC',
      '',
      '2 images listed.',
    ])
    const json = JSON.parse((await verb('images', '-a', '-o', 'json')).stdout) as { name: string }[]
    // The host is no image of a directory that was chosen.
    expect(json.map(({ name }) => name)).toEqual(['.hidden', 'alpha', 'disk'])
    expect(json[2]).toEqual({
      ...{ name: 'disk', type: 'raw', ro: true, usage: 0, created: expect.any(Number) },
      ...{ modified: 1_445_412_480_000_000, path: at('disk.raw') },
    })
    const bare = await verb('list-images', '--no-legend')
    expect(bare.stdout.split('\n')).toHaveLength(2)
  })

  test('image-status says what a tree says of itself, and nothing that lies outside of it', async () => {
    writeFileSync(at('alpha/etc/hostname'), '# the name\nweb.example\n')
    writeFileSync(at('alpha/etc/machine-id'), '0123456789abcdef0123456789abcdef\n')
    writeFileSync(at('alpha/etc/machine-info'), 'DEPLOYMENT="production"\n')
    mkdirSync(at('alpha/usr/lib'), { recursive: true })
    writeFileSync(at('alpha/usr/lib/os-release'), 'PRETTY_NAME="Debian \u001b[2J 12"\n')
    symlinkSync('../usr/lib/os-release', at('alpha/etc/os-release'))
    const { stdout } = await verb('image-status', 'alpha', 'disk', '--no-usage')
    expect(dated(stdout).split('\n')).toEqual([
      'alpha',
      '            Type: directory',
      `            Path: ${at('alpha')}`,
      '        Hostname: web.example',
      '      Machine ID: 0123456789abcdef0123456789abcdef',
      '      Deployment: production',
      '              OS: Debian ?[2J 12',
      '              RO: writable',
      '         Created: NOW; AGE',
      '',
      'disk',
      '            Type: raw',
      `            Path: ${at('disk.raw')}`,
      '              RO: read-only',
      '         Created: NOW; AGE',
      expect.stringMatching(/^ {8}Modified: Wed 2015-10-21 07:28:00 UTC; \d+ years .*ago$/),
      '           Usage: 0B',
      '           Limit: 8.0M',
    ])
    const outside = join(room.path, 'outside')
    writeFileSync(outside, 'fedcba9876543210fedcba9876543210')
    for (const link of ['hostname', 'machine-id'])
      await execa('ln', ['-sf', outside, at(`alpha/etc/${link}`)])
    await execa('mkfifo', [at('alpha/etc/fifo')])
    await execa('ln', ['-sf', 'fifo', at('alpha/etc/machine-info')])
    const hostile = await verb('image-status', 'alpha', '--no-usage')
    expect(hostile.stdout).not.toMatch(/Hostname|Machine ID|Deployment/)
    expect(hostile.status).toBe(0)
    await execa('ln', ['-sf', '../name', at('alpha/etc/hostname')])
    writeFileSync(at('alpha/name'), 'no name\n')
    expect((await verb('image-status', 'alpha', '--no-usage')).stdout).not.toContain('Hostname')
  })

  test('show-image prints properties, and without a name those of the place', async () => {
    const { stdout } = await verb('show-image', 'disk', '-a')
    expect(dated(stdout).split('\n')).toEqual([
      ...['Name=disk', `Path=${at('disk.raw')}`, 'Type=raw', 'ReadOnly=yes'],
      ...['CreationTimestamp=NOW', 'ModificationTimestamp=Wed 2015-10-21 07:28:00 UTC'],
      ...['Usage=0', 'Limit=8388608', 'UsageExclusive=0', 'LimitExclusive=8388608'],
    ])
    expect((await verb('show-image', 'alpha', '-P', 'Usage')).stdout).toBe('18446744073709551615')
    const place = (await verb('show-image')).stdout.split('\n')
    expect(place[0]).toBe(`PoolPath=${pool}`)
    expect(place[1]).toMatch(/^PoolUsage=\d+$/)
    expect((await verb('image-status')).stdout).toMatch(/^ {12}Path: .*\n {11}Usage: [\d.]+[KMGT]$/)
  })

  test('clone, read-only, rename, remove and clean work together, with the story of the tree', async () => {
    const manifest = (name: string) => manifestPath(room.path, pool, at(name), name)
    mkdirSync(join(room.path, 'manifests'))
    writeFileSync(manifest('alpha'), '{}')
    expect(await verb('clone', 'alpha', 'beta', '--read-only')).toMatchObject({
      status: 0,
      stdout: '',
    })
    expect((await verb('show-image', 'beta', '-P', 'ReadOnly')).stdout).toBe('yes')
    expect((await verb('read-only', 'beta', 'no')).status).toBe(0)
    expect((await verb('show-image', 'beta', '-P', 'ReadOnly')).stdout).toBe('no')
    expect((await verb('rename', 'alpha', 'gamma')).status).toBe(0)
    expect([existsSync(manifest('alpha')), existsSync(manifest('gamma'))]).toEqual([false, true])
    expect((await verb('remove', 'beta')).status).toBe(0)
    const cleaned = await verb('clean')
    expect(cleaned.stdout).toBe("Removed image '.hidden'.\nRemoved 1 images in total.")
    expect(readdirSync(pool)).toEqual(['disk.raw', 'gamma'])
    expect((await verb('clean', '--all')).stdout.split('\n')).toEqual([
      "Removed image 'disk'. Freed exclusive disk space: 0B.",
      "Removed image 'gamma'.",
      'Removed 2 images in total. Total freed exclusive disk space: 0B.',
    ])
  })

  test('clean --dry-run says what would go and leaves all of it; clean then takes just that', async () => {
    const logs = join(room.path, 'logs')
    mkdirSync(logs)
    const long = ['create-web.log', 'create-web@0123abcd.log.old', 'update-web.log']
    for (const name of [...long, 'machine-web.log', 'create-new.log'])
      writeFileSync(join(logs, name), 'words')
    for (const name of [...long, 'machine-web.log'])
      utimesSync(join(logs, name), 1_445_412_480, 1_445_412_480)
    writeFileSync(at(`.#pull-${'0'.repeat(32)}.part`), 'half')
    // As one leaves it who is killed while he makes a tree.
    mkdirSync(at('.#machine.gone0123456789abcdef'))
    writeFileSync(at('.#.#machine.gone0123456789abcdef.lck'), 'tsnspawn 1\n')
    const before = [readdirSync(pool), readdirSync(logs)]
    const { stdout, stderr } = await verb('clean', '--dry-run')
    expect(stdout).toMatch(
      /^Would remove image '\.hidden' \([\d.]+[BK]\)\.\nWould remove 1 images in total \([\d.]+[BK]\)\.$/,
    )
    expect(stderr.split('\n').toSorted()).toEqual([
      `Would remove left-over '${at('.#machine.gone0123456789abcdef')}'.`,
      ...long.map((name) => `Would remove old log '${join(logs, name)}' (5B).`),
      expect.stringMatching(/^Would remove part of a download '.*part' \([\d.]+[BK]\)\.$/),
    ])
    expect([readdirSync(pool), readdirSync(logs)]).toEqual(before)
    const all = (await verb('clean', '--dry-run', '--all')).stdout
    expect(all.match(/image '([^']*)'/g)).toEqual([
      "image '.hidden'",
      "image 'alpha'",
      "image 'disk'",
    ])
    expect(readdirSync(pool)).toEqual(before[0])
    expect((await verb('clean')).status).toBe(0)
    expect(readdirSync(pool)).toEqual(['alpha', 'disk.raw'])
    expect(readdirSync(logs)).toEqual(['create-new.log', 'machine-web.log'])
  })

  test('clean tells what is gone at once, whatever fails afterwards', async () => {
    mkdirSync(join(room.path, 'cache'))
    writeFileSync(join(room.path, 'cache/oci'), '')
    const cleaned = await verb('clean')
    expect(cleaned.status).not.toBe(0)
    expect(cleaned.stdout).toBe("Removed image '.hidden'.")
  })

  test.each([
    ['an unknown image', ['clone', 'nosuch', 'new'], 2],
    ['an unknown image to show', ['image-status', 'nosuch'], 2],
    ['a name that is taken', ['clone', 'alpha', 'disk'], 2],
    ['a name that is none', ['rename', 'alpha', '.#x'], 2],
    ['the host', ['remove', '.host'], 2],
    ['a limit for a directory', ['set-limit', 'alpha', '5G'], 2],
    ['a limit for a place without quota', ['set-limit', '5G'], 2],
    ['no size', ['set-limit', 'alpha', '5 apples'], 2],
    ['no boolean', ['read-only', 'alpha', 'perhaps'], 2],
    ['settings without a terminal', ['edit', 'alpha'], 2],
    ['settings that are not there', ['cat', 'alpha'], 2],
    ['a path that is no settings file', ['cat', '/etc/passwd'], 2],
  ])('is refused for %s, and nothing changes', async (_what, args, status) => {
    const before = readdirSync(pool)
    const end = await verb(...args)
    expect([end.status, end.stdout]).toEqual([status, ''])
    expect(end.stderr).toMatch(/^tsnspawn-build: /)
    expect(readdirSync(pool)).toEqual(before)
  })

  test('ends with the status for busy when the image is in use', async () => {
    const lock = lockImage(at('alpha'), 'shared')
    for (const args of [
      ['remove', 'alpha'],
      ['rename', 'alpha', 'beta'],
      ['read-only', 'alpha'],
    ]) {
      expect((await verb(...args)).status).toBe(9)
    }
    lock.release()
  })

  test('cat prints settings files below their paths', async () => {
    writeFileSync(at('alpha.nspawn'), '[Exec]\nBoot=no\n')
    const { stdout } = await verb('cat', 'alpha', at('alpha.nspawn'))
    const one = `# ${at('alpha.nspawn')}\n[Exec]\nBoot=no`
    expect(stdout).toBe(`${one}\n\n${one}`)
  })

  test.skipIf(lacks('program:script'))(
    'edit changes a file in one step, or not at all',
    async () => {
      const file = at('alpha.nspawn')
      const edit = async (editor: string): Promise<string> => {
        const command = tsnspawnBuild('--machines-dir', pool, 'edit', file).join(' ')
        const { stdout } = await execa('script', ['-qec', command, '/dev/null'], {
          env: { SYSTEMD_EDITOR: editor },
          reject: false,
        })
        return stdout
      }
      const editor = join(room.path, 'editor')
      const write = async (text: string): Promise<string> => {
        writeFileSync(editor, `#!/bin/sh\n${text}\n`, { mode: 0o755 })
        return edit(editor)
      }
      expect(await write('printf "[Exec]\\nBoot=yes\\n" > "$1"')).toContain('was changed')
      expect(readFileSync(file, 'utf8')).toBe('[Exec]\nBoot=yes\n')
      expect(await write('exit 0')).toContain('is as it was')
      expect(await write(': > "$1"')).toContain('is as it was')
      expect(await write('echo broken >> "$1"; exit 3')).toContain('nothing was changed')
      expect(await edit('/nonexistent/editor')).toContain('no editor called /nonexistent/editor')
      expect(readFileSync(file, 'utf8')).toBe('[Exec]\nBoot=yes\n')
      expect(readdirSync(pool).filter((name) => name.startsWith('.#'))).toEqual([])
    },
  )
})
