/** `cancel-transfer ID...` */
import { usageError } from '../../errors.ts'
import { cancelTransfer } from '../../transfer/transfers.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'

export const define: VerbModule['define'] = (command, run) => {
  command.argument('<ids...>', 'as list-transfers shows them').action((words: string[]) =>
    run(async (context) => {
      const ids = words.map((word) => {
        if (/^[1-9]\d{0,8}$/.test(word)) return Number(word)
        throw usageError(`"${word}" is no transfer`, 'list-transfers shows their numbers')
      })
      requireRoot('canceling transfers')
      for (const id of ids) await cancelTransfer(id, context.log)
      context.result(ids, ids.map((id) => `canceled transfer ${id}`).join('\n'))
      return 0
    }),
  )
}
