/** OCI bundles as their usual writers make them, beside the runtimes that those are for, and beside systemd-nspawn. */
import { execa } from 'execa'
import { once } from 'node:events'
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeBusyboxTree } from '../../fixtures/disk-image.ts'
import { newLeftOvers, leftOvers } from '../../fixtures/left-overs.ts'
import { tsnspawn } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { Room } from '../../fixtures/room.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'

interface BundleConfig {
  process: Record<string, unknown> & { args: string[]; env: string[]; user: object }
  root: { path: string; readonly: boolean }
  hostname?: string
  mounts: Record<string, unknown>[]
  hooks?: Record<string, unknown>
  annotations?: Record<string, string>
  linux: Record<string, unknown> & {
    namespaces: { type: string; path?: string }[]
    resources: Record<string, unknown>
  }
}

interface Ran {
  readonly exitCode?: number
  readonly stdout: string
  readonly stderr: string
}

/** What can be compared: who one is, what one may do, what is covered. */
const facts = `
id
busybox hostname
pwd
ulimit -n; ulimit -Hn
umask
grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status
busybox cat /proc/self/oom_score_adj
echo "$PATH $GREETING"
busybox ip -o link | busybox wc -l
for path in /proc/kcore /proc/keys /proc/timer_list; do
  [ -z "$(busybox head -c 1 $path 2>/dev/null)" ] || echo "$path has something"
done
ls /sys/firmware 2>/dev/null
for path in /proc/sys/kernel/domainname /proc/sysrq-trigger /proc/irq/x /etc/new /proc/sys/net/ipv4/ip_forward; do
  echo x 2>/dev/null > $path && echo "$path was written to"
done
cat /proc/1/comm
for name in null zero full random urandom tty; do stat -c '%n %F %t:%T' /dev/$name; done
busybox stat -c '%a' /dev/shm
true
`

