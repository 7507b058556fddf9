import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  chooseBuilds,
  dropHistory,
  findBuild,
  HistoryEntry,
  listBuilds,
  logOf,
  readRecord,
  type KnownBuild,
} from '../../../src/build/history.ts'
import { BuildRecorder } from '../../../src/build/record.ts'
import { NspawnError } from '../../../src/errors.ts'
import { silent } from '../../../src/log.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

const beginning = {
  driver: 'command',
  tree: '/tree',
  outputDirectory: '/out',
  machine: 'build-1',
} as const
const none = { builds: 0, totalBytes: 0, ageMs: 0 }

describe('the history', () => {
  test('knows a build from its beginning, its name when the source has said it, and its end', async () => {
    await using work = await temporaryDirectory()
    const entry = await HistoryEntry.begin(work.path, beginning)
    expect(await listBuilds(work.path)).toMatchObject([{ id: entry.id, state: 'running' }])
    await entry.name({ name: 'tiny', version: '1.0' })
    expect(await listBuilds(work.path)).toMatchObject([{ name: 'tiny', version: '1.0' }])
    const recorder = new BuildRecorder('command', silent)
    const error = new NspawnError('it fails', { code: 'BUILD_FAILED' })
    await entry.finish(recorder.finish(error))
    const [build] = await listBuilds(work.path)
    expect(build).toMatchObject({ state: 'failed', failure: { code: 'BUILD_FAILED' } })
    expect(await readRecord(build as KnownBuild)).toMatchObject({ result: 'failed' })
  })

  test('tells a build that was killed from one that runs', async () => {
    await using work = await temporaryDirectory()
    const entry = await HistoryEntry.begin(work.path, beginning)
    const path = join(entry.directory, 'entry.json')
    const note = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
    // No process that runs now has begun before the host.
    await writeFile(path, JSON.stringify({ ...note, owner: { pid: process.pid, startTime: 1 } }))
    const [build] = await listBuilds(work.path)
    expect(build).toMatchObject({ state: 'killed' })
    expect(await readRecord(build as KnownBuild)).toBeUndefined()
  })

  test('drops no build that runs, whatever the limits', async () => {
    await using work = await temporaryDirectory()
    const running = await HistoryEntry.begin(work.path, beginning)
    const ended = await HistoryEntry.begin(work.path, beginning)
    await writeFile(logOf(ended), 'x'.repeat(1000))
    await ended.finish(new BuildRecorder('command', silent).finish())
    const told = await dropHistory(work.path, none, 'tell')
    expect(told.map(({ id }) => id)).toEqual([ended.id])
    expect(told[0]?.bytes).toBeGreaterThan(1000)
    expect(await listBuilds(work.path)).toHaveLength(2)
    await dropHistory(work.path, none)
    expect((await listBuilds(work.path)).map(({ id }) => id)).toEqual([running.id])
  })

  test('leaves alone what is not its own', async () => {
    await using work = await temporaryDirectory()
    await mkdir(join(work.path, 'history/mine'), { recursive: true })
    await utimes(join(work.path, 'history/mine'), 0, 0)
    await dropHistory(work.path, none)
    expect(await readdir(join(work.path, 'history'))).toEqual(['mine'])
    expect(await listBuilds(work.path)).toEqual([])
  })
})

describe('of too many builds', () => {
  const builds = ['20260101-000000-aaaa', '20260102-000000-bbbb', '20260103-000000-cccc'].map(
    (id) => ({ id, bytes: 100 }),
  )
  const now = Date.parse('2026-01-03T00:00:01Z')
  const wide = { builds: 10, totalBytes: 10_000, ageMs: Infinity }
  const day = 24 * 3600 * 1000

  test.each([
    ['fit', {}, 0],
    ['are too many', { builds: 2 }, 1],
    ['are too large', { totalBytes: 150 }, 2],
    ['are too old', { ageMs: day }, 2],
  ])('the oldest go when they %s', (_what, change, count) => {
    expect(chooseBuilds(builds, { ...wide, ...change }, now)).toEqual(builds.slice(0, count))
  })
})

describe('a build is found', () => {
  const build = (id: string, name: string) => ({ id, name }) as KnownBuild
  const builds = [
    build('20260101-000000-aaaa', 'one'),
    build('20260101-000001-bbbb', 'two'),
    build('20260102-000000-cccc', 'one'),
    build('20260102-000002-ccaa', 'aaaa'),
  ]

  test.each([
    ['by its id', '20260101-000001-bbbb', 1],
    ['by the end of it', 'bbbb', 1],
    ['by the beginning of it', '20260102-000000', 2],
    ['by what was built, the latest of them', 'one', 2],
    ['as the latest of all, without a word', undefined, 3],
  ])('%s', (_how, words, index) => {
    expect(findBuild(builds, words)).toBe(builds[index])
  })

  test('or it is said that there is none, or that several fit', () => {
    expect(() => findBuild(builds, 'three')).toThrow('no build three')
    expect(() => findBuild([])).toThrow('there is no build yet')
    expect(() => findBuild(builds, '')).toThrow('no build')
    expect(() => findBuild(builds, '20260101')).toThrow('could be any of 2 builds')
    expect(() => findBuild(builds, 'aaaa')).toThrow('could be any of 2 builds')
  })
})
