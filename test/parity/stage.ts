/** Runs one case through one program, on the same stage for both, and says what came of it. */
import { execa } from 'execa'
import { readFileSync } from 'node:fs'
import { mkdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { copyDebianTree } from '../fixtures/debian-tree.ts'
import { addHostUsers } from '../fixtures/host-users.ts'
import { restoreTree } from '../fixtures/pristine.ts'
import { Room } from '../fixtures/room.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary.ts'
import type { ParityCase, Place } from './case.ts'
import { readFacts, type Facts, type Setting } from './facts.ts'

export interface Outcome {
  /** Exit status, or the name of the signal that ended the runtime. */
  readonly ended: number | string
  readonly stdout: string
  readonly stderr: string
  /** Undefined when the probe did not run to its end. */
  readonly facts: Facts | undefined
  /**
   * What is changed in the tree after the run, as facts with keys `tree PATH`; what the case itself
   * prepared is among it.
   */
  readonly treeFacts: Facts
}

export type Program = (...args: string[]) => [string, ...string[]]

const probe = fileURLToPath(new URL('../fixtures/probe/probe.pl', import.meta.url))
const probeInside = '/usr/lib/tsnspawn-probe.pl'
const multiarch = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu'
const runLimitMs = 30_000

const freshFiles = `
rm -rf "$FILES"
mkdir -p "$FILES/shared/deep" "$FILES/lower1" "$FILES/lower2" "$FILES/upper" "$FILES/empty"
echo hello > "$FILES/shared/hello"
echo file > "$FILES/file"
echo one > "$FILES/lower1/one"
echo one > "$FILES/lower1/both"
echo two > "$FILES/lower2/two"
echo two > "$FILES/lower2/both"
echo three > "$FILES/upper/three"
chown 1234:1234 "$FILES/shared/deep"
# systemd-nspawn gives the cgroup it runs in to the container's root and never takes it back
for hierarchy in systemd unified; do
  chown 0:0 "/sys/fs/cgroup/$hierarchy" "/sys/fs/cgroup/$hierarchy"/cgroup.* 2>/dev/null || true
done
`

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`
}

/** The numbers of the caller's terminals shall not depend on who else has some open on this machine. */
const ownTerminals = `
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts /dev/pts
[ -h /dev/ptmx ] || mount --bind /dev/pts/ptmx /dev/ptmx
`

export class Stage implements AsyncDisposable {
  readonly place: Place
  private readonly temporary: TemporaryDirectory
  private readonly room: Room
  private readonly pristine: string

  private constructor(directory: TemporaryDirectory, room: Room, pristine: string, place: Place) {
    this.temporary = directory
    this.room = room
    this.pristine = pristine
    this.place = place
  }

  static async open(): Promise<Stage> {
    const directory = await temporaryDirectory()
    const top = await realpath(directory.path)
    const machines = join(top, 'machines')
    const place = {
      tree: join(machines, 'parity'),
      files: join(top, 'files'),
      mounts: join(top, 'mounts'),
    }
    const pristine = join(top, 'pristine')
    await mkdir(machines)
    await mkdir(join(place.mounts, 'inner'), { recursive: true })
    await copyDebianTree(pristine)
    // Small enough that a copy costs little: what is compared does not depend on these.
    const ballast = [
      ...['doc', 'locale', 'man', 'info', 'perl', 'perl5'].map((name) => `usr/share/${name}`),
      ...['perl', 'gconv'].map((name) => `usr/lib/${multiarch}/${name}`),
    ]
    await execa('rm', ['-rf', ...ballast.map((path) => join(pristine, path))])
    await execa('cp', [probe, join(pristine, probeInside)])
    // The host's own modes would only show what umask the tree was made with.
    await execa('chmod', [
      '0644',
      join(pristine, 'etc/resolv.conf'),
      join(pristine, 'etc/hostname'),
    ])
    await execa('cp', ['-a', pristine, place.tree])
    const room = await Room.open(machines)
    await room.run(['sh', '-ec', ownTerminals])
    await room.run(['mount', '-t', 'tmpfs', 'inner', join(place.mounts, 'inner')])
    await room.run([
      'touch',
      join(place.mounts, 'outer-file'),
      join(place.mounts, 'inner/inner-file'),
    ])
    await addHostUsers(room, top)
    return new Stage(directory, room, pristine, place)
  }

  /** Runs the case through `program`; the stage is as before afterwards. */
  async run(parityCase: ParityCase, program: Program): Promise<Outcome> {
    const { place } = this
    const since = Date.now()
    // ctime advances with the kernel's tick: what restored the tree before must lie behind it.
    await sleep(10)
    await execa('sh', ['-euc', `${freshFiles}\n${parityCase.prepare ?? ''}`], {
      env: { TREE: place.tree, FILES: place.files },
      stdin: 'ignore',
    })
    await this.placeSettings(parityCase.settings?.(place) ?? {})
    const result = await this.start(parityCase, program)
    await this.placeSettings({})
    const treeChanges = await this.restore(parityCase, since)
    const facts = readFacts(result.stdout, this.setting())
    return { ...result, facts, treeFacts: new Map(treeChanges) }
  }

  /** Everything of this stage on the host lies beneath it. */
  get directory(): string {
    return this.temporary.path
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.room[Symbol.asyncDispose]()
    await this.temporary[Symbol.asyncDispose]()
  }

  private async placeSettings(
    files: ReturnType<NonNullable<ParityCase['settings']>>,
  ): Promise<void> {
    const write = 'rm -rf "$1"; test -z "$2" || { mkdir -p "${1%/*}"; printf %s "$2" > "$1"; }'
    for (const [path, text = ''] of [
      [`${this.place.tree}.nspawn`, files.beside],
      ['/run/systemd/nspawn/parity.nspawn', files.trusted],
    ] as const) {
      await this.room.run(['sh', '-ec', write, 'write', path, text])
    }
  }

  private async restore(parityCase: ParityCase, since: number): Promise<[string, string][]> {
    const { tree } = this.place
    if (parityCase.freshTree !== true) {
      const changes = await restoreTree(tree, this.pristine, since)
      return [...changes].map(([path, is]) => [`tree ${path}`, is])
    }
    await execa('rm', ['-rf', tree])
    await execa('cp', ['-a', this.pristine, tree])
    return []
  }

  private async start(parityCase: ParityCase, program: Program) {
    const { place } = this
    const argv = program(
      ...['--register=no', '--keep-unit'],
      ...(parityCase.ownRoot === true ? [] : [`--directory=${place.tree}`]),
      ...parityCase.args(place),
      ...this.command(parityCase),
    )
    const inTerminal = ['script', '--quiet', '--return', '--flush', '--command']
    const started =
      parityCase.terminal === undefined
        ? argv
        : [...inTerminal, `exec ${argv.map(quote).join(' ')}`, '/dev/null']
    const [file, ...rest] = this.room.inside(started, parityCase.from?.(place) ?? '/')
    const running = execa(file, rest, {
      reject: false,
      extendEnv: false,
      env: {
        PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        HOME: '/root',
        LANG: 'C.UTF-8',
        TERM: parityCase.terminal?.type ?? 'xterm',
        NOT_FOR_THE_PAYLOAD: 'secret',
        ...parityCase.environment,
      },
      // A terminal needs its other end held open, else it sends an end of file at once.
      stdin:
        parityCase.input !== undefined || parityCase.terminal !== undefined ? 'pipe' : 'ignore',
      timeout: runLimitMs,
      killSignal: 'SIGKILL',
      stripFinalNewline: false,
    })
    if (parityCase.input !== undefined) {
      if (parityCase.terminal === undefined) running.stdin?.end(parityCase.input)
      else await this.whenReady(running, () => running.stdin?.write(parityCase.input ?? ''))
    }
    const { signal } = parityCase
    if (signal !== undefined) {
      await this.whenReady(running, async () => {
        for (let n = 0; n < (signal.times ?? 1); n++) {
          running.kill(signal.name)
          await sleep(100)
        }
      })
    }
    const { exitCode, signal: endedBy, stdout, stderr, timedOut } = await running
    const ended = timedOut ? 'still running' : (exitCode ?? endedBy ?? 'not started')
    return { ended, stdout, stderr }
  }

  /** Does `act` once the payload has printed `ready`; never, when it ends before. */
  private async whenReady(
    running: { readonly stdout: NodeJS.ReadableStream | null; then: PromiseLike<unknown>['then'] },
    act: () => unknown,
  ): Promise<void> {
    const { stdout } = running
    if (stdout === null) return
    let seen = ''
    const ready = new Promise<boolean>((resolve) => {
      stdout.on('data', (chunk: Buffer) => {
        seen += chunk.toString()
        if (/^ready\r?$/m.test(seen)) resolve(true)
      })
      void running.then(() => resolve(false))
    })
    if (await ready) await act()
  }

  private command(parityCase: ParityCase): readonly string[] {
    if (parityCase.command !== undefined) return parityCase.command
    if (parityCase.compare !== 'facts') return ['true']
    const read = (parityCase.read ?? []).map((path) => `read=${path}`)
    return ['perl', probeInside, ...(parityCase.probe ?? []), ...read]
  }

  private setting(): Setting {
    const types = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'time', 'user', 'uts']
    return {
      paths: [
        [this.place.tree, '<tree>'],
        [this.place.files, '<files>'],
        [this.place.mounts, '<mounts>'],
        [this.directory, '<run>'],
      ],
      namespaces: new Map(types.map((type) => [type, this.room.namespace(type)])),
      bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
      knownUuids: ['11111111-2222-3333-4444-555555555555', '0123456789abcdef0123456789abcdef'],
    }
  }
}
