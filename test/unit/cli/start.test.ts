import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { START_FLAGS } from '../../../src/runtime/fork-safe-flags.ts'
import { bundleProgram, type BundledProgram } from '../../fixtures/bundled-program.ts'

let loader: BundledProgram
let top: string
let cache: string

beforeAll(() => {
  loader = bundleProgram('unit/cli/load-bundle')
})

afterAll(() => loader[Symbol.dispose]())

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'start-'))
  cache = join(top, 'cache')
})

afterEach(() => rmSync(top, { recursive: true }))

/** Bundles of one length, as V8 tells sources apart by that alone. */
function bundle(answer: 'old' | 'new'): string {
  const file = join(top, 'bundle.cjs')
  const digest = (answer === 'old' ? 'a' : 'b').repeat(32)
  const source = `(function (require, module) {
    module.exports = { answer: () => require('node:path').basename('/x/${answer}') }
  })`
  writeFileSync(file, `/*${digest}*/${source}`)
  return file
}

/** In a process of its own: V8 remembers the sources that a process has compiled. */
function answerOf(file: string): string {
  const [node, program] = loader.command
  return execFileSync(node, [program, file, cache], { encoding: 'utf8' })
}

function cacheFile(): string {
  const [name, ...rest] = readdirSync(cache)
  expect(rest).toEqual([])
  return join(cache, name as string)
}

it('the launcher starts Node with the flags of the runtime', () => {
  const [first] = readFileSync('bin/tsnspawn.cjs', 'utf8').split('\n')
  expect(first).toBe(`#!/usr/bin/env -S node ${START_FLAGS.join(' ')}`)
})

describe('the code of a bundle', () => {
  it('is kept, and not written again by the next start', () => {
    expect(answerOf(bundle('old'))).toBe('old')
    const { ino } = statSync(cacheFile())
    expect(answerOf(bundle('old'))).toBe('old')
    expect(statSync(cacheFile()).ino).toBe(ino)
  })

  it('is never that of another build, however alike', () => {
    expect(answerOf(bundle('old'))).toBe('old')
    expect(answerOf(bundle('new'))).toBe('new')
    expect(answerOf(bundle('old'))).toBe('old')
  })

  it('is readable and writable for its owner alone', () => {
    answerOf(bundle('old'))
    expect(statSync(cache).mode & 0o777).toBe(0o700)
    expect(statSync(cacheFile()).mode & 0o777).toBe(0o600)
  })

  it('is not taken from a file that others can write', () => {
    answerOf(bundle('old'))
    const { ino } = statSync(cacheFile())
    chmodSync(cacheFile(), 0o666)
    expect(answerOf(bundle('old'))).toBe('old')
    expect(statSync(cacheFile()).ino).not.toBe(ino)
    expect(statSync(cacheFile()).mode & 0o777).toBe(0o600)
  })

  it.each(['cut short', 'garbage', 'empty'] as const)('is made anew when it is %s', (damage) => {
    answerOf(bundle('old'))
    const bytes = readFileSync(cacheFile())
    const digest = bytes.subarray(-32)
    const damaged = {
      'cut short': Buffer.concat([bytes.subarray(0, bytes.length >> 1), digest]),
      garbage: Buffer.concat([Buffer.alloc(bytes.length, 7), digest]),
      empty: Buffer.alloc(0),
    }
    writeFileSync(cacheFile(), damaged[damage])
    for (let start = 0; start < 2; start++) expect(answerOf(bundle('old'))).toBe('old')
    expect(readFileSync(cacheFile()).length).toBe(bytes.length)
  })

  it('is done without where it cannot be kept', () => {
    writeFileSync(cache, 'a file, not a directory')
    expect(answerOf(bundle('old'))).toBe('old')
  })
})
