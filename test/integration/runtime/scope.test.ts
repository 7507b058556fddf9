/**
 * Scope units on a host with systemd. That host is a container itself, booted by us with nearly all that a machine may,
 * since the one the tests run on may have another init.
 */
import { execa } from 'execa'
import { execFileSync } from 'node:child_process'
import { readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { debianBootTree } from '../../fixtures/debian-tree.ts'
import { tsnspawn } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'

const top = fileURLToPath(new URL('../../..', import.meta.url))

const script = `exec 2>/out/log; set -x
systemctl start dbus.service
own() { node /project/bin/tsnspawn.cjs -q --pipe -D /inner "$@"; }
await() { for i in $(seq 100); do [ -e "$1" ] && return; sleep 0.1; done; return 1; }
run() { own --register=no "$@"; }
run --machine=box --slice='my test' --property=MemoryMax=100M --property=TasksMax=50 --bind=/out:/mnt \
  sh -c 'trap "exit 3" TERM; touch /mnt/up; sleep 60 & wait' &
# A first process hears no signal that it does not handle yet.
await /out/up || exit 1
systemctl show box.scope -p Slice -p MemoryMax -p TasksMax -p Delegate > /out/scope
systemctl stop box.scope
wait
systemctl is-active box.scope > /out/after
run --property=NoSuch=1 true 2> /out/refused && echo started >> /out/refused
run --keep-unit --slice=other cat /proc/self/cgroup > /out/kept 2> /out/notice
# Says whom it heard, and goes; nothing but a request makes it.
listen() { echo "trap 'echo asked > /mnt/$1; exit 0' USR1; touch /mnt/$1-up; while :; do sleep 0.1; done"; }
run --machine=polite --kill-signal=SIGUSR1 --property=TasksMax=50 --bind=/out:/mnt \
  sh -c "$(listen polite)" &
await /out/polite-up || exit 1
systemctl stop polite.scope
wait
build() { node /project/bin/tsnspawn-build.cjs "$@"; }
{ build --machines-dir=/ start inner && echo started; build --machines-dir=/ enable inner; } 2> /out/elsewhere
mkdir -p /var/lib/machines; ln -s /inner /var/lib/machines/inner
{ build --machines-dir=/ enable inner; systemctl is-enabled tsnspawn@inner.service; } > /out/linked
[ -e /usr/lib/systemd/systemd-machined ] || exit 0
own --register=yes --machine=known --property=MemoryMax=90M --bind=/out:/mnt \
  sh -c 'touch /mnt/known-up; sleep 60' &
await /out/known-up || exit 1
machinectl show known -p Unit -p Class > /out/known
systemctl show machine-known.scope -p MemoryMax >> /out/known
machinectl terminate known
wait
own --register=yes --machine=friendly --kill-signal=SIGUSR1 --bind=/out:/mnt \
  sh -c "$(listen friendly)" &
await /out/friendly-up || exit 1
systemctl stop machine-friendly.scope
wait
own --machine=wrong --property=NoSuch=1 true 2> /out/wrong && echo started >> /out/wrong
machinectl list --no-legend > /out/machines
systemctl is-active machine-wrong.scope wrong.scope >> /out/machines
exit 0
`

/** What machined is made of, from the host: a tree that boots has no need of it. */
const machined = [
  '/usr/lib/systemd/systemd-machined',
  '/usr/lib/systemd/system/systemd-machined.service',
  '/usr/lib/systemd/system/dbus-org.freedesktop.machine1.service',
  '/usr/share/dbus-1/system-services/org.freedesktop.machine1.service',
  '/usr/share/dbus-1/system.d/org.freedesktop.machine1.conf',
  '/usr/bin/machinectl',
]

/** Node's libraries that a small tree has not. */
function librariesOfNode(): string[] {
  const listed = execFileSync('ldd', [process.execPath], { encoding: 'utf8' })
  return [...listed.matchAll(/=> (\/\S*lib(?:stdc\+\+|gcc_s|atomic)\S*)/g)].map(
    ([, path = '']) => path,
  )
}

describe.skipIf(lacks('root', 'overlay', 'program:mmdebstrap', 'program:ldd'))(
  'on a host with systemd',
  () => {
    let directory: TemporaryDirectory
    const read = (name: string) => readFileSync(join(directory.path, name), 'utf8')

    beforeAll(async () => {
      directory = await temporaryDirectory()
      const tree = await debianBootTree()
      writeFileSync(join(directory.path, 'script'), script)
      // What is installed may be linked from elsewhere.
      const installed = realpathSync(join(top, 'node_modules'))
      const project = [`--bind-ro=${top}:/project`, `--bind-ro=${installed}`]
      const service = lacks('program:machinectl') ? [] : machined.map((path) => `--bind-ro=${path}`)
      const libraries = librariesOfNode().map((path) => `--bind-ro=${realpathSync(path)}:${path}`)
      const [file, ...argv] = tsnspawn(
        ...['--register=no', '-q', '-b', '-x', '-D', tree, '--console=read-only'],
        ...['--capability=all', '--system-call-filter=@mount @keyring'],
        ...[...project, ...service, ...libraries, `--bind-ro=${process.execPath}:/usr/bin/node`],
        ...[`--bind=${directory.path}:/out`, `--bind-ro=${tree}:/inner`],
        ...['systemd.run="sh /out/script"', 'systemd.run_success_action=exit'],
        'systemd.run_failure_action=exit',
      )
      const env = { SYSTEMD_NSPAWN_API_VFS_WRITABLE: '1' }
      const { exitCode } = await execa(file, argv, { env, reject: false, timeout: 60_000 })
      if (exitCode !== 0) throw new Error(`the host of the test failed: ${read('log')}`)
    }, 90_000)
    afterAll(() => directory[Symbol.asyncDispose]())

    test('--slice= and --property= make a scope without registration, which can be stopped', () => {
      expect(read('scope').trim().split('\n').toSorted()).toEqual([
        ...['Delegate=yes', 'MemoryMax=104857600'],
        ...['Slice=my\\x20test.slice', 'TasksMax=50'],
      ])
      expect(read('after')).toBe('inactive\n')
    })

    test('a property that systemd does not know is refused, and nothing is started', () => {
      expect(read('refused')).toContain('NoSuch=1')
      expect(read('refused')).not.toContain('started')
    })

    test.skipIf(lacks('program:machinectl'))(
      'machined knows a machine that is registered, and its scope has the properties',
      () => {
        expect(read('known').trim().split('\n')).toEqual([
          ...['Unit=machine-known.scope', 'Class=container', 'MemoryMax=94371840'],
        ])
      },
    )

    test.skipIf(lacks('program:machinectl'))(
      'a wrong property ends a registered machine too, and its registration',
      () => {
        expect(read('wrong')).toContain('cannot set --property= of machine-wrong.scope')
        expect(read('wrong')).not.toContain('started')
        expect(read('machines')).toBe('inactive\ninactive\n')
      },
    )

    test('an image where the unit does not look is neither started nor enabled', () => {
      const refusals = read('elsewhere').match(/whose unit does not look in \//g)
      expect(refusals).toHaveLength(2)
      expect(read('linked')).toBe('enabled\n')
    })

    test('a container with a kill signal is asked by it when its scope is stopped', () => {
      expect(read('polite')).toBe('asked\n')
    })

    test.skipIf(lacks('program:machinectl'))('so is one that machined knows', () => {
      expect(read('friendly')).toBe('asked\n')
    })

    test('with --keep-unit there is none', () => {
      expect(read('kept')).not.toContain('scope')
    })
  },
)
