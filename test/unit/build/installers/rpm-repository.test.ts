import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  describeRpm,
  isRpmPackage,
  namesInDependency,
  rpmRepositoryFiles,
} from '../../../../src/build/installers/rpm-repository.ts'

type Value = readonly string[] | { readonly integers: readonly number[]; readonly bytes: 2 | 4 }

/** A header with these tags, as rpm writes it. */
function header(values: Readonly<Record<number, Value>>): Buffer {
  const index: Buffer[] = []
  const store: Buffer[] = []
  let offset = 0
  for (const [tag, value] of Object.entries(values)) {
    const [type, count, data] =
      'bytes' in value
        ? ([value.bytes === 2 ? 3 : 4, value.integers.length, packed(value)] as const)
        : ([8, value.length, Buffer.from(value.map((text) => `${text}\0`).join(''))] as const)
    const entry = Buffer.alloc(16)
    for (const [nth, number] of [Number(tag), type, offset, count].entries())
      entry.writeUInt32BE(number, nth * 4)
    index.push(entry)
    store.push(data)
    offset += data.length
  }
  const preamble = Buffer.alloc(16)
  preamble.writeUInt32BE(0x8eade801)
  preamble.writeUInt32BE(index.length, 8)
  preamble.writeUInt32BE(offset, 12)
  return Buffer.concat([preamble, ...index, ...store])
}

function packed({ integers, bytes }: Exclude<Value, readonly string[]>): Buffer {
  const data = Buffer.alloc(integers.length * bytes)
  for (const [nth, one] of integers.entries()) data.writeUIntBE(one, nth * bytes, bytes)
  return data
}

/** A package file without files in it: lead, a header of signatures of odd length, and the header. */
function rpmFile(values: Readonly<Record<number, Value>>): Buffer {
  const lead = Buffer.alloc(96)
  lead.writeUInt32BE(0xedabeedb)
  const signatures = header({ 1000: ['odd'] })
  const padding = Buffer.alloc((8 - (signatures.length % 8)) % 8)
  return Buffer.concat([lead, signatures, padding, header(values), Buffer.from('payload')])
}

const four = (...integers: readonly number[]) => ({ integers, bytes: 4 }) as const
const tags = {
  1000: ['libx'],
  1001: ['2.0'],
  1002: ['1.fc43'],
  1003: four(1),
  1004: ['An <x> & more\u0007'],
  1022: ['x86_64'],
  1030: { integers: [0o100644, 0o040755], bytes: 2 },
  1044: ['x-2.0-1.fc43.src.rpm'],
  1116: four(0, 1),
  1117: ['x.h', 'x'],
  1118: ['/usr/include/', '/usr/share/'],
  1047: ['libx', 'pkgconfig(x)'],
  1112: four(8, 8),
  1113: ['1:2.0-1.fc43', '2.0'],
  1049: ['/bin/sh', 'rpmlib(FileDigests)', '(a >= 2 or b)'],
  1048: four(0x200, 0x1000000, 0),
  1050: ['', '4.6.0-1', ''],
} as const

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rpm-repository-'))
})
afterEach(() => rm(directory, { recursive: true }))

async function describePackage(bytes: Buffer) {
  const path = join(directory, 'x.rpm')
  await writeFile(path, bytes)
  return describeRpm(path)
}

test('a package says what it is, needs and provides', async () => {
  expect(await describePackage(rpmFile(tags))).toMatchObject({
    name: 'libx',
    version: '1:2.0-1.fc43',
    architecture: 'x86_64',
    provides: ['libx', 'pkgconfig(x)', '/usr/include/x.h', '/usr/share/x'],
    requires: [['/bin/sh'], ['a', 'b']],
  })
})

test.each([
  ['nothing', Buffer.alloc(0)],
  ['something else', Buffer.alloc(4096)],
  ['half a package', rpmFile(tags).subarray(0, 300)],
  ['a package of sources', rpmFile({ ...tags, 1044: [] })],
  ['a name that is a path', rpmFile({ ...tags, 1000: ['../x'] })],
  ['values beyond its end', rpmFile({ ...tags, 1118: four(1) }).fill(0xff, 240, 250)],
])('%s is refused', async (_what, bytes) => {
  await expect(describePackage(bytes)).rejects.toThrow('cannot read the package')
})

test('the index has what the header says, safe for XML, and is vouched for', async () => {
  const facts = await describePackage(rpmFile(tags))
  const one = { path: '0/libx.rpm', sizeBytes: 7, sha256: 'abc', facts }
  const [primary, repomd, configuration] = rpmRepositoryFiles([one], 'etc/x.repo', ['own=1'])
  const xml = gunzipSync(primary?.text as Buffer).toString()
  for (const line of [
    '<name>libx</name>',
    '<version epoch="1" ver="2.0" rel="1.fc43"/>',
    '<checksum type="sha256" pkgid="YES">abc</checksum>',
    '<summary>An &lt;x&gt; &amp; more</summary>',
    '<location href="0/libx.rpm"/>',
    '<rpm:entry name="libx" flags="EQ" epoch="1" ver="2.0" rel="1.fc43"/>',
    '<rpm:entry name="pkgconfig(x)" flags="EQ" epoch="0" ver="2.0"/>',
    '<rpm:entry name="/bin/sh" pre="1"/>',
    '<rpm:entry name="(a &gt;= 2 or b)"/>',
    '<file>/usr/include/x.h</file>',
    '<file type="dir">/usr/share/x</file>',
  ])
    expect(xml.split('\n')).toContain(line)
  expect(xml).not.toContain('rpmlib(')
  expect(String(repomd?.text)).toMatch(/<checksum type="sha256">[0-9a-f]{64}</)
  expect(String(configuration?.text)).toContain('baseurl=file:///tsnspawn-packages\n')
})

test.each([
  ['greeting', ['greeting']],
  ['greeting >= 2:1.0-3', ['greeting']],
  ['pkgconfig(x) = 1', ['pkgconfig(x)']],
  ['(a and b >= 2)', ['a', 'b']],
  ['(pkgconfig(a) if (b or c(d)(64bit) < 3))', ['pkgconfig(a)', 'b', 'c(d)(64bit)']],
  ['(x >= 1.0)', ['x']],
])('%s is satisfied by %j', (dependency, names) => {
  expect(namesInDependency(dependency)).toEqual(names)
})

test('packages of sources are none that are installed', () => {
  const names = ['a-1-1.noarch.rpm', 'a-1-1.src.rpm', 'a-1-1.nosrc.rpm', 'a.deb']
  expect(names.map(isRpmPackage)).toEqual([true, false, false, false])
})
