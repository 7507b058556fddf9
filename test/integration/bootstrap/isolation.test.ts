/** A tool that is wrapped leaves no mount and no process, whatever ends it. */
import { execa } from 'execa'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { randomSuffix } from '../../../src/images/random-suffix.ts'
import { isolated, killIsolated } from '../../../src/isolation.ts'
import { runProgram } from '../../../src/process.ts'
import { processesNaming } from '../../fixtures/processes.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

const templates = fileURLToPath(new URL('../../../templates', import.meta.url))

/** Mounts something, leaves a background process that has let go of its output, says so, and waits. */
const script = 'mount -t tmpfs none "$1" && setsid sleep 1000 <&- >&- 2>&- & echo ready; sleep 1000'

describe.skipIf(lacks('root', 'program:setpriv', 'program:unshare'))('isolated programs', () => {
  test('are all gone when the call returns', async () => {
    await using dir = await temporaryDirectory()
    const mark = join(dir.path, 'mount')
    await mkdir(mark)
    const controller = new AbortController()
    const run = runProgram('x', isolated(['sh', '-c', script, 'sh', mark]), {
      signal: controller.signal,
      terminate: killIsolated,
      log: (event) => {
        if (event.kind === 'output') controller.abort()
      },
    })
    await expect(run).rejects.toMatchObject({ code: 'CANCELED' })
    expect(shellsOf(mark)).toEqual([])
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(mark)
  })

  test.skipIf(lacks('binfmt_misc'))(
    'see the emulators of the kernel when they will need them',
    async () => {
      const look = ['cat', '/proc/sys/fs/binfmt_misc/status'] as const
      const { stdout } = await runProgram('x', isolated(look, { emulated: true }))
      expect(stdout).toMatch(/^(enabled|disabled)$/)
    },
  )

  test('die with the process that started them, even by SIGKILL', async () => {
    await using dir = await temporaryDirectory()
    const mark = join(dir.path, 'mount')
    await mkdir(mark)
    const [program, ...args] = isolated(['sh', '-c', script, 'sh', mark])
    const starter = `const c = require('node:child_process').spawn(${JSON.stringify(program)}, ${JSON.stringify(args)}, { stdio: 'inherit' }); setInterval(() => c, 1000)`
    const parent = execa(process.execPath, ['-e', starter], { reject: false, buffer: false })
    await new Promise<void>((resolve) => parent.stdout.once('data', () => resolve()))
    expect(shellsOf(mark)).not.toEqual([])
    parent.kill('SIGKILL')
    await parent
    await expect.poll(() => shellsOf(mark), { interval: 20 }).toEqual([])
    expect(existsSync(mark)).toBe(true)
  })

  test('leave nothing in /tmp and /var/tmp, and see of them only what they may', async () => {
    await using dir = await temporaryDirectory()
    const [own, shown, hidden] = ['own', 'shown', 'hidden'].map((name) => join(dir.path, name))
    for (const path of [own!, shown!, hidden!]) await mkdir(path)
    await writeFile(join(shown!, 'key'), 'mine')
    const mark = `tsnspawn-test-${randomSuffix()}`
    const look = [
      ...['for directory in /tmp /var/tmp; do stat -c %a $directory; echo >$directory/$1; done'],
      ...['cat $2/key; ls $3 2>/dev/null; echo >$2/written'],
    ].join('\n')
    const temporary = { directory: own!, seen: [shown!], templates }
    const argv = ['sh', '-c', look, 'sh', mark, shown!, hidden!] as const
    const { stdout } = await runProgram('x', isolated(argv, { temporary }))
    expect(stdout.split('\n')).toEqual(['1777', '1777', 'mine'])
    for (const directory of ['/tmp', '/var/tmp']) expect(readdirSync(directory)).not.toContain(mark)
    // What it may see is the host's own.
    expect(readdirSync(shown!).toSorted()).toEqual(['key', 'written'])
  })

  test('see only themselves in /proc', async () => {
    const { stdout } = await runProgram(
      'x',
      isolated(['sh', '-c', 'readlink /proc/self; ls -d /proc/[0-9]* | wc -l']),
    )
    expect(stdout.split('\n').map(Number)).toEqual([2, 3])
    expect(await readFile('/proc/self/comm', 'utf8')).not.toBe('')
  })
})

function shellsOf(path: string) {
  return processesNaming(path).filter(({ command }) => command.startsWith('sh -c '))
}
