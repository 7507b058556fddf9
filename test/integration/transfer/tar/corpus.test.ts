/** What docs/archives.md says of bad and odd archives, archive by archive. */
import {
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
  lstatSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { LogEvent } from '../../../../src/log.ts'
import { removeTreeGently } from '../../../../src/images/remove-tree.ts'
import { splitDevice } from '../../../../src/sys/device-number.ts'
import { openPlain } from '../../../../src/transfer/decompress.ts'
import { unpackTar } from '../../../../src/transfer/tar/unpack.ts'
import { archiveCases } from '../../../fixtures/archives/corpus.ts'
import { lacks } from '../../../fixtures/requires.ts'
import { temporaryDirectory } from '../../../fixtures/temporary.ts'

/** Longer contents are told by their size and room. */
const SHOWN_BYTES = 100

const kinds = { 1: 'p', 2: 'c', 4: 'd', 6: 'b', 8: 'f', 10: 'l', 12: 's' } as const

/** One character for each byte, so that every name can be named. */
const bytes = (path: string) => Buffer.from(path, 'latin1')

function lines(top: string, path = ''): string[] {
  const found: string[] = []
  for (const name of readdirSync(bytes(join(top, path)), 'latin1').toSorted()) {
    const inner = path === '' ? name : `${path}/${name}`
    const full = bytes(join(top, inner))
    const { mode, rdev, size, blocks } = lstatSync(full)
    const kind = kinds[((mode >> 12) & 15) as keyof typeof kinds]
    // oxlint-disable-next-line no-control-regex -- names have them
    const shown = inner.replace(
      /[^\x20-\x7e]/g,
      (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
    )
    let more = ''
    if (kind === 'l') more = ` -> ${readlinkSync(full)}`
    if (kind === 'f' && size <= SHOWN_BYTES) more = ` = ${readFileSync(full, 'latin1').trimEnd()}`
    if (kind === 'f' && size > SHOWN_BYTES) more = ` = ${size} bytes, ${blocks} blocks`
    const { major, minor } = splitDevice(rdev)
    if (kind === 'c' || kind === 'b') more = ` ${major},${minor}`
    found.push(`${kind} ${(mode & 0o7777).toString(8)} ${shown}${more}`)
    if (kind === 'd') found.push(...lines(top, inner))
  }
  return found
}

async function* chunksOf(archive: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < archive.length; at += size) yield archive.subarray(at, at + size)
}

describe.skipIf(
  lacks('root', 'program:bsdtar', 'program:busybox', 'program:python3', 'program:setfacl'),
)('an archive', () => {
  test.each(archiveCases.map((one) => [`${one.holds} (${one.by})`, one] as const))(
    'with %s',
    async (_, { make, options, verdict }) => {
      await using dir = await temporaryDirectory()
      const place = { outside: join(dir.path, 'outside'), scratch: join(dir.path, 'scratch') }
      for (const path of Object.values(place)) mkdirSync(path)
      writeFileSync(join(place.outside, 'secret'), 'secret', { mode: 0o600 })
      const archive = await make(place)
      const before = JSON.stringify([lines(dir.path), ...times(dir.path)])
      // Blocks cut in all places, and in none.
      for (const size of [1, 700, archive.length + 1]) {
        if (archive.length / size > 200_000) continue
        const target = join(dir.path, 'target')
        mkdirSync(target)
        const warnings: LogEvent[] = []
        const log = (event: LogEvent) => void warnings.push(event)
        const work = async () => {
          const { chunks } = await openPlain(chunksOf(archive, size))
          return unpackTar(chunks, target, { ...options, log })
        }
        if ('refused' in verdict) {
          await expect(work()).rejects.toMatchObject({
            code: verdict.refused,
            message: expect.stringMatching(verdict.because),
          })
        } else {
          await work()
          expect(lines(target)).toEqual(verdict.tree)
          expect(warnings).toHaveLength(verdict.warnings ?? 0)
        }
        await removeTreeGently(target)
        expect(JSON.stringify([lines(dir.path), ...times(dir.path)])).toBe(before)
      }
    },
  )
})

/** What changes when somebody touches what lies outside. */
function times(directory: string): number[] {
  return ['outside', 'outside/secret'].flatMap((name) => {
    const { ctimeMs, mtimeMs } = statSync(join(directory, name))
    return [ctimeMs, mtimeMs]
  })
}
