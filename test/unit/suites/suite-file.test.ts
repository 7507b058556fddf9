import { expect, test } from 'vitest'
import { NspawnError } from '../../../src/errors.ts'
import { readSuite } from '../../../src/suites/suite-file.ts'

const path = '/srv/project/tests.yaml'

function refusal(text: string): NspawnError {
  try {
    readSuite(text, path)
  } catch (error) {
    if (error instanceof NspawnError) return error
    throw error
  }
  throw new Error('it was accepted')
}

test('a suite says images, what they get, and cases with defaults', () => {
  const suite = readSuite(
    `
images:
  - box
  - { image: ./tree, label: own, packages: [make] }
  - { recipe: debian, release: 12, setup: [apt-get update] }
packages: [curl]
setup: [touch /prepared, [ln, -s, a, b]]
files: { /srv/a: a.txt }
defaults: { user: builder, timeout: 2min, environment: { LEVEL: 3, A: x } }
cases:
  - name: one
    command: make check
    environment: { A: y }
  - name: two
    command: [prove, -r]
    images: [own]
    skip: { box: no perl there }
    user: root
    timeout: 1.5
    expect: { status: [0, 2], skip: 77, stdout: ok, stderr: { matches: "^a" } }
`,
    path,
  )
  expect(suite).toMatchObject({
    name: 'tests',
    images: [
      { label: 'box', source: { kind: 'image', name: 'box' } },
      { label: 'own', source: { kind: 'image', name: '/srv/project/tree' }, packages: ['make'] },
      {
        label: 'debian-12',
        source: { kind: 'recipe', recipe: 'debian', release: '12' },
        setup: [['/bin/sh', '-ec', 'apt-get update']],
      },
    ],
    packages: ['curl'],
    setup: [
      ['/bin/sh', '-ec', 'touch /prepared'],
      ['ln', '-s', 'a', 'b'],
    ],
    files: [{ source: '/srv/project/a.txt', destination: '/srv/a' }],
  })
  expect(suite.cases[0]).toMatchObject({
    user: 'builder',
    command: ['/bin/sh', '-ec', 'make check'],
    environment: { LEVEL: '3', A: 'y' },
    timeoutMs: 120_000,
    network: 'none',
    container: 'ephemeral',
    expect: { status: [0] },
  })
  expect(suite.cases[1]).toMatchObject({
    user: 'root',
    images: ['own'],
    skip: new Map([['box', 'no perl there']]),
    timeoutMs: 1500,
    expect: {
      status: [0, 2],
      skipStatus: 77,
      stdout: { equals: 'ok' },
      stderr: { matches: ['^a'] },
    },
  })
})

test.each([
  ['cases:\n  - name: a\n    comand: x\n', 3, 'did you mean command?'],
  ['cases:\n  - name: a\n    command: x\n  - name: a\n    command: y\n', 4, 'another one called a'],
  ['cases:\n  - name: a\n', 2, 'it is missing'],
  ['cases: []\n', 1, 'cases'],
  [
    'images: [box]\ncases:\n  - name: a\n    command: x\n    images: [bix]\n',
    5,
    'did you mean box?',
  ],
  ['cases:\n  - name: a\n    command: x\n    timeout: soon\n', 4, 'is no time span'],
  ['name: 3\ncases:\n  - name: a\n    command: x\n', 1, 'expected string'],
  ['cases:\n  - name: a\n    command: { x: y }\n', 3, 'takes a line for the shell'],
  [
    'cases:\n  - name: a\n    command: x\n    expect: { stdout: { matches: "(" } }\n',
    4,
    'no regular',
  ],
  ['cases:\n  - name: a\n    command: x\n    files: { srv: a }\n', 4, 'absolute path'],
  ['cases:\n  - name: "a\\nb"\n    command: x\n', 2, 'on one line'],
  ['cases: [\n', 2, ''],
  ['images: [a]\nimages: [b]\ncases: [{ name: a, command: x }]\n', 2, 'unique'],
])('what is wrong is told with its line: %j', (text, line, words) => {
  const { code, message, hint = '' } = refusal(text)
  expect(code).toBe('SUITE_INVALID')
  expect(message).toMatch(new RegExp(`^${path}:${line}:`))
  expect(`${message} ${hint}`).toContain(words)
})

test('a document that grows without end is refused', () => {
  const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]']
  for (const [above, name] of ['ab', 'bc', 'cd', 'de', 'ef', 'fg'])
    bomb.push(`${name}: &${name} [${`*${above}, `.repeat(9)}]`)
  expect(refusal(bomb.join('\n')).code).toBe('SUITE_INVALID')
})
