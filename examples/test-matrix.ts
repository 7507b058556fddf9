/** `test-matrix TREE...`: the same test in each tree, all at once; the first failure ends the others. */
import { NspawnError, run } from 'tsnspawn-build'

const trees = process.argv.slice(2)
const giveUp = new AbortController()

async function test(tree: string): Promise<string> {
  try {
    const { status, timedOut, stderr } = await run({
      in: tree,
      command: ['sh', '-c', 'test "$(printf "b\\na\\n" | sort | head -n 1)" = a'],
      environment: { LC_ALL: 'C.UTF-8' },
      signal: giveUp.signal,
      timeoutMs: 60_000,
    })
    if (status === 0 && !timedOut) return `${tree}: passed`
    giveUp.abort()
    return `${tree}: ${timedOut ? 'timed out' : `failed with ${status}`} ${stderr}`
  } catch (error) {
    if (error instanceof NspawnError && error.code === 'CANCELED') return `${tree}: given up`
    throw error
  }
}

console.log((await Promise.all(trees.map(test))).join('\n'))
process.exitCode = giveUp.signal.aborted ? 1 : 0
