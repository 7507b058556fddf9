/** From a test as its source declares it to a case: where it runs, as whom, and what counts as a success. Pure. */
import { matchesArchitecture } from '../../build/debian/build-relations.ts'
import { buildUserName } from '../../build/places.ts'
import { caseDefaults, type TestCase } from '../suite.ts'
import type { PackageTest } from './tests-control.ts'

/** Absolute, in the container. */
export const testPlaces = {
  /** `AUTOPKGTEST_TMP`. */
  temporary: '/var/lib/autopkgtest/tmp',
  /** `AUTOPKGTEST_ARTIFACTS`. */
  artifacts: '/var/lib/autopkgtest/artifacts',
  /** Where a test says that it wants the system to be started anew, and how to go on then. */
  rebootMark: '/var/lib/autopkgtest/reboot-mark',
  /** Has the process of the test. */
  pid: '/var/lib/autopkgtest/pid',
  /** Begins every test, see `testLogin`. */
  login: '/var/lib/autopkgtest/login',
  /** Programs of ours that tests call by a name below /tmp. */
  programs: '/var/lib/autopkgtest/bin',
} as const

/** What a test finds. */
export interface Testbed {
  /** As dpkg calls it. */
  readonly architecture: string
  /** Whether tests that say so may use the internet. */
  readonly internet: boolean
  readonly jobs: number
  readonly timeoutMs: number
  /** Absolute, in the container: the unpacked source. */
  readonly source: string
  /** Of the ordinary user, in the container. */
  readonly home: string
}

const restrictionsThatWeKnow = [
  ...['allow-stderr', 'breaks-testbed', 'build-needed', 'flaky', 'isolation-container'],
  ...['needs-internet', 'needs-reboot', 'needs-recommends', 'needs-root', 'needs-sudo'],
  ...['rw-build-tree', 'skip-not-installable', 'skippable', 'superficial'],
  // Packages are tested where they run as they are.
  'skip-foreign-architecture',
]

/** Why a test is not run there; undefined when it is. */
export function whySkipped(
  { refused, restrictions, architectures }: PackageTest,
  { architecture, internet }: Pick<Testbed, 'architecture' | 'internet'>,
): string | undefined {
  if (refused !== undefined) return refused
  if (restrictions.includes('hint-testsuite-triggers')) return 'it is only a hint at others'
  if (restrictions.includes('isolation-machine'))
    return 'it needs a machine of its own, and a container is none'
  const unknown = restrictions.find((one) => !restrictionsThatWeKnow.includes(one))
  if (unknown !== undefined) return `unknown restriction ${unknown}`
  if (restrictions.includes('needs-internet') && !internet)
    return 'it needs the internet; allow it with --network'
  const listed = architectures.length === 0 || architectures.join() === 'any'
  if (!listed && !matchesArchitecture(architecture, architectures))
    return `it is not for ${architecture}`
  return undefined
}

/** Whether it wants a system with an init. */
export function needsBoot({ restrictions }: Pick<PackageTest, 'restrictions'>): boolean {
  return restrictions.includes('isolation-container') || restrictions.includes('needs-reboot')
}

/** The case that runs it. */
export function caseOf({ name, run, restrictions }: PackageTest, testbed: Testbed): TestCase {
  const root = restrictions.includes('needs-root')
  const { source, jobs, timeoutMs, home } = testbed
  return {
    ...caseDefaults,
    name,
    command: commandOf({ run, restrictions }, source),
    user: root ? 'root' : buildUserName,
    directory: source,
    environment: {
      AUTOPKGTEST_TMP: testPlaces.temporary,
      AUTOPKGTEST_ARTIFACTS: testPlaces.artifacts,
      AUTOPKGTEST_TEST_ARCH: testbed.architecture,
      DEBIAN_FRONTEND: 'noninteractive',
      DEB_BUILD_OPTIONS: `parallel=${jobs}`,
      HOME: root ? '/root' : home,
      ...(root ? { AUTOPKGTEST_NORMAL_USER: buildUserName } : {}),
    },
    network: restrictions.includes('needs-internet') ? 'host' : 'none',
    container: needsBoot({ restrictions }) ? 'booted' : 'ephemeral',
    timeoutMs,
    collect: [`${testPlaces.artifacts}/**`],
    collectOptional: true,
    rebootMark: restrictions.includes('needs-reboot')
      ? { file: testPlaces.rebootMark, variable: 'AUTOPKGTEST_REBOOT_MARK' }
      : undefined,
    expect: {
      ...caseDefaults.expect,
      skipStatus: restrictions.includes('skippable') ? 77 : undefined,
      stderr: restrictions.includes('allow-stderr')
        ? { contains: [], matches: [] }
        : { contains: [], matches: [], nothing: true },
    },
  }
}

/** Scripts need not be executable in the source. Who restarts the system ends the test, and finds that below /tmp. */
function commandOf(
  { run, restrictions }: Pick<PackageTest, 'run' | 'restrictions'>,
  source: string,
): readonly string[] {
  const words = run.kind === 'command' ? ['bash', '-e', '-c', run.line] : [`${source}/${run.path}`]
  const ready = restrictions.includes('needs-reboot')
    ? `rm -f ${testPlaces.rebootMark}; echo $$ >${testPlaces.pid}; ln -sf ${testPlaces.programs}/* /tmp/; `
    : ''
  const executable = run.kind === 'script' ? 'test -x "$1" || chmod +x "$1"; ' : ''
  return [
    '/bin/bash',
    '-c',
    `. ${testPlaces.login}; ${ready}${executable}exec "$@"`,
    'test',
    ...words,
  ]
}

/**
 * What a login does, as autopkgtest has it: programs of /usr/games are found by ordinary users. bash alone survives a
 * profile that is missing.
 */
export const testLogin = `here=$PWD
export USER=$(id -nu) LOGNAME=$(id -nu) SHELL=/bin/bash LANG=C.UTF-8
. /etc/profile >/dev/null 2>&1 || true
. ~/.profile >/dev/null 2>&1 || true
unset LANGUAGE LC_CTYPE LC_NUMERIC LC_TIME LC_COLLATE LC_MONETARY LC_MESSAGES LC_PAPER LC_NAME
unset LC_ADDRESS LC_TELEPHONE LC_MEASUREMENT LC_IDENTIFICATION LC_ALL
cd "$here"
unset here
`

/** Programs that a test may call, by their names below /tmp. */
export const testPrograms: Readonly<Record<string, string>> = {
  'autopkgtest-reboot': rebootProgram(`kill -KILL "$(cat ${testPlaces.pid})"`),
  'autopkgtest-reboot-prepare': rebootProgram(':'),
}

function rebootProgram(end: string): string {
  return `#!/bin/sh
if [ -z "$1" ]; then
  echo "Usage: $0 MARK" >&2
  exit 1
fi
printf %s "$1" >${testPlaces.rebootMark}
${end}
`
}
