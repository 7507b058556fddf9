/** Runs the cases of one lane in the machine, one after the other, and tells the host what came of each. */
import { constants, openSync, readFileSync, writeSync } from 'node:fs'
import { lanes, type LaneName } from '../lanes.ts'
import { caseId, type GuestEvent } from '../protocol.ts'
import type { GuestCase } from './group.ts'

/** Longer than any program that a case starts may take. */
const CASE_LIMIT_MS = 150_000

/** What a program has said may be long, and the line to the host is slow. */
const LONGEST = 8_000

const wanted = JSON.parse(
  readFileSync(new URL('wanted.json', import.meta.url), 'utf8'),
) as readonly string[]
const port = openSync('/dev/ttyS1', constants.O_WRONLY | constants.O_NOCTTY)

function tell(event: GuestEvent): void {
  writeSync(port, `${JSON.stringify(event)}\n`)
}

/** @returns what went wrong, if anything */
async function run({ run: body }: GuestCase): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve('it took too long'), CASE_LIMIT_MS)
  })
  const ended = body().then(
    () => undefined,
    (error: unknown) =>
      (error instanceof Error ? (error.stack ?? error.message) : String(error)).slice(0, LONGEST),
  )
  try {
    return await Promise.race([ended, late])
  } finally {
    clearTimeout(timer)
  }
}

for (const { name, cases } of lanes[process.argv[2] as LaneName]) {
  if (!wanted.includes(name)) continue
  for (const one of cases) {
    console.log(`${name} > ${one.title}`)
    const since = performance.now()
    const failure = await run(one)
    const ms = Math.round(performance.now() - since)
    const id = caseId(name, one.title)
    tell({ kind: 'case', id, ms, ...(failure === undefined ? {} : { failure }) })
  }
}
