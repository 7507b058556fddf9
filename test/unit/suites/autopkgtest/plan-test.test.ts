import { describe, expect, test } from 'vitest'
import { caseOf, needsBoot, whySkipped } from '../../../../src/suites/autopkgtest/plan-test.ts'
import type { PackageTest } from '../../../../src/suites/autopkgtest/tests-control.ts'

const testbed = {
  architecture: 'amd64',
  internet: false,
  jobs: 3,
  timeoutMs: 1000,
  source: '/build/x',
  home: '/build/home',
}

const packageTest = (...restrictions: readonly string[]): PackageTest => ({
  name: 'one',
  run: { kind: 'script', path: 'debian/tests/one' },
  depends: ['@'],
  restrictions,
  architectures: [],
})

describe('a test is left out', () => {
  const why = (change: Partial<PackageTest>, internet = false) =>
    whySkipped({ ...packageTest(), ...change }, { architecture: 'amd64', internet })

  test('for what its testbed has not', () => {
    expect(why({})).toBeUndefined()
    expect(why({ refused: 'unknown field x' })).toBe('unknown field x')
    expect(why({ restrictions: ['isolation-machine'] })).toContain('a machine of its own')
    expect(why({ restrictions: ['hint-testsuite-triggers'] })).toContain('hint')
    expect(why({ restrictions: ['skip-foreign-architecture'] })).toBeUndefined()
    expect(why({ restrictions: ['needs-moon'] })).toBe('unknown restriction needs-moon')
    expect(why({ restrictions: ['needs-internet'] })).toContain('--network')
    expect(why({ restrictions: ['needs-internet'] }, true)).toBeUndefined()
  })

  test('on architectures that it is not for', () => {
    expect(why({ architectures: ['any'] })).toBeUndefined()
    expect(why({ architectures: ['arm64', 'linux-amd64'] })).toBeUndefined()
    expect(why({ architectures: ['arm64'] })).toBe('it is not for amd64')
    expect(why({ architectures: ['!amd64'] })).toBe('it is not for amd64')
    expect(why({ architectures: ['!arm64'] })).toBeUndefined()
  })
})

describe('the case of a test', () => {
  test('is the ordinary user’s, offline, and may say nothing on stderr', () => {
    const made = caseOf(packageTest(), testbed)
    expect(made).toMatchObject({
      user: 'builder',
      directory: '/build/x',
      network: 'none',
      container: 'ephemeral',
      collect: ['/var/lib/autopkgtest/artifacts/**'],
      expect: { status: [0], skipStatus: undefined, stderr: { nothing: true } },
    })
    expect(made.command.at(-1)).toBe('/build/x/debian/tests/one')
    expect(made.environment).toMatchObject({ HOME: '/build/home', DEB_BUILD_OPTIONS: 'parallel=3' })
    expect(made.environment).not.toHaveProperty('AUTOPKGTEST_NORMAL_USER')
  })

  test('is what its restrictions say', () => {
    const made = caseOf(
      packageTest('needs-root', 'allow-stderr', 'skippable', 'needs-internet'),
      testbed,
    )
    expect(made).toMatchObject({
      user: 'root',
      network: 'host',
      environment: { HOME: '/root', AUTOPKGTEST_NORMAL_USER: 'builder' },
      expect: { skipStatus: 77 },
    })
    expect(made.expect.stderr.nothing).toBeUndefined()
  })

  test('runs in a system of its own where it wants services or restarts', () => {
    expect(needsBoot(packageTest('isolation-container'))).toBe(true)
    const made = caseOf(packageTest('needs-reboot'), testbed)
    expect(made.container).toBe('booted')
    expect(made.rebootMark?.variable).toBe('AUTOPKGTEST_REBOOT_MARK')
    expect(caseOf(packageTest('isolation-container'), testbed).rebootMark).toBeUndefined()
  })

  test('of a command is what bash makes of it', () => {
    const run = { kind: 'command', line: 'greet | grep "a b"' } as const
    const words = ['bash', '-e', '-c', 'greet | grep "a b"']
    expect(caseOf({ ...packageTest(), run }, testbed).command.slice(-4)).toEqual(words)
  })
})