describe.skipIf(lacks('root', 'overlay', 'program:runc', 'program:crun', 'program:busybox'))(
  'a bundle',
  () => {
    let shared: TemporaryDirectory
    let count = 0
    let before: Set<string>

    beforeAll(async () => {
      shared = await temporaryDirectory()
      before = await leftOvers({ directories: [shared.path] })
    })

    afterAll(async () => {
      await shared[Symbol.asyncDispose]()
    })

    /** A bundle that `writer` has begun, without a terminal, and with its own copy of a small tree. */
    async function makeBundle(
      change: (config: BundleConfig) => void,
      writer: 'runc' | 'crun' = 'runc',
    ): Promise<string> {
      const directory = join(shared.path, `bundle-${++count}`)
      await mkdir(directory)
      await execa(writer, ['spec'], { cwd: directory })
      await makeBusyboxTree(join(directory, 'rootfs'))
      const path = join(directory, 'config.json')
      const config = JSON.parse(await readFile(path, 'utf8')) as BundleConfig
      config.process['terminal'] = false
      change(config)
      await writeFile(path, JSON.stringify(config, undefined, 2))
      return directory
    }

    const run = async (...argv: string[]): Promise<Ran> => {
      const [program, ...args] = tsnspawn('--register=no', ...argv)
      return execa(program, args, { reject: false, stdin: 'ignore' })
    }
    const runBundle = (directory: string, ...argv: string[]) =>
      run(`--oci-bundle=${directory}`, ...argv)
    const runRunc = async (directory: string): Promise<Ran> =>
      execa('runc', ['run', '--bundle', directory, `tsnspawn-test-${process.pid}-${++count}`], {
        reject: false,
        stdin: 'ignore',
      })
    const script = (config: BundleConfig, text: string) => {
      config.process.args = ['/bin/sh', '-c', text]
    }

    describe('beside runc', () => {
      const nobody = { uid: 65534, gid: 100, additionalGids: [7, 8], umask: 0o77 }
      const caps = ['CAP_KILL', 'CAP_CHOWN']
      test.each<[string, (config: BundleConfig) => void, ('runc' | 'crun')?]>([
        ['as runc has begun it', () => {}],
        ['as crun has begun it', () => {}, 'crun'],
        ['with a tree that can be written to', (config) => (config.root.readonly = false)],
        [
          'with another user and its capabilities',
          (config) => {
            config.process.user = nobody
            config.process['capabilities'] = {
              bounding: [...caps, 'CAP_SYS_ADMIN'],
              effective: caps,
              permitted: caps,
              inheritable: caps,
              ambient: ['CAP_KILL'],
            }
          },
        ],
        [
          'with limits, an environment, and a directory',
          (config) => {
            config.process['rlimits'] = [{ type: 'RLIMIT_NOFILE', soft: 100, hard: 200 }]
            config.process.env.push('GREETING=good day')
            config.process['cwd'] = '/srv'
            config.process['oomScoreAdj'] = 300
            config.process['noNewPrivileges'] = false
          },
        ],
        [
          'with no capabilities at all',
          (config) => {
            config.process['capabilities'] = {}
          },
        ],
      ])('%s', async (_name, change, writer = 'runc') => {
        const bundle = await makeBundle((config) => {
          change(config)
          script(config, facts)
        }, writer)
        const theirs = await runRunc(bundle)
        const ours = await runBundle(bundle)
        expect(theirs.exitCode, theirs.stderr).toBe(0)
        expect(ours.stderr).toBe('')
        // They have no filter where the bundle has none.
        const comparable = (text: string) => text.replace(/^Seccomp:.*\n/m, '')
        expect(comparable(ours.stdout)).toBe(comparable(theirs.stdout))
      })

      test('with devices, mounts and kernel parameters', async () => {
        const bundle = await makeBundle((config) => {
          config.linux['devices'] = [
            { type: 'c', path: '/dev/mine', major: 1, minor: 5, fileMode: 0o640, uid: 5, gid: 6 },
            { type: 'p', path: '/dev/deep/pipe', fileMode: 0o600 },
          ]
          config.linux.resources['devices'] = [
            { allow: false, access: 'rwm' },
            { allow: true, type: 'c', major: 1, minor: 5, access: 'rwm' },
          ]
          config.linux['sysctl'] = { 'net.ipv4.ip_forward': '1', 'kernel.shmmni': '77' }
          config.mounts.push(
            {
              destination: '/data',
              type: 'bind',
              source: 'data',
              options: ['rbind', 'ro', 'nosuid'],
            },
            {
              destination: '/memory',
              type: 'tmpfs',
              source: 'm',
              options: ['noexec', 'size=64k', 'mode=700'],
            },
          )
          script(
            config,
            `stat -c '%n %a %u %g %F' /dev/mine /dev/deep/pipe
            busybox head -c 3 /dev/mine | busybox od -c
            cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni /data/file
            touch /data/new; stat -c %a /memory; busybox dd if=/dev/zero of=/memory/x bs=1k count=100 2>&1 | grep -c space
            grep -E ' /(data|memory) ' /proc/self/mountinfo | cut -d' ' -f5,6`,
          )
        })
        await mkdir(join(bundle, 'data'))
        await writeFile(join(bundle, 'data/file'), 'here\n')
        const theirs = await runRunc(bundle)
        const ours = await runBundle(bundle)
        expect(theirs.stdout, theirs.stderr).toContain('here')
        const sorted = (text: string) => text.split('\n').toSorted()
        expect(sorted(ours.stdout)).toEqual(sorted(theirs.stdout))
      })

      test.each([true, false])(
        'with a system call filter, no new privileges: %s',
        async (noNewPrivileges) => {
          const bundle = await makeBundle((config) => {
            config.process['noNewPrivileges'] = noNewPrivileges
            config.root.readonly = false
            config.linux['seccomp'] = {
              defaultAction: 'SCMP_ACT_ALLOW',
              architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_AARCH64'],
              syscalls: [
                {
                  names: ['mkdir', 'mkdirat', 'no_such_call'],
                  action: 'SCMP_ACT_ERRNO',
                  errnoRet: 28,
                },
                { names: ['symlink', 'symlinkat'], action: 'SCMP_ACT_ERRNO' },
                {
                  names: ['fchmodat', 'chmod'],
                  action: 'SCMP_ACT_ERRNO',
                  errnoRet: 13,
                  args: [{ index: 1, value: 0o700, op: 'SCMP_CMP_EQ' }],
                },
              ],
            }
            script(
              config,
              `mkdir='busybox mkdir'; $mkdir /tmp/a 2>&1; busybox ln -s a /tmp/b 2>&1
            touch /var/c; busybox chmod 600 /var/c 2>&1 && echo changed; busybox chmod 700 /var/c 2>&1
            grep Seccomp: /proc/self/status`,
            )
          })
          const theirs = await runRunc(bundle)
          const ours = await runBundle(bundle)
          expect(theirs.stdout, theirs.stderr).toContain('No space left')
          expect(ours.stdout).toBe(theirs.stdout)
        },
      )

      test('with a filter that kills', async () => {
        const bundle = await makeBundle((config) => {
          config.linux['seccomp'] = {
            defaultAction: 'SCMP_ACT_ALLOW',
            syscalls: [{ names: ['sethostname'], action: 'SCMP_ACT_KILL_PROCESS' }],
          }
          script(config, 'busybox hostname other; echo $?; exit 7')
        })
        const theirs = await runRunc(bundle)
        const ours = await runBundle(bundle)
        expect(theirs.stdout).toBe('159')
        expect(ours).toMatchObject({ stdout: '159', exitCode: 7 })
      })

      test('with users of its own', async () => {
        const mapping = [{ containerID: 0, hostID: 524288, size: 65536 }]
        const bundle = await makeBundle((config) => {
          config.linux.namespaces.push({ type: 'user' })
          config.linux['uidMappings'] = mapping
          config.linux['gidMappings'] = mapping
          config.process.user = { uid: 1, gid: 1 }
          script(config, 'cat /proc/self/uid_map /proc/self/gid_map; id -u; stat -c %u /etc /usr')
        })
        await execa('chown', ['-R', '524288:524288', join(bundle, 'rootfs')])
        await chmod(shared.path, 0o755)
        const theirs = await runRunc(bundle)
        const ours = await runBundle(bundle)
        expect(theirs.exitCode, theirs.stderr).toBe(0)
        expect(ours.stdout).toBe(theirs.stdout)
      })
    })

    test.skipIf(lacks('program:systemd-nspawn'))('is mounted as by systemd-nspawn', async () => {
      // It has no bus here, and fails on resources, and without control groups of its own.
      const bundle = await makeBundle((config) => {
        const { resources: _, ...linux } = config.linux
        config.linux = {
          ...linux,
          namespaces: [...linux.namespaces, { type: 'cgroup' }],
        } as BundleConfig['linux']
        config.root.readonly = false
        config.mounts = config.mounts.filter(({ destination }) => destination !== '/dev/shm')
        config.mounts.push({ destination: '/data', type: 'bind', source: 'data' })
        config.process['capabilities'] = Object.fromEntries(
          ['bounding', 'effective', 'permitted', 'inheritable', 'ambient'].map((set) => [
            set,
            ['CAP_KILL'],
          ]),
        )
        script(
          config,
          `id; pwd; busybox hostname; grep Cap /proc/self/status; ulimit -n; busybox env | grep -v -e uuid -e SHLVL -e PWD | busybox sort
          cut -d' ' -f5 /proc/self/mountinfo | grep -v -e /proc -e /run/host -e /sys/fs | busybox sort -u`,
        )
      }, 'crun')
      const path = join(bundle, 'config.json')
      const config = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
      await writeFile(path, JSON.stringify({ ...config, ociVersion: '1.0.0' }))
      await mkdir(join(bundle, 'data'))
      const machines = join(bundle, 'machines')
      await mkdir(machines)
      await using room = await Room.open(machines)
      const words = ['--register=no', '--keep-unit', `--oci-bundle=${bundle}`]
      const theirs = await room.run(['systemd-nspawn', ...words])
      const ours = await room.run(tsnspawn(...words))
      expect(theirs.status, theirs.stderr).toBe(0)
      expect(ours.stdout.split('\n')).toEqual(theirs.stdout.split('\n'))
    })

    test('gives way to the command line', async () => {
      const bundle = await makeBundle((config) => {
        config.process.env.push('A=bundle')
        config.hostname = 'of-the-bundle'
      })
      const argv = [
        '--hostname=mine',
        '-E',
        'B=mine',
        '--',
        '/bin/sh',
        '-c',
        'echo $A $B; busybox hostname',
      ]
      expect((await runBundle(bundle, ...argv)).stdout).toBe('mine\nmine')
    })

    test('can be looked at without being run', async () => {
      const bundle = await makeBundle((config) => script(config, 'touch /ran'))
      const { stdout } = await runBundle(bundle, '--print-plan')
      expect(JSON.parse(stdout)).toMatchObject({
        machine: bundle.split('/').at(-1),
        hostname: 'runc',
        console: 'pipe',
        noNewPrivileges: true,
      })
    })

    test('has a console of the size that it says', async () => {
      const bundle = await makeBundle((config) => {
        config.process['terminal'] = true
        config.process['consoleSize'] = { height: 33, width: 111 }
        script(config, 'busybox stty size')
      })
      expect((await runBundle(bundle)).stdout.trim()).toBe('33 111')
    })

    describe('runs hooks', () => {
      const hookProgram = `#!/bin/sh
state=$(cat)
pid=$(echo "$state" | sed -n 's/.*"pid":\\([0-9]*\\).*/\\1/p')
echo "$1 $STAGE \${pid:+$(readlink /proc/$pid/ns/net)} $state" >> "$LOG"
[ "$1" != "$FAIL" ] || { echo 'cannot do that' >&2; exit 3; }
[ "$1" != "$SLOW" ] || sleep 60
`
      const hooks = (bundle: string, environment: Readonly<Record<string, string>> = {}) => {
        const env = Object.entries({
          PATH: '/usr/bin:/bin',
          LOG: join(bundle, 'log'),
          STAGE: 'on the host',
          ...environment,
        })
        const one = (name: string) => ({
          path: join(bundle, 'hook'),
          args: ['hook', name],
          env: env.map(([key, value]) => `${key}=${value}`),
          timeout: 2,
        })
        const names = ['poststop', 'prestart', 'createRuntime', 'poststart']
        return Object.fromEntries(names.map((name) => [name, [one(name)]]))
      }
      const prepare = async (environment: Readonly<Record<string, string>>, more: object = {}) => {
        const bundle = await makeBundle((config) => {
          config.root.readonly = false
          config.annotations = { color: 'red' }
          script(config, 'busybox readlink /proc/self/ns/net; cat /tmp/started; busybox sleep 0.3')
        })
        await writeFile(join(bundle, 'hook'), hookProgram, { mode: 0o755 })
        const path = join(bundle, 'config.json')
        const config = JSON.parse(await readFile(path, 'utf8')) as object
        await writeFile(
          path,
          JSON.stringify({ ...config, hooks: { ...hooks(bundle, environment), ...more } }),
        )
        return bundle
      }
      const told = async (bundle: string) =>
        (await readFile(join(bundle, 'log'), 'utf8'))
          .trim()
          .split('\n')
          .map(
            (line) =>
              /^(?<name>\w+) on the host (?<net>\S*) (?<state>\{.*)$/.exec(line)?.groups ?? {},
          )

      test('at their moments, each with the state of the container', async () => {
        const started = [{ path: '/bin/sh', args: ['sh', '-c', '(id -u; cat) > /tmp/started'] }]
        const bundle = await prepare({}, { startContainer: started })
        const { stdout, stderr, exitCode } = await runBundle(bundle)
        expect({ stderr, exitCode }).toEqual({ stderr: '', exitCode: 0 })
        const [net, uid, state] = stdout.split('\n')
        expect(uid).toBe('0')
        expect(JSON.parse(state ?? '')).toMatchObject({
          status: 'created',
          pid: 1,
          annotations: { color: 'red' },
        })
        const lines = await told(bundle)
        expect(lines.map(({ name }) => name)).toEqual([
          'prestart',
          'createRuntime',
          'poststart',
          'poststop',
        ])
        expect(lines.map((line) => line['net'])).toEqual([net, net, net, ''])
        const states = lines.map(
          (line) => JSON.parse(line['state'] ?? '') as Record<string, unknown>,
        )
        expect(states.map(({ status }) => status)).toEqual([
          'creating',
          'creating',
          'running',
          'stopped',
        ])
        expect(states[0]).toEqual({
          ociVersion: expect.stringMatching(/^1\./) as string,
          id: bundle.split('/').at(-1),
          status: 'creating',
          pid: expect.any(Number) as number,
          bundle,
          annotations: { color: 'red' },
        })
      })

      test.each(['prestart', 'createRuntime'])('and ends when %s fails', async (name) => {
        const bundle = await prepare({ FAIL: name })
        const { stdout, stderr, exitCode } = await runBundle(bundle)
        expect({ stdout, exitCode }).toEqual({ stdout: '', exitCode: 1 })
        expect(stderr).toContain(`the ${name} hook of the bundle has failed: cannot do that`)
        expect((await told(bundle)).at(-1)?.['name']).toBe('poststop')
      })

      test('and ends when one in the container fails', async () => {
        const failing = [{ path: '/bin/sh', args: ['sh', '-c', 'echo not here; false'] }]
        const bundle = await prepare({}, { startContainer: failing })
        const { stdout, stderr, exitCode } = await runBundle(bundle)
        expect({ stdout, exitCode }).toEqual({ stdout: '', exitCode: 1 })
        expect(stderr).toContain('the startContainer hook of the bundle has failed: not here')
      })

      test('and waits no longer than they may take', async () => {
        const bundle = await prepare({ SLOW: 'prestart' })
        const { stderr, exitCode } = await runBundle(bundle)
        expect(exitCode).toBe(1)
        expect(stderr).toContain('no answer within 2 s')
      })

      test.each(['poststart', 'poststop'])('and goes on when %s fails', async (name) => {
        const bundle = await prepare({ FAIL: name })
        const { stderr, exitCode } = await runBundle(bundle)
        expect(exitCode).toBe(0)
        expect(stderr).toContain(`the ${name} hook of the bundle has failed: cannot do that`)
      })

      test('of which one that is not there is named', async () => {
        const bundle = await prepare({}, { prestart: [{ path: '/no/such/hook' }] })
        const { stderr } = await runBundle(bundle)
        expect(stderr).toContain('the prestart hook of the bundle has failed')
        expect(stderr).toContain('/no/such/hook')
      })
    })

    describe('is held to', () => {
      test('its memory', async () => {
        const bundle = await makeBundle((config) => {
          config.linux.resources['memory'] = { limit: 16 << 20, swap: 16 << 20 }
          script(config, 'busybox dd if=/dev/zero of=/dev/null bs=64M count=1; echo $?')
        })
        const { stdout } = await runBundle(bundle)
        expect(stdout).toBe('137')
      })

      test('its number of processes', async () => {
        const bundle = await makeBundle((config) => {
          config.linux.resources['pids'] = { limit: 3 }
          script(config, 'for n in 1 2 3 4 5; do sleep 1 & done; wait')
        })
        const { stderr } = await runBundle(bundle)
        expect(stderr).toContain('fork')
      })

      test('its list of devices', async () => {
        const bundle = await makeBundle((config) => {
          config.root.readonly = false
          const all = ['CAP_MKNOD']
          config.process['capabilities'] = { bounding: all, effective: all, permitted: all }
          script(
            config,
            'busybox mknod /dev/kmsg c 1 11; busybox head -c 1 /dev/kmsg; busybox head -c 0 /dev/zero && echo zero',
          )
        })
        const { stdout, stderr } = await runBundle(bundle)
        expect(stderr).toContain('/dev/kmsg: Operation not permitted')
        expect(stdout).toBe('zero')
      })
    })

    test('leaves nothing when it is killed', async () => {
      const bundle = await makeBundle((config) => {
        config.linux.resources['pids'] = { limit: 30 }
        script(config, 'echo up; exec sleep 1000')
      })
      const [program, ...args] = tsnspawn('--register=no', `--oci-bundle=${bundle}`)
      const running = execa(program, args, { reject: false, stdin: 'ignore' })
      await once(running.stdout, 'data')
      running.kill('SIGKILL')
      await running
      const { exitCode, stderr } = await run(`--oci-bundle=${bundle}`, '--cleanup')
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    })

    describe('is refused before anything is done:', () => {
      test('none there', async () => {
        const { stderr, exitCode } = await runBundle(join(shared.path, 'nothing'))
        expect(exitCode).toBe(1)
        expect(stderr).toContain('the configuration of the bundle does not exist')
      })

      test('a configuration that is no file', async () => {
        const bundle = await makeBundle(() => {})
        await rm(join(bundle, 'config.json'))
        await execa('mkfifo', [join(bundle, 'config.json')])
        expect((await runBundle(bundle)).stderr).toContain('is no regular file')
      })

      test('a field that is not supported', async () => {
        const bundle = await makeBundle((config) => {
          config.linux['intelRdt'] = {}
          script(config, 'touch /ran')
        })
        const { stderr, exitCode } = await runBundle(bundle)
        expect(exitCode).toBe(1)
        expect(stderr).toContain('config.json: linux.intelRdt is not supported')
      })

      test('a tree that is not there', async () => {
        const bundle = await makeBundle((config) => (config.root.path = 'elsewhere'))
        expect((await runBundle(bundle)).stderr).toContain('the root directory does not exist')
      })

      test('capabilities that nobody here has', async () => {
        const bundle = await makeBundle((config) => {
          config.process['capabilities'] = { bounding: ['CAP_KILL', 'CAP_SYS_RESOURCE'] }
        })
        const [program, ...args] = tsnspawn('--register=no', `--oci-bundle=${bundle}`)
        const dropped = ['--bounding-set=-sys_resource', program, ...args]
        const { stderr } = await execa('setpriv', dropped, { reject: false, stdin: 'ignore' })
        expect(stderr).toContain('not in the current bounding set: CAP_SYS_RESOURCE')
      })
    })

    test('has left nothing behind', async () => {
      expect(await newLeftOvers(before, { directories: [shared.path] })).toEqual([])
    })
  },
)
