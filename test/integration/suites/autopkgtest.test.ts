/** The tests of a Debian source (DEP-8) against its packages, in containers of their own and in systems that boot. */
import { execa } from 'execa'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  runAutopkgtest,
  type AutopkgtestRequest,
} from '../../../src/suites/autopkgtest/run-autopkgtest.ts'
import type { SuiteReport } from '../../../src/suites/suite.ts'
import { buildDeb } from '../../fixtures/apt-archive.ts'
import { debianBootTree, debianBuildTree } from '../../fixtures/debian-tree.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { buildNeeds, lacks } from '../../fixtures/requires.ts'
import { makeSourceDirectory } from '../../fixtures/source-package.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

const control = `
Tests: installed
Restrictions: superficial

Test-Command: id -u | grep -qx 0; rm /usr/bin/say; cd "$AUTOPKGTEST_ARTIFACTS"; echo kept >note; ln -s /etc/shadow link; test $AUTOPKGTEST_NORMAL_USER = builder
Features: test-name=breaks
Restrictions: needs-root, breaks-testbed
Depends: say

Test-Command: say; echo oops >&2
Features: test-name=talks

Test-Command: echo >&2
Features: test-name=blank
Depends:

Test-Command: echo fine >&2
Features: test-name=may-talk
Depends:
Restrictions: allow-stderr

Test-Command: echo nothing here; exit 77
Features: test-name=skips
Depends:
Restrictions: skippable

Test-Command: exit 3
Features: test-name=flaky
Depends:
Restrictions: flaky

Test-Command: true
Features: test-name=may-lack
Depends: nobody-has-this
Restrictions: skip-not-installable

Test-Command: true
Features: test-name=lacks
Depends: nobody-has-this

Test-Command: true
Features: test-name=machine
Restrictions: isolation-machine

Tests: nowhere

Tests: restarts
Restrictions: needs-reboot
Depends: say

Test-Command: cat /proc/1/comm; getent hosts $(hostname); systemctl is-system-running --wait
Features: test-name=boots
Restrictions: isolation-container, allow-stderr
Depends: say
`

const installed = `#!/bin/sh
set -e
test "$(say)" = "said by what was built"
test "$(id -un)" = builder
echo x >"$HOME/x" && echo x >"$AUTOPKGTEST_TMP/x" && test -e debian/control
test "$(ls /sys/class/net)" = lo
test ! -e /usr/sbin/policy-rc.d
case ":$PATH:" in *:/usr/games:*) ;; *) exit 9 ;; esac
test -z "$LC_ALL" && test "$LANG" = C.UTF-8
`

const restarts = `#!/bin/sh
echo "at [$AUTOPKGTEST_REBOOT_MARK]"
case "$AUTOPKGTEST_REBOOT_MARK" in
  "") echo state >"$AUTOPKGTEST_TMP/state"; /tmp/autopkgtest-reboot one ;;
  one) cat "$AUTOPKGTEST_TMP/state"; exit 0 ;;
esac
echo "nobody comes here"
`

/** A source that needs no tool to be unpacked: its upstream tarball is not there. */
const files: Readonly<Record<string, string>> = {
  'debian/control':
    'Source: say\nMaintainer: Tiny <tiny@example.org>\n\nPackage: say\nArchitecture: all\n',
  'debian/changelog':
    'say (1.0-1) unstable; urgency=low\n\n  * New.\n\n -- Tiny <tiny@example.org>  Mon, 05 Jan 2026 00:00:00 +0000\n',
  'debian/source/format': '3.0 (quilt)\n',
  'debian/tests/control': control,
  'debian/tests/installed': installed,
  'debian/tests/restarts': restarts,
}

