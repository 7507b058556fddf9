/**
 * What it costs to run tests in containers: fifty cases that each sleep for a second, in two images, two at a time, from the
 * command to its end: `node scripts/run.mjs test/bench/suites.ts` (as root). `--rounds=N` sets how often (default 3).
 */
import { execa } from 'execa'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { debianBootTree, debianTree, testDirectory } from '../fixtures/debian-tree.ts'
import { tsnspawnBuild } from '../fixtures/programs.ts'
import { row } from '../fixtures/table.ts'
import { keepTable, median } from './bench.ts'

const casesPerImage = 25
const jobs = 2
const ownSeconds = (2 * casesPerImage) / jobs

const place = join(testDirectory, 'bench-suites')
await rm(place, { recursive: true, force: true })
await mkdir(place, { recursive: true })
const [first, second] = [await debianTree(), await debianBootTree()]
const suite = join(place, 'suite.yaml')
const cases = Array.from(
  { length: casesPerImage },
  (_, n) => `  - { name: case ${n}, command: sleep 1 }`,
)
await writeFile(
  suite,
  `images: [{ image: ${first}/, label: one }, { image: ${second}/, label: two }]\ncases:\n${cases.join('\n')}\n`,
)
const rounds = Number(/^--rounds=(\d+)$/.exec(process.argv[2] ?? '')?.[1] ?? 3)
const times: number[] = []
for (let round = 0; round < rounds; round++) {
  const [program, ...args] = tsnspawnBuild(
    ...['--state-dir', join(place, 'state'), 'test', suite, '--jobs', String(jobs)],
  )
  const began = performance.now()
  await execa(program, args, { stdin: 'ignore' })
  times.push((performance.now() - began) / 1000)
  console.log(`${times.at(-1)?.toFixed(2)} s`)
}
await rm(place, { recursive: true })
const typical = median(times)
const table = [
  row('what', 's', 'ratio', 'budget'),
  row('---', '---:', '---', '---'),
  row('what the cases sleep', ownSeconds.toFixed(2), '', ''),
  row(
    'tsnspawn-build test',
    typical.toFixed(2),
    `${(typical / ownSeconds).toFixed(2)}×`,
    '≤ 1.15×',
  ),
].join('\n')
console.log(table)
keepTable('suites', `Median of ${rounds} runs of fifty cases in two images, two at a time`, table)
