/**
 * The same command line through the real systemd-nspawn and through ours. With
 * TSNSPAWN_PARITY=original both sides are the original: what fails then is a mistake of the test.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { leftOvers, newLeftOvers } from '../fixtures/left-overs.ts'
import { systemdNspawn, tsnspawn } from '../fixtures/programs.ts'
import { lacks } from '../fixtures/requires.ts'
import type { ParityCase } from './case.ts'
import { casesByOption } from './cases/all.ts'
import { differences, explain, type Difference } from './differences.ts'
import { compareFacts, type Facts } from './facts.ts'
import { Stage, type Outcome } from './stage.ts'

const againstItself = process.env['TSNSPAWN_PARITY'] === 'original'
const ours = againstItself ? systemdNspawn : tsnspawn
const seen = new Set<Difference>()

let stage: Stage

function told(what: string, { ended, stdout, stderr }: Outcome): string {
  return `${what} ended with ${ended}\n${stdout}${stderr}`.slice(-4000)
}

function unexplained(real: Facts, mine: Facts): string[] {
  const mismatches = compareFacts(real, mine).filter((mismatch) => {
    const difference = againstItself ? undefined : explain(mismatch)
    if (difference !== undefined) seen.add(difference)
    return difference === undefined
  })
  return mismatches.map(({ key, real: is, ours: got }) => `${key}\n  real: ${is}\n  ours: ${got}`)
}

/** What the sides disagree on, in lines; what is documented is noted and left out. */
function disagreements(real: Outcome, mine: Outcome): string[] {
  if (real.facts === undefined) return [told('the probe failed in the original:', real)]
  if (mine.facts === undefined) return [told('the probe failed in ours:', mine)]
  return unexplained(real.facts, mine.facts)
}

/** The original's outcome; its start-up handshake breaks now and then, and such a run says nothing of the case. */
async function runOriginal(parityCase: ParityCase): Promise<Outcome> {
  for (let attempt = 1; ; attempt++) {
    const real = await stage.run(parityCase, systemdNspawn)
    const broken = parityCase.compare !== 'refusal' && /died too early/.test(real.stderr)
    if (!broken || attempt === 3) return real
  }
}

const checks: Record<ParityCase['compare'], (c: ParityCase, real: Outcome, mine: Outcome) => void> =
  {
    facts: (_case, real, mine) => {
      expect(disagreements(real, mine).join('\n')).toBe('')
      expect(mine.ended).toBe(real.ended)
    },
    outcome: (_case, real, mine) => {
      const plain = (text: string) => text.replaceAll(/\r+\n/g, '\n')
      expect({ ended: mine.ended, stdout: plain(mine.stdout) }, mine.stderr).toEqual({
        ended: real.ended,
        stdout: plain(real.stdout),
      })
    },
    refusal: (parityCase, real, mine) => {
      expect(real.ended, told('the original', real)).not.toBe(0)
      expect(mine.ended, told('ours', mine)).toBe(real.ended)
      // From a certain point on the original speaks through the container's console.
      const said = mine.stdout + mine.stderr
      expect(said).toMatch(againstItself ? /./ : (parityCase.names ?? /./))
    },
  }

describe.skipIf(lacks('root', 'overlay', 'program:systemd-nspawn', 'program:mmdebstrap'))(
  'parity',
  () => {
    beforeAll(async () => {
      stage = await Stage.open()
    })
    afterAll(() => stage[Symbol.asyncDispose]())

    describe.each([...casesByOption()])('%s', (_option, cases) => {
      test.each(cases)('$title', async (parityCase) => {
        const real = await runOriginal(parityCase)
        const scope = { directories: [stage.directory], machines: ['parity'] }
        const before = await leftOvers(scope)
        const mine = await stage.run(parityCase, ours)
        checks[parityCase.compare](parityCase, real, mine)
        expect(unexplained(real.treeFacts, mine.treeFacts).join('\n'), 'changes of the tree').toBe(
          '',
        )
        const left = againstItself ? [] : await newLeftOvers(before, scope)
        expect(left, 'nothing is left over').toEqual([])
      })
    })

    test.skipIf(againstItself)('every documented difference is still one', () => {
      const stale = differences.filter((difference) => !seen.has(difference))
      expect(stale.map(({ title }) => title)).toEqual([])
    })
  },
)
