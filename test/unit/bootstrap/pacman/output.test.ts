import { expect, test } from 'vitest'
import { diagnosePacman } from '../../../../src/bootstrap/pacman/failures.ts'
import { pacmanReader } from '../../../../src/bootstrap/pacman/output.ts'

test('progress is counted from what pacman says without a bar', () => {
  const { readLine, failedScripts } = pacmanReader(2)
  const lines = [
    ':: Synchronizing package databases...',
    ' core downloading...',
    ' nano-8.1-1-x86_64 downloading...',
    'checking package integrity...',
    'installing glibc...',
    'installing nano...',
    'Optional dependencies for nano',
  ]
  expect(lines.map((line) => readLine(line)).filter((event) => event !== undefined)).toEqual([
    { kind: 'step', text: 'fetching the indexes' },
    {
      kind: 'progress',
      text: 'fetching nano-8.1-1-x86_64',
      done: 1,
      total: 2,
      unit: 'packages',
    },
    { kind: 'step', text: 'checking the packages' },
    { kind: 'progress', text: 'installing glibc', done: 1, total: 2, unit: 'packages' },
    { kind: 'progress', text: 'installing nano', done: 2, total: 2, unit: 'packages' },
  ])
  expect(failedScripts).toEqual([])
})

test('a script that fails is told by its package or its hook', () => {
  const { readLine, failedScripts } = pacmanReader()
  for (const line of [
    'installing systemd...',
    'error: command failed to execute correctly',
    ':: Running post-transaction hooks...',
    '(1/2) Creating system user accounts...',
    '(2/2) Updating linux initcpios...',
    'error: command failed to execute correctly',
  ])
    readLine(line)
  expect(failedScripts).toEqual([
    'the install script of systemd',
    'the hook “Updating linux initcpios”',
  ])
})

test.each([
  [
    "error: failed retrieving file 'core.db' from a.example : The requested URL returned error: 404",
    'BOOTSTRAP_SUITE',
  ],
  [
    "error: failed retrieving file 'x-1-1-any.pkg.tar.zst' from a.example : The requested URL returned error: 404",
    'BOOTSTRAP_MIRROR',
  ],
  [
    "error: failed retrieving file 'x-1-1-any.pkg.tar.zst.sig' from a.example : The requested URL returned error: 404",
    'BOOTSTRAP_SIGNATURE',
  ],
  [
    "error: failed retrieving file 'core.db' from a.example : Could not resolve host: a.example",
    'BOOTSTRAP_MIRROR',
  ],
  [
    "error: failed retrieving file 'x.pkg.tar.zst' from a.example : Operation too slow. Less than 1 bytes/sec transferred the last 10 seconds",
    'BOOTSTRAP_MIRROR',
  ],
  ['error: nano: signature from "A B <a@example.org>" is unknown trust', 'BOOTSTRAP_SIGNATURE'],
  ['error: nano: signature from "A B <a@example.org>" is invalid', 'BOOTSTRAP_SIGNATURE'],
  ['error: core: key "ABCD" is unknown', 'BOOTSTRAP_SIGNATURE'],
  ['error: nano: missing required signature', 'BOOTSTRAP_SIGNATURE'],
  [
    ':: File /c/nano.pkg.tar.zst is corrupted (invalid or corrupted package (checksum)).',
    'BOOTSTRAP_CORRUPT',
  ],
  ['error: target not found: nan', 'BOOTSTRAP_PACKAGE'],
  [':: rival and nano are in conflict', 'BOOTSTRAP_PACKAGE'],
  ['nano: /usr/bin/nano exists in filesystem', 'BOOTSTRAP_PACKAGE'],
  [":: unable to satisfy dependency 'x' required by y", 'BOOTSTRAP_PACKAGE'],
  ['error: could not extract /usr/bin/nano (Write failed)', 'ENOSPC'],
])('%s', (line, code) => {
  expect(diagnosePacman([':: noise', line])).toMatchObject({
    code,
    message: expect.stringContaining(line.replace('error: ', '')) as string,
  })
})

test('what is particular is told rather than what sums up', () => {
  const lines = [
    'error: failed to prepare transaction (could not satisfy dependencies)',
    ":: unable to satisfy dependency 'x' required by y",
  ]
  expect(diagnosePacman(lines)?.message).toContain('required by y')
  expect(diagnosePacman(['all is well'])).toBeUndefined()
})
