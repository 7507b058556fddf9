/** Whatever bytes a file has, the answer is settings or an `NspawnError`, and it comes soon. */
import { expect, test } from 'vitest'
import { NspawnError } from '../../../../src/errors.ts'
import { readCommandLine } from '../../../../src/settings/argv.ts'
import { fileKeys } from '../../../../src/settings/file/keys.ts'
import { parseSettingsFile } from '../../../../src/settings/file/settings-file.ts'
import { SETTINGS_FILE_MAX } from '../../../../src/settings/file/syntax.ts'

/** Files as people write them. */
const seeds = [
  '[Exec]\nBoot=yes\nPrivateUsers=pick\n\n[Network]\nVirtualEthernet=yes\nPort=tcp:8080:80\n',
  '# web\n[Exec]\nParameters=/usr/bin/httpd "-D FOREGROUND" \\\n  -f /etc/httpd.conf\nUser=www\n' +
    'Environment="A=x y" B=2\nLimitNOFILE=1024:4096\n[Files]\nBind=/srv/www:/srv:rbind,idmap\n',
  '\uFEFF[Exec]\r\nCapability=CAP_NET_ADMIN all\r\nSystemCallFilter=~@mount keyctl\r\n' +
    'CPUAffinity=0-3,7\r\nKillSignal=SIGRTMIN+3\r\n[Files]\r\nOverlay=/a:/b::/c\r\nVolatile=state\r\n',
]
const words = [
  ...[
    '[Exec]',
    '[Files]',
    '[Network]',
    '[X-a]',
    '[',
    ']',
    '=',
    '\\',
    '\\\n',
    '\n',
    '\r',
    '\0',
    ' ',
  ],
  ...[
    '"',
    "'",
    '#',
    ';',
    ':',
    '~',
    '%',
    'yes',
    'no',
    '',
    'infinity',
    '-1',
    '0x10',
    '\u001b',
    '\uFEFF',
  ],
  ...fileKeys.map(({ key }) => key),
  ...['Boot', 'ProcessTwo', 'Parameters', '99999999999999999999', 'é', 'a'.repeat(300)],
]

/** The same numbers for the same seed (mulberry32). */
function generator(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

type Pick = (below: number) => number

const randomBytes = (pick: Pick) => Buffer.from(Array.from({ length: pick(200) }, () => pick(256)))

const randomWords = (pick: Pick) =>
  Buffer.from(Array.from({ length: pick(40) }, () => words[pick(words.length)]).join(''))

const randomAssignments = (pick: Pick) => {
  const lines = Array.from({ length: pick(20) }, () => {
    const { section, key } = fileKeys[pick(fileKeys.length)] as (typeof fileKeys)[number]
    const value = Array.from({ length: pick(4) }, () => words[pick(words.length)]).join('')
    return `[${section}]\n${key}=${value}`
  })
  return Buffer.from(lines.join('\n'))
}

function mutated(pick: Pick): Buffer {
  let bytes = Buffer.from(seeds[pick(seeds.length)] as string)
  for (let n = 1 + pick(6); n > 0; n--) {
    const at = pick(bytes.length + 1)
    const cut = at + pick(8)
    const inserted = pick(2) === 0 ? Buffer.from([pick(256)]) : randomWords(pick).subarray(0, 12)
    bytes = Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(cut)])
  }
  return bytes
}

const argvs = [[], ['--settings=override', '-U', '-x'], ['--settings=trusted', '-E', 'A=1', 'ls']]

function settled(bytes: Uint8Array, argv: readonly string[], trusted: boolean): void {
  const line = readCommandLine(argv, { cwd: '/', env: {}, version: '0' })
  if (line.kind === 'text') return
  try {
    line.settle(parseSettingsFile({ path: '/f', bytes, trusted }, line.caller))
  } catch (error) {
    if (!(error instanceof NspawnError)) throw error
    expect(error.message).not.toBe('')
  }
}

test.each([
  ['random bytes', randomBytes],
  ['words of the language', randomWords],
  ['assignments of odd values', randomAssignments],
  ['real files with slips', mutated],
])('%s give settings or an NspawnError', (_what, make) => {
  const pick = generator(20260101)
  for (let n = 0; n < 1500; n++) {
    const bytes = make(pick)
    try {
      settled(bytes, argvs[n % argvs.length] as string[], n % 2 === 0)
    } catch (error) {
      throw new Error(`on ${JSON.stringify(bytes.toString('latin1'))}`, { cause: error })
    }
  }
})

const most = (line: (n: number) => string) =>
  Array.from({ length: 20_000 }, (_, n) => line(n)).join('')

test.each([
  ['one endless line', `[Exec]\nEnvironment=${most((n) => `A${n}= `)}`],
  ['backslashes', `[Exec]\nUser=${most(() => '\\\\\\\\')}`],
  ['continued lines', `[Exec]\nUser=${most(() => '\\\n')}`],
  ['open quotes', `[Exec]\nParameters=${most(() => `"'`)}`],
  ['blanks', `[Exec]\nUser=${most(() => '     ')}x${most(() => ' ')}`],
  ['unknown keys', `[Exec]\n${most(() => 'Usre=1\n')}`],
  ['processors', `[Exec]\n${most(() => 'CPUAffinity=0-8191\n')}`],
  ['mounts', `[Files]\n${most(() => 'Bind=/a\n')}`],
  ['colons', `[Files]\nOverlay=${most(() => '/a:')}`],
])('%s do not take long', (_what, text) => {
  const began = performance.now()
  settled(Buffer.from(text.slice(0, SETTINGS_FILE_MAX)), [], true)
  expect(performance.now() - began).toBeLessThan(4000)
})
