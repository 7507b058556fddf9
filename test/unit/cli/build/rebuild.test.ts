import { expect, test } from 'vitest'
import { readRebuild } from '../../../../src/cli/build/rebuild.ts'

const ann = { DEBFULLNAME: 'Ann', DEBEMAIL: 'ann@example.org', SOURCE_DATE_EPOCH: '5' }

test('who rebuilds is told by the option, else by the environment', () => {
  const options = { binnmu: '2', binnmuChangelog: 'why' }
  expect(readRebuild(options, ann)).toEqual({
    ...{ number: 2, reason: 'why', suffix: undefined, time: 5 },
    maintainer: 'Ann <ann@example.org>',
  })
  const bob = { ...options, maintainer: 'Bob B. <b@x>' }
  expect(readRebuild(bob, ann)?.maintainer).toBe('Bob B. <b@x>')
  const whole = { ...ann, DEBEMAIL: 'Eve <eve@x>' }
  expect(readRebuild({ appendToVersion: '~local1' }, whole)?.maintainer).toBe('Eve <eve@x>')
  expect(readRebuild({}, {})).toBeUndefined()
})

test.each([
  [{ binnmu: '2' }, ann],
  [{ binnmuChangelog: 'why' }, ann],
  [{ binnmu: '0', binnmuChangelog: 'why' }, ann],
  [{ binnmu: '2', binnmuChangelog: ' ' }, ann],
  [{ appendToVersion: '-1' }, ann],
  [{ appendToVersion: '~a b' }, ann],
  [{ appendToVersion: '~a' }, {}],
  [{ appendToVersion: '~a', maintainer: 'Ann' }, ann],
  [{ appendToVersion: '~a', maintainer: 'Ann\n <a@x>' }, ann],
  [{ appendToVersion: '~a' }, { ...ann, SOURCE_DATE_EPOCH: 'today' }],
  [{ maintainer: 'Ann <a@x>' }, ann],
])('%j is refused', (options, environment) => {
  expect(() => readRebuild(options, environment)).toThrow(
    expect.objectContaining({ code: 'USAGE' }),
  )
})
