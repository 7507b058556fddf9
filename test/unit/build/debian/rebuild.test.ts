import { expect, test } from 'vitest'
import { changelogEntry, rebuiltVersion } from '../../../../src/build/debian/rebuild.ts'

const maintainer = 'Ann Other <ann@example.org>'
const source = { name: 'tiny', version: '1:1.0-2' }
const goal = { architecture: 'amd64', distribution: 'bookworm' }

test('the entry is the one that build daemons write', () => {
  const rebuild = {
    ...{ number: 3, maintainer, time: 981_173_106 },
    reason: 'Rebuild against libfoo2\n(transition)',
  }
  expect(changelogEntry(source, rebuild, goal)).toMatchInlineSnapshot(`
    "tiny (1:1.0-2+b3) bookworm; urgency=low, binary-only=yes

      * Binary-only non-maintainer upload for amd64; no source changes.
      * Rebuild against libfoo2
        (transition)

     -- Ann Other <ann@example.org>  Sat, 03 Feb 2001 04:05:06 +0000

    "
  `)
})

test('a suffix comes before the number, and may stand alone', () => {
  const rebuild = { suffix: '~local1', maintainer, time: 0 }
  expect(rebuiltVersion('1.0', rebuild)).toBe('1.0~local1')
  expect(rebuiltVersion('1.0', { ...rebuild, number: 2 })).toBe('1.0~local1+b2')
  expect(changelogEntry(source, rebuild, goal)).toContain(
    '\n\n  * Append ~local1 to version number; no source changes\n\n -- Ann Other <ann@example.org>  Thu, 01 Jan 1970 00:00:00 +0000\n\n',
  )
})
