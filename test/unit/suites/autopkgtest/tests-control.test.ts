import { describe, expect, test } from 'vitest'
import { parseTestsControl } from '../../../../src/suites/autopkgtest/tests-control.ts'

const parse = (...lines: readonly string[]) => parseTestsControl(lines.join('\n'))

describe('debian/tests/control', () => {
  test('names scripts in their directory, with what all of its paragraph share', () => {
    const tests = parse(
      '# what it is for',
      'Tests: one, two',
      ' three',
      'Tests-Directory: tests/debian # not below debian/',
      'Depends: a | b, @ (>= 1),',
      '# in between',
      ' c [amd64]',
      'Restrictions: needs-root allow-stderr,flaky',
      'Architecture: !s390x',
    )
    expect(tests.map(({ name }) => name)).toEqual(['one', 'two', 'three'])
    expect(tests[2]).toEqual({
      name: 'three',
      run: { kind: 'script', path: 'tests/debian/three' },
      depends: ['a | b', '@ (>= 1)', 'c [amd64]'],
      restrictions: ['needs-root', 'allow-stderr', 'flaky'],
      architectures: ['!s390x'],
    })
  })

  test('numbers commands, unless they have a name, and takes the packages of the source for granted', () => {
    const tests = parse(
      'Test-Command: first',
      '',
      'Test-Command: second --with',
      ' more',
      'Features: x, test-name=named',
      '',
      'Test-Command: third',
      'Depends:',
    )
    expect(tests.map(({ name, run, depends }) => [name, run, depends])).toEqual([
      ['command1', { kind: 'command', line: 'first' }, ['@']],
      ['named', { kind: 'command', line: 'second --with more' }, ['@']],
      ['command2', { kind: 'command', line: 'third' }, []],
    ])
  })

  test('wants recommended packages where it says so in the old way', () => {
    const [one] = parse('Tests: one', 'Depends: a', 'Restrictions: needs-recommends')
    expect(one?.depends).toEqual(['a', '@recommends@'])
  })

  test('has tests that nobody can run', () => {
    const [field, slash] = parse('Tests: one', 'Speed: fast', '', 'Tests: a/b')
    expect(field?.refused).toBe('unknown field speed')
    expect(slash?.refused).toContain('no slash')
  })

  test.each([
    [['Depends: a'], 'needs one of Tests and Test-Command'],
    [['Tests: one', 'Test-Command: two'], 'needs one of Tests and Test-Command'],
    [['Tests: one', 'Features: test-name=x'], 'for Test-Command only'],
    [['Test-Command: one', 'Features: test-name'], 'has no name'],
    [['Tests: ,'], 'is empty'],
    [['Tests: one one'], 'two tests are called one'],
  ])('is refused when it contradicts itself: %j', (lines, why) => {
    expect(() => parse(...lines)).toThrow(why)
  })
})
