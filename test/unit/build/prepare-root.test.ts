import { expect, test } from 'vitest'
import { withBuildUser } from '../../../src/build/prepare-root.ts'

test('the build user is added to what the tree has', () => {
  const accounts = {
    passwd: 'root:x:0:0::/root:/bin/sh',
    group: 'root:x:0:\n',
    shadow: 'root:*:1::::::\n',
    gshadow: undefined,
  }
  expect(withBuildUser(accounts, '/nonexistent')).toEqual({
    passwd: 'root:x:0:0::/root:/bin/sh\nbuilder:x:2000:2000::/nonexistent:/bin/sh\n',
    group: 'root:x:0:\nbuilder:x:2000:\n',
    shadow: 'root:*:1::::::\nbuilder:*:19000:0:99999:7:::\n',
    gshadow: undefined,
  })
  const taken = { ...accounts, passwd: 'mary:x:2000:2000::/:/bin/sh\n' }
  expect(() => withBuildUser(taken, '/nonexistent')).toThrow(
    'the tree has a user or group builder or 2000 of its own',
  )
})
