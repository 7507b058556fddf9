import { expect, test } from 'vitest'
import { failedStage } from '../../../../src/build/rpm/stages.ts'

test('the last thing that has failed is the one', () => {
  const lines = [
    'error: Bad exit status from /var/tmp/rpm-tmp.XgV4Zl (%check)',
    '',
    'RPM build errors:',
  ]
  expect(failedStage(lines)).toBe('%check')
  expect(failedStage(['error: File not found: /x'])).toBeUndefined()
  expect(failedStage(['error: Bad exit status from /x (%constructor)'])).toBeUndefined()
})
