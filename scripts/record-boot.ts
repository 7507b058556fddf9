/**
 * Records a system that is booted in a terminal, logged in to, rebooted and powered off, for docs/boots/:
 * `npm run record-boot -- NAME TREE`. TREE is a Debian that root logs in to without a password, and is not written to.
 * Writes NAME.cast, which asciinema plays, and NAME.txt, which can be read.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { ConsoleSession } from '../test/fixtures/console-session.ts'
import { tsnspawn } from '../test/fixtures/programs.ts'

const [name, tree] = process.argv.slice(2)
if (name === undefined || tree === undefined) throw new Error('record-boot takes a NAME and a TREE')

const OUTPUT = 'docs/boots'
const [COLUMNS, ROWS] = [80, 24]
/** What the viewer sees typed; the paths of this machine are none of theirs. */
const COMMAND = `tsnspawn -xbM ${name}`
const TYPING_MS = 300

/** A copy of the tree where anybody would have it, for this terminal alone, that tells nothing of this machine. */
const stage = `
  mkdir -p /var/lib/machines
  mount -t tmpfs tmpfs /var/lib/machines
  cp -a "$2" "/var/lib/machines/$1"
  echo "$1" > "/var/lib/machines/$1/etc/hostname"
  touch "/var/lib/machines/$1/root/.hushlogin"
  stty rows ${ROWS} columns ${COLUMNS}
  shift 2
  exec "$@"`

const events: [seconds: number, kind: 'o', text: string][] = [[0, 'o', `# ${COMMAND}\r\n`]]
let began: number | undefined
/** The time runs from the first output on: making the copy is nobody's concern. */
function record(text: string): void {
  const now = performance.now()
  began ??= now - TYPING_MS
  events.push([Number(((now - began) / 1000).toFixed(3)), 'o', text])
}

/** ECMA-48: control sequences, operating system commands, and the saving of the cursor. */
// oxlint-disable-next-line no-control-regex
const sequences = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[78])/g

const pause = (ms: number) => new Promise((done) => setTimeout(done, ms))

await using session = new ConsoleSession(
  [
    ...['unshare', '--mount', 'sh', '-ec', stage, 'stage', name, resolve(tree)],
    ...tsnspawn('--register=no', '-xbM', name),
  ],
  {},
  record,
)

async function say(command: string): Promise<void> {
  await pause(TYPING_MS)
  session.type(`${command}\r`)
}

async function logIn(): Promise<void> {
  await session.sees(/ login: $/)
  await say('root')
  await session.sees(/# $/)
}

async function run(command: string): Promise<void> {
  await say(command)
  await session.sees(/# $/)
}

await logIn()
await run('systemctl is-system-running --wait')
await run('grep PRETTY_NAME /etc/os-release; systemd-detect-virt')
await run('systemctl list-units --failed --no-legend')
await run('echo written before the reboot > /root/note')
await say('reboot')
await session.sees(/is being rebooted\./)
await logIn()
await run('cat /root/note')
await run('systemctl is-system-running --wait')
await say('poweroff')
const { status } = await session.ended()
record(`# echo $?\r\n${status}\r\n`)

const header = { version: 2, width: COLUMNS, height: ROWS, title: COMMAND, command: COMMAND }
mkdirSync(OUTPUT, { recursive: true })
const cast = [header, ...events].map((line) => `${JSON.stringify(line)}\n`).join('')
writeFileSync(join(OUTPUT, `${name}.cast`), cast)
writeFileSync(join(OUTPUT, `${name}.txt`), transcript(events.map(([, , text]) => text).join('')))

/** Without colours; of a line that was written over, what stood there last. */
function transcript(text: string): string {
  const lines = text
    .replaceAll(sequences, '')
    .replaceAll(/\r+\n/g, '\n')
    .split('\n')
    .map((line) => (line.split('\r').findLast((part) => part !== '') ?? '').trimEnd())
  return `${lines.join('\n').trimEnd()}\n`
}
