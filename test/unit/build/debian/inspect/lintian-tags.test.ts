import { expect, test } from 'vitest'
import {
  countTags,
  lintianCommand,
  readLintianTags,
} from '../../../../../src/build/debian/inspect/lintian-tags.ts'

test('what shall be a failure is shown, and lintian decides nothing itself', () => {
  const command = lintianCommand(
    { options: ['--tags=x'], failOn: ['error', 'pedantic', 'override'] },
    '/r/x.changes',
  )
  expect(command.join(' ')).toBe(
    'lintian --color never --fail-on none --pedantic --show-overrides --tags=x /r/x.changes',
  )
})

test('findings are told from all else that is printed', () => {
  const lines = [
    'E: tiny: no-copyright-file',
    'W: tiny source: something [debian/rules]',
    'N: ',
    'N: 3 hints overridden (1 error, 2 warnings)',
    'O: tiny: overridden',
    'running with root privileges is not recommended!',
  ]
  const tags = readLintianTags(lines)
  expect(tags.map(({ severity }) => severity)).toEqual(['error', 'warning', 'override'])
  expect(countTags(tags)).toBe('1 error, 1 warning, 1 overridden finding')
  expect(countTags([])).toBe('nothing to say')
})
