import { expect, test } from 'vitest'
import { builderSettings, installerSettings, overlay } from '../../../src/build/containers.ts'
import { Rehearsal } from '../../../src/build/rehearsal.ts'
import type { Step } from '../../../src/build/step-runner.ts'
import { planText } from '../../../src/cli/build/plan-text.ts'

const facts = { machine: 'm', hostname: 'build', proxy: {}, hostsFile: false }
const place = (upper: string) => ({ upper, work: '/work' })

function step(id: string, kind: 'install' | 'question', layers: string[], upper: string): Step {
  const root = overlay(layers, place(upper), id, false)
  const command = [id, 'a b']
  const settings =
    kind === 'install'
      ? installerSettings(facts, { root, command })
      : builderSettings(facts, {
          ...{ root, command, user: 'builder', directory: '/', environment: {} },
          options: { network: 'none', environment: {} },
        })
  return { id, title: `do ${id}`, settings, failure: 'BUILD_FAILED' }
}

test('with a network or in the build nothing is run; what a source is asked before is', () => {
  let phase = 'dependencies'
  const rehearsal = new Rehearsal(() => phase)
  expect(rehearsal.skips(step('ask', 'question', ['/tree'], '/s1'))).toBe(false)
  expect(rehearsal.skips(step('install', 'install', ['/tree'], '/layer'))).toBe(true)
  expect(rehearsal.skips(step('above', 'question', ['/tree', '/layer'], '/s2'))).toBe(true)
  expect(rehearsal.skips(step('beside', 'question', ['/tree'], '/s3'))).toBe(false)
  phase = 'build'
  expect(rehearsal.skips(step('build', 'question', ['/tree'], '/s4'))).toBe(true)
  expect(rehearsal.steps.map(({ id, asked }) => `${id} ${asked}`)).toEqual([
    ...['ask true', 'install false', 'above false', 'beside true', 'build false'],
  ])
})

test('a question to what is not there yet ends the plan', () => {
  const rehearsal = new Rehearsal(() => 'dependencies')
  rehearsal.ask(step('first', 'question', ['/tree'], '/s1'))
  rehearsal.unmadeLayer('/layer')
  const second = step('second', 'question', ['/tree', '/layer'], '/s2')
  expect(() => rehearsal.ask(second)).toThrow('what comes of "do second" decides')
  expect(rehearsal.steps.map(({ id }) => id)).toEqual(['first'])
})

test('people see layers, steps and the open end', () => {
  const rehearsal = new Rehearsal(() => 'build')
  rehearsal.skips(step('make', 'question', ['/tree'], '/s1'))
  const text = planText({
    driver: 'debian',
    base: {
      path: '/tree',
      os: { id: undefined, version: undefined, codename: undefined },
      identity: '',
    },
    name: 'tiny',
    version: '1.0',
    outputDirectory: '/out',
    source: undefined,
    options: undefined,
    layers: [
      { kind: 'toolchain', key: 'a'.repeat(40), origin: 'kept' },
      { kind: 'accounts', origin: 'made' },
    ],
    steps: rehearsal.steps,
    openEnd: 'nobody knows',
  })
  expect(text).toBe(
    [
      'tiny 1.0 (debian) in /tree, to /out',
      '',
      'LAYER     STATE         KEY',
      'toolchain fits          aaaaaaaaaaaa',
      'accounts  would be made not kept',
      '',
      'PHASE STEP USER    NETWORK  COMMAND',
      "build make builder loopback make 'a b'",
      '',
      'The rest is not known yet: nobody knows.',
    ].join('\n'),
  )
})
