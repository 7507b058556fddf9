import { describe, expect, test } from 'vitest'
import { readCommandLine } from '../../../../src/settings/argv.ts'
import { parseSettingsFile } from '../../../../src/settings/file/settings-file.ts'
import type { Settings } from '../../../../src/settings/settings.ts'
import type { Execution } from '../../../../src/transfer/oci/documents.ts'
import { machineSettings } from '../../../../src/transfer/oci/machine-settings.ts'

const nothing: Execution = {
  user: '',
  environment: [],
  entrypoint: [],
  command: [],
  workingDirectory: '',
  stopSignal: undefined,
  ports: [],
}
const write = (execution: Partial<Execution>) =>
  machineSettings('r.example/web:1', { ...nothing, ...execution })

/** As a machine beside whose image the file lies would be started. */
function readBack(execution: Partial<Execution>): { settings: Settings; warnings: string[] } {
  const { text } = write(execution)
  const line = readCommandLine(['-D', '/var/lib/machines/web'], { cwd: '/', env: {}, version: '0' })
  if (line.kind === 'text') throw new Error('printed something')
  const file = { path: 'web.nspawn', bytes: Buffer.from(text), trusted: false }
  const { settings, events } = line.settle(parseSettingsFile(file, line.caller))
  return { settings, warnings: events.map((event) => JSON.stringify(event)) }
}

test('an ordinary image reads back as it was meant', () => {
  const execution = {
    user: 'www',
    environment: ['PATH=/usr/bin:/bin', 'GREETING=good day', 'A=first', 'A=last', 'EMPTY='],
    entrypoint: ['/usr/bin/env', '-S'],
    command: ['sh', '-c', 'echo "$HOME" \'*\''],
    workingDirectory: '/srv/my site',
    stopSignal: 'sigquit',
    ports: ['80/tcp', '53/udp', '90', '8000-8002/tcp', '80/tcp'],
  }
  expect(write(execution).text).toBe(
    [
      '# Made from the image r.example/web:1.',
      '',
      '[Exec]',
      'Boot=no',
      `Parameters=/usr/bin/env -S sh -c "echo "'"'"$HOME"'"'" '*'"`,
      'Environment=PATH=/usr/bin:/bin',
      'Environment="GREETING=good day"',
      'Environment=A=first',
      'Environment=A=last',
      'Environment=EMPTY=',
      'User=www',
      'WorkingDirectory=/srv/my site',
      'KillSignal=SIGQUIT',
      '',
      '[Network]',
      'VirtualEthernet=yes',
      ...['tcp:80', 'udp:53', 'tcp:90', 'tcp:8000', 'tcp:8001', 'tcp:8002'].map(
        (port) => `Port=${port}`,
      ),
      '',
    ].join('\n'),
  )
  const { settings } = readBack(execution)
  expect(settings).toMatchObject({
    startMode: 'command',
    command: ['/usr/bin/env', '-S', 'sh', '-c', 'echo "$HOME" \'*\''],
    environment: [
      { name: 'PATH', value: '/usr/bin:/bin' },
      { name: 'GREETING', value: 'good day' },
      { name: 'A', value: 'last' },
      { name: 'EMPTY', value: '' },
    ],
    user: 'www',
    workingDirectory: '/srv/my site',
    killSignal: 3,
  })
})

test('an image that asks for nothing runs a shell as root', () => {
  const { settings, warnings } = readBack({ user: 'root', workingDirectory: '/' })
  expect(settings).toMatchObject({
    startMode: 'command',
    command: [],
    user: undefined,
    killSignal: 15,
  })
  expect(warnings).toEqual([])
})

test('every word comes back, whatever characters it is made of', () => {
  const alphabet = [
    '"',
    "'",
    '\\',
    ' ',
    '\t',
    '#',
    ';',
    '%',
    '$',
    '=',
    '[',
    ']',
    '`',
    'ä',
    '😀',
    'x',
    '',
  ]
  let seed = 4711
  const pick = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below
  for (let round = 0; round < 300; round++) {
    const words = Array.from({ length: 1 + pick(4) }, () =>
      Array.from({ length: pick(9) }, () => alphabet[pick(alphabet.length)]).join(''),
    )
    const { settings, warnings } = readBack({
      entrypoint: words,
      environment: words.map((word, n) => `V${n}=${word}`),
    })
    expect(settings.command).toEqual(words)
    expect(settings.environment.map(({ value }) => value)).toEqual(words)
    expect(warnings).toEqual([])
  }
})

describe('what cannot be written, or would be read as something else, is refused', () => {
  test.each<[string, Partial<Execution>]>([
    ['a line end in a variable', { environment: ['A=1\n[Files]\nBind=/'] }],
    ['a line end of another kind', { command: ['a\rb'] }],
    ['a NUL', { command: ['a\0b'] }],
    ['what a terminal obeys', { environment: ['A=\u001b[2J'] }],
    ['half a character', { command: ['\ud800'] }],
    ['a user with a line end', { user: 'www\nParameters=/bin/evil' }],
    ['a user that continues the line', { user: 'www\\' }],
    ['a user in blanks', { user: ' www' }],
    ['a directory with a line end', { workingDirectory: '/a\nUser=root' }],
    ['a directory that leads up', { workingDirectory: '/a/../../b' }],
    ['a directory of the kernel', { workingDirectory: '/proc/self' }],
    ['a signal that is none', { stopSignal: 'SIGNOPE' }],
    ['a port that is none', { ports: ['80;rm'] }],
    ['port 0', { ports: ['0/tcp'] }],
    ['a port too high', { ports: ['65536/tcp'] }],
    ['ports backwards', { ports: ['90-80/tcp'] }],
    ['ports without number', { ports: ['1-65535/tcp'] }],
    [
      'more than a file may have',
      { environment: Array.from({ length: 100 }, (_, n) => `A${n}=${'x'.repeat(700)}`) },
    ],
  ])('%s', (_what, execution) => {
    expect(() => write(execution)).toThrow(expect.objectContaining({ code: 'BAD_IMAGE_CONFIG' }))
  })
})

test('what the file has no words for is told', () => {
  const { text, left } = write({
    user: '1000:www',
    environment: ['LONELY', '=x'],
    ports: ['9/sctp'],
  })
  expect(text).toContain('\nUser=1000\n')
  expect(text).not.toMatch(/LONELY|Network/)
  expect(left).toEqual([
    'the sctp port 9',
    'the variable "LONELY", which has no value',
    'the variable "=x", which has no value',
    'the group "www" of its user',
  ])
})

test('a relative directory is one of the image', () => {
  expect(readBack({ workingDirectory: 'app/./x/' }).settings.workingDirectory).toBe('/app/x')
})