describe.skipIf(lacks(...buildNeeds))('the tests of a Debian source', { timeout: 300_000 }, () => {
  let work: Awaited<ReturnType<typeof temporaryDirectory>>
  let report: SuiteReport
  let request: AutopkgtestRequest
  let left: readonly string[]
  beforeAll(async () => {
    work = await temporaryDirectory()
    const source = join(work.path, 'say')
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(source, name)), { recursive: true })
      await writeFile(join(source, name), text)
    }
    const deb = await buildDeb(work.path, {
      name: 'say',
      version: '1.0-1',
      files: { 'usr/bin/say': '#!/bin/sh\necho said by what was built\n' },
      scripts: { postinst: ['chmod 755 /usr/bin/say'] },
    })
    const path = join(work.path, 'say_1.0-1_all.deb')
    await writeFile(path, deb.content)
    request = {
      tree: await debianBootTree(),
      label: 'box',
      source: { kind: 'directory', path: source },
      signature: { keyrings: [], required: false },
      packages: { files: [path], directories: [] },
      internet: false,
      jobs: 4,
      timeoutMs: 120_000,
      stateDirectory: join(work.path, 'state'),
      outputDirectory: join(work.path, 'out'),
    }
    const scope = { machines: ['test-', 'build-'], directories: [work.path] }
    const before = await leftOvers(scope)
    report = await runAutopkgtest(request)
    left = await newLeftOvers(before, scope)
    return () => work[Symbol.asyncDispose]()
  }, 600_000)

  const one = (name: string) => report.cases.find((found) => found.name === name)!

  test('end as autopkgtest would say', () => {
    const verdicts = report.cases.map(({ name, status, reason }) => [name, status, reason])
    expect(verdicts).toEqual([
      ['installed', 'passed', undefined],
      ['breaks', 'passed', undefined],
      ['talks', 'failed', 'stderr is not empty: "oops"'],
      ['blank', 'failed', 'stderr is not empty: ""'],
      ['may-talk', 'passed', undefined],
      ['skips', 'skipped', 'nothing here'],
      ['flaky', 'skipped', 'flaky, and it has failed: exit status 3, expected 0'],
      ['may-lack', 'skipped', expect.stringContaining('cannot install what the test depends on')],
      ['lacks', 'error', expect.stringContaining('cannot install what the test depends on')],
      ['machine', 'skipped', 'it needs a machine of its own, and a container is none'],
      ['nowhere', 'failed', 'there is no debian/tests/nowhere'],
      ['restarts', 'passed', undefined],
      ['boots', 'passed', undefined],
    ])
    expect(report).toMatchObject({ result: 'failed', counts: { passed: 5, failed: 3, error: 1 } })
    expect(one('lacks').error?.code).toBe('DEPENDENCY_UNSATISFIABLE')
  })

  test('run in systems that boot, and go on after a restart that they ask for', () => {
    expect(one('boots').stdout).toMatch(/^systemd\n127\.0\.1\.1 +build\nrunning\n$/)
    expect(one('restarts').stdout).toBe('at []\nat [one]\nstate\n')
  })

  test('hand out their artifacts, and a log each', async () => {
    expect(one('breaks').files).toEqual([
      join(work.path, 'out/breaks/files/var/lib/autopkgtest/artifacts/note'),
    ])
    expect(await readFile(one('talks').log!, 'utf8')).toContain('oops\n')
    expect(await readFile(join(work.path, 'out/setup.log'), 'utf8')).toContain('satisfy')
    const summary = await readFile(join(work.path, 'out/summary'), 'utf8')
    expect(summary.split('\n').slice(0, 3)).toEqual([
      'installed            PASS (superficial)',
      'breaks               PASS',
      'talks                FAIL stderr: oops',
    ])
    expect(left).toEqual([])
    expect(await readdir(join(work.path, 'state/builds'))).toEqual([])
  })

  test('find their dependencies kept, and can be picked', async () => {
    const { cases, images } = await runAutopkgtest({ ...request, only: 'install' })
    expect(cases.map(({ name, status }) => [name, status])).toEqual([['installed', 'passed']])
    expect(images[0]).toMatchObject({ suite: 'say 1.0-1', label: 'box' })
    expect(await readFile(join(work.path, 'out/setup.log'), 'utf8')).not.toContain('apt-get')
    await expect(runAutopkgtest({ ...request, only: 'no-such' })).rejects.toMatchObject({
      code: 'USAGE',
      hint: expect.stringContaining('installed, breaks'),
    })
  })
})

describe.skipIf(lacks(...buildNeeds))('after a build', { timeout: 300_000 }, () => {
  test('tests that fail are status 4 beside the packages, and a source without tests is no failure', async () => {
    const tree = await debianBuildTree()
    await using work = await temporaryDirectory()
    const source = join(work.path, 'tiny')
    await makeSourceDirectory(source, { build: ['echo made > out/made'] })
    await mkdir(join(source, 'debian/tests'))
    const tests = [
      'Test-Command: cat out/made /usr/share/tiny/made\nRestrictions: build-needed\n',
      'Test-Command: test -e out/made\nFeatures: test-name=unbuilt\n',
    ]
    await writeFile(join(source, 'debian/tests/control'), tests.join('\n'))
    const build = (output: string) => {
      const [program, ...args] = tsnspawnBuild(
        ...['--state-dir', join(work.path, 'state'), 'build', tree, source],
        ...['--output', join(work.path, output), '--autopkgtest'],
      )
      return execa(program, args, { reject: false, stdin: 'ignore' })
    }
    const bad = await build('out')
    expect(bad.exitCode).toBe(4)
    expect(bad.stderr).toContain('the packages were built, but test unbuilt has failed')
    expect(await readFile(join(work.path, 'out/autopkgtest/summary'), 'utf8')).toBe(
      'command1             PASS\nunbuilt              FAIL non-zero exit status 1\n',
    )
    expect(await readdir(join(work.path, 'out'))).toContain('tiny_1.0_amd64.deb')
    await rm(join(source, 'debian/tests'), { recursive: true })
    const none = await build('none')
    expect(none.exitCode).toBe(0)
    expect(none.stdout).toContain('tests: the source has none')
  })
})
