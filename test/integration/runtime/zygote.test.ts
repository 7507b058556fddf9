/** Containers that the library starts: each by a supervisor of its own, all from one zygote. */
import { execa } from 'execa'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { runContainer, type ContainerRun } from '../../../src/runtime/client.ts'
import { defaultSettings } from '../../../src/settings/settings.ts'
import { debianTree } from '../../fixtures/debian-tree.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { descendants } from '../../fixtures/processes.ts'

let tree = ''

beforeAll(async () => {
  tree = await debianTree()
})

function run(command: readonly string[], options: Partial<ContainerRun> = {}) {
  const settings = {
    ...defaultSettings(),
    root: { kind: 'directory' as const, path: tree },
    access: 'read-only' as const,
    register: 'no' as const,
    quiet: true,
    command,
  }
  return runContainer({ settings, stdio: 'capture', ...options })
}

/** Its supervisors have its arguments too, and may have lower numbers once these have started anew. */
function zygote(): number {
  const all = descendants(process.pid).filter(({ command }) => command.includes('zygote.cjs'))
  return all.find(({ parent }) => !all.some(({ pid }) => pid === parent))?.pid as number
}

/** The payload of `sleep SECONDS`, when it is there. */
async function sleeper(seconds: string, below = process.pid): Promise<{ pid: number }> {
  for (let i = 0; i < 200; i++) {
    const found = descendants(below).find(({ command }) => command === `sleep ${seconds}`)
    if (found !== undefined) return found
    await sleep(20)
  }
  throw new Error(`no sleep ${seconds}`)
}

async function isGone(pid: number): Promise<boolean> {
  for (let i = 0; i < 200; i++) {
    try {
      process.kill(pid, 0)
    } catch {
      return true
    }
    await sleep(20)
  }
  return false
}

/** The supervisor of a container that has just ended goes by itself. */
function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function openDescriptors(pid: number | 'self'): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

function parentOf(pid: number): number {
  return Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1])
}

describe('an outcome', () => {
  it('has what was written, apart, and the status', async () => {
    const outcome = await run(['sh', '-c', 'echo out; echo err >&2; exit 3'])
    expect(outcome).toMatchObject({ status: 3, signal: undefined, timedOut: false })
    expect(outcome).toMatchObject({ stdout: 'out\n', stderr: 'err\n' })
  })

  it('has the signal that ended the payload', async () => {
    const running = run(['sleep', '1111'])
    const { pid } = await sleeper('1111')
    process.kill(pid, 'SIGKILL')
    expect(await running).toMatchObject({ signal: 9, status: 1 })
  })

  it('tells what the container used', async () => {
    const { usage } = await run(['sh', '-c', 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'])
    expect(usage?.userMs).toBeGreaterThan(50)
    expect(usage?.maxRssKb).toBeGreaterThan(500)
  })

  it('has all of the output, however much it is', async () => {
    const { stdout } = await run(['sh', '-c', 'head -c 3000000 /dev/zero | tr "\\0" x'])
    expect(stdout.length).toBe(3_000_000)
  })

  it('is an error where the payload cannot be executed', async () => {
    await expect(run(['/no/such/program'])).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

it('starts a container again that reboots, with what it had written', async () => {
  const script = `if [ -e /seen ]; then echo again; else touch /seen; echo first
    exec perl -e 'syscall 169, 0xfee1dead, 672274793, 0x1234567, 0; sleep 5'; fi`
  const settings = {
    ...defaultSettings(),
    root: { kind: 'directory' as const, path: tree },
    ephemeral: true,
    register: 'no' as const,
    quiet: true,
    command: ['sh', '-c', script],
  }
  const outcome = await runContainer({ settings, stdio: 'capture' })
  expect(outcome).toMatchObject({ status: 0, stdout: 'first\nagain\n' })
})

describe('the zygote', () => {
  it('starts containers at the same time', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 6 }, (_, i) => run(['sh', '-c', `sleep 0.2; echo ${i}`])),
    )
    expect(outcomes.map(({ stdout }) => stdout.trim())).toEqual(['0', '1', '2', '3', '4', '5'])
  })

  it('leaks nothing over many containers', async () => {
    for (let i = 0; i < 3; i++) await run(['true'])
    const before = await leftOvers()
    const pid = zygote()
    const [own, its] = [openDescriptors('self'), openDescriptors(pid)]
    const processes = descendants(process.pid).length
    for (let i = 0; i < 40; i++) await run(['true'])
    await sleep(200)
    expect(zygote()).toBe(pid)
    expect(openDescriptors('self')).toBe(own)
    expect(openDescriptors(pid)).toBe(its)
    expect(descendants(process.pid).length).toBe(processes)
    expect(await newLeftOvers(before)).toEqual([])
  })

  it('goes on when a supervisor is killed, and the container goes with it', async () => {
    await run(['true'])
    const before = zygote()
    const running = run(['sleep', '1112'])
    const { pid } = await sleeper('1112')
    process.kill(parentOf(pid), 'SIGKILL')
    await expect(running).rejects.toMatchObject({ code: 'RUNTIME_DIED' })
    expect(await isGone(pid)).toBe(true)
    expect((await run(['true'])).status).toBe(0)
    expect(zygote()).toBe(before)
  })

  it('is replaced when it is killed, and running containers go on', async () => {
    const running = run(['sh', '-c', 'sleep 1.113; echo done'])
    await sleeper('1.113')
    const before = zygote()
    process.kill(before, 'SIGKILL')
    expect((await run(['true'])).status).toBe(0)
    expect(zygote()).not.toBe(before)
    expect((await running).stdout).toBe('done\n')
  })

  it('lets pass by what a terminal sends to all, since that is for its user', async () => {
    await run(['true'])
    const before = zygote()
    for (const { pid } of descendants(before)) process.kill(pid, 'SIGINT')
    for (const signal of ['SIGINT', 'SIGHUP', 'SIGQUIT'] as const) process.kill(before, signal)
    expect((await run(['sh', '-c', 'sleep 0.1; echo done'])).stdout).toBe('done\n')
    expect(zygote()).toBe(before)
  })

  it('replaces the supervisor that waits, when that is killed, with an order or without', async () => {
    await run(['true'])
    const pid = zygote()
    for (let i = 0; i < 10; i++) {
      // One that is dying may still take an order along.
      for (const child of descendants(pid)) killIfThere(child.pid)
      expect((await run(['true'])).status).toBe(0)
    }
    expect(zygote()).toBe(pid)
  })
})

describe('a container that nobody wants any more', () => {
  it('ends when its run is aborted', async () => {
    const controller = new AbortController()
    const running = run(['sleep', '1114'], { signal: controller.signal })
    const { pid } = await sleeper('1114')
    controller.abort()
    await expect(running).rejects.toMatchObject({ code: 'CANCELED' })
    expect(await isGone(pid)).toBe(true)
  })

  it('ends when its time is over', async () => {
    const running = run(['sleep', '1115'], { timeoutMs: 700 })
    const { pid } = await sleeper('1115')
    expect(await running).toMatchObject({ timedOut: true })
    expect(await isGone(pid)).toBe(true)
  })

  it.each(['SIGKILL', 'SIGTERM'] as const)('ends when its user dies of %s', async (signal) => {
    const [runner, script] = ['scripts/run.mjs', 'test/integration/runtime/run-container.ts']
    const user = execa('node', [runner, script, tree, 'sleep', '1116'], { reject: false })
    const { pid } = await sleeper('1116', user.pid)
    user.kill(signal)
    await user
    expect(await isGone(pid)).toBe(true)
  })
})
