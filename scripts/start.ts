/**
 * `npm start`: from a fresh Debian machine to a built package, showing each step. What is there already
 * is not done again, so the second run has only the build to do.
 */
import { existsSync, mkdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createTree, planCreate } from '../src/bootstrap/create.ts'
import { buildDebian } from '../src/build/debian/build.ts'
import { readSourceArgument } from '../src/build/debian/source-argument.ts'
import { exitClass, exitCodes } from '../src/cli/exit-codes.ts'
import { createReporter } from '../src/cli/reporter.ts'
import { seconds } from '../src/cli/reporters/plain.ts'
import { catchInterruption } from '../src/cli/signals.ts'
import { NspawnError } from '../src/errors.ts'
import { readOsRelease } from '../src/images/os-release.ts'
import { phase, type LogSink } from '../src/log.ts'
import { machinesDirectory, packageDirectory, stateDirectory } from '../src/paths.ts'
import { runProgram } from '../src/process.ts'

const source = 'hello'

const top = packageDirectory(fileURLToPath(import.meta.url))
const output = join(top, 'dist', source)

async function start(log: LogSink, signal: AbortSignal): Promise<string> {
  if (process.getuid?.() !== 0) {
    throw new NspawnError('making trees and containers needs root', {
      code: 'NOT_ROOT',
      hint: 'run it as root, in a machine that you may throw away',
    })
  }
  const began = performance.now()
  await phase(log, 'looking for the host programs that are needed', () =>
    installPackages(log, signal),
  )
  const { name, path: tree } = await ensureTree(log, signal)
  mkdirSync(output, { recursive: true })
  const built = await buildDebian({
    tree,
    source: readSourceArgument(source, top),
    outputDirectory: output,
    stateDirectory: stateDirectory(),
    options: {
      scope: { any: true, all: true, source: false },
      jobs: availableParallelism(),
      buildOptions: [],
      profiles: [],
      network: 'none',
      environment: {},
    },
    signature: { keyrings: [], required: false },
    signal,
    log,
  })
  return [
    '',
    `${built.name} ${built.version} was built from source in a throw-away container, in ${seconds(performance.now() - began)} from the start.`,
    '',
    ...built.files.map((path) => `  ${path}`),
    `  ${built.logPath}  (all output)`,
    `  ${built.recordPath}  (inputs, steps, results)`,
    '',
    `The tree it was built in, unchanged: ${tree}`,
    'What to try next:',
    `  bin/tsnspawn-build.cjs run ${name} -- cat /etc/os-release`,
    '  bin/tsnspawn-build.cjs --help',
  ].join('\n')
}

async function installPackages(log: LogSink, signal: AbortSignal): Promise<void> {
  const script = join(top, 'scripts/install-packages.sh')
  await runProgram('cannot install what is needed', [script, 'start'], {
    signal,
    log: (event) => {
      if (event.kind === 'output') log({ kind: 'step', text: event.line })
    },
  })
}

/** The release that a Debian host runs itself, which its mirror surely has; elsewhere the current stable. */
async function ensureTree(
  log: LogSink,
  signal: AbortSignal,
): Promise<{ readonly name: string; readonly path: string }> {
  const host = readOsRelease('/')
  const release = host?.['ID'] === 'debian' ? host['VERSION_CODENAME'] : undefined
  const plan = await planCreate({ recipe: 'debian', release }, machinesDirectory())
  if (existsSync(plan.destination)) {
    log({ kind: 'notice', text: `${plan.destination} is there already` })
    return { name: plan.name, path: plan.destination }
  }
  return createTree(plan, {
    machinesDirectory: machinesDirectory(),
    stateDirectory: stateDirectory(),
    log,
    signal,
  })
}

const interruption = catchInterruption()
const style = process.stderr.isTTY ? 'terminal' : 'plain'
const reporter = await createReporter({ style, detail: 'normal', program: 'npm start' })
try {
  const summary = await start(reporter.log, interruption.signal)
  reporter.result(undefined, summary)
} catch (error) {
  process.exitCode = interruption.status() ?? exitCodes[exitClass(error)]
  reporter.failure(error, process.exitCode)
} finally {
  reporter.close()
  interruption.stop()
}
