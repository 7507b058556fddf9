import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bashCompletion } from '../../../src/cli/completion/bash.ts'
import { fishCompletion } from '../../../src/cli/completion/fish.ts'
import {
  positions,
  tsnspawnBuildVerbs,
  tsnspawnOptions,
  type Programs,
} from '../../../src/cli/completion/model.ts'
import { zshCompletion } from '../../../src/cli/completion/zsh.ts'
import { verbs } from '../../../src/cli/verbs.ts'
import { lacks } from '../../fixtures/requires.ts'

let place: string
let programs: Programs
const script = (name: string) => join(place, name)

beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), 'completion-'))
  programs = {
    tsnspawn: tsnspawnOptions(),
    global: [
      {
        long: 'machines-dir',
        short: undefined,
        help: '',
        value: 'required',
        completed: 'directory',
      },
      { long: 'quiet', short: 'q', help: '', value: 'none', completed: 'text' },
    ],
    verbs: await tsnspawnBuildVerbs(verbs),
    recipes: ['debian'],
  }
  writeFileSync(script('bash'), bashCompletion(programs))
  writeFileSync(script('zsh'), zshCompletion(programs))
  writeFileSync(script('fish'), fishCompletion(programs))
  mkdirSync(join(place, 'run/machines'), { recursive: true })
  writeFileSync(join(place, 'run/machines/web.json'), '{}')
  mkdirSync(join(place, 'images/box'), { recursive: true })
  writeFileSync(join(place, 'images/disk.raw'), '')
  writeFileSync(join(place, 'images/notes'), '')
})
afterAll(() => rmSync(place, { recursive: true }))

const env = () => ({
  PATH: process.env['PATH'],
  HOME: place,
  TSNSPAWN_RUNTIME_DIR: join(place, 'run'),
  TSNSPAWN_MACHINES_DIR: join(place, 'images'),
})

/** What bash offers for the last word; `=` is a word of its own, as in COMP_WORDBREAKS. */
function offered(...words: string[]): string[] {
  const run = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    case $1 in tsnspawn) _tsnspawn ;; *) _tsnspawn_build ;; esac
    printf '%s\\n' "\${COMPREPLY[@]}"`
  const text = execFileSync('bash', ['-c', run, 'bash', script('bash'), ...words], {
    encoding: 'utf8',
    env: env(),
  })
  return text.split('\n').filter((line) => line !== '')
}

test('it is told what the arguments of each verb are', () => {
  expect(Object.keys(positions).toSorted()).toEqual(verbs.map(({ name }) => name).toSorted())
})

describe('bash', () => {
  test.each([
    [['tsnspawn', '--cons'], ['--console=']],
    [['tsnspawn', '--console', '=', 'r'], ['read-only']],
    [
      ['tsnspawn', '-M', ''],
      ['box', 'disk'],
    ],
    [['tsnspawn', '-q', '--machine', '=', 'b'], ['box']],
    [['tsnspawn-build', 'rebo'], ['reboot']],
    [['tsnspawn-build', 'shell', ''], ['web']],
    [
      ['tsnspawn-build', '-q', '--machines-dir', '/x', 'start', ''],
      ['box', 'disk'],
    ],
    [
      ['tsnspawn-build', 'kill', 'web', '--kill-whom', '=', ''],
      ['leader', 'all'],
    ],
    [['tsnspawn-build', 'kill', '--kill-whom', 'a'], ['all']],
    [['tsnspawn-build', 'list', '--no-l'], ['--no-legend']],
    [['tsnspawn-build', 'create', ''], ['debian']],
    [['tsnspawn-build', 'help', 'term'], ['terminate']],
  ])('completes %j', (words, wanted) => {
    expect(offered(...words)).toEqual(wanted)
  })
})

test('bash completes directories and files where they are wanted', () => {
  expect(offered('tsnspawn', '--directory', '=', `${place}/i`)).toEqual([`${place}/images`])
  expect(offered('tsnspawn', '-D', `${place}/images/n`)).toEqual([])
  const file = `${place}/images/notes`
  expect(offered('tsnspawn-build', 'copy-to', 'web', `${place}/images/n`)).toEqual([file])
})

test.skipIf(lacks('program:zsh'))('zsh can read its script', () => {
  execFileSync('zsh', ['-n', script('zsh')])
})

test.skipIf(lacks('program:fish'))('fish offers verbs, machines and values', () => {
  const complete = (line: string) =>
    execFileSync('fish', ['-c', 'source $argv[1]; complete -C $argv[2]', script('fish'), line], {
      encoding: 'utf8',
      env: env(),
    })
      .trim()
      .split('\n')
      .map((row) => row.split('\t')[0])
  expect(complete('tsnspawn-build rebo')).toEqual(['reboot'])
  expect(complete('tsnspawn-build status ')).toEqual(['web'])
  expect(complete('tsnspawn-build kill --kill-whom=l')).toEqual(['--kill-whom=leader'])
  expect(complete('tsnspawn --console=re')).toEqual(['--console=read-only'])
})
