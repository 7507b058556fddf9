import { expect, test } from 'vitest'
import { parseSpecification } from '../../../src/cli/commands/shell.ts'
import { commandApart } from '../../../src/cli/tsnspawn-build.ts'

test('a machine may have a user in front', () => {
  expect(parseSpecification('web')).toEqual({ user: undefined, name: 'web' })
  expect(parseSpecification('joe@web')).toEqual({ user: 'joe', name: 'web' })
  expect(() => parseSpecification('@web')).toThrow('names no user')
})

test.each([
  ['shell web ls -l', 'shell web -- ls -l'],
  ['-q shell --uid joe web -E A=1 ls -q', '-q shell --uid joe web -E A=1 -- ls -q'],
  ['--machines-dir /m shell web sh -c x', '--machines-dir /m shell web -- sh -c x'],
  ['shell web -- ls', 'shell web -- ls'],
  ['shell web', 'shell web'],
  ['kill web other -s HUP', 'kill web other -s HUP'],
])('"%s" means "%s"', (line, wanted) => {
  expect(commandApart(line.split(' ')).join(' ')).toBe(wanted)
})
