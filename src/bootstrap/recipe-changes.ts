/** What a recipe of a user's changes of the one that it extends, for people to read. Pure. */
import type { Recipe } from '../recipe.ts'

/** Told by their effects elsewhere. */
const untold = new Set(['id', 'title', 'mirrorsOf'])

/**
 * One line a field, with the path of its name (`packageSets.boot.include`): of lists of words what comes and goes
 * (`+nginx -curl`), of other values the new one and the one before.
 */
export function recipeChanges(base: Recipe, own: Recipe): string[] {
  return changes(base, own, '')
}

function changes(before: unknown, after: unknown, path: string): string[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return []
  if (isRecord(after) && (isRecord(before) || before === undefined)) {
    const old = before ?? {}
    return [...new Set([...Object.keys(old), ...Object.keys(after)])]
      .filter((key) => path !== '' || !untold.has(key))
      .flatMap((key) => changes(old[key], after[key], path === '' ? key : `${path}.${key}`))
  }
  if (isWords(after) && (isWords(before) || before === undefined)) {
    const old = before ?? []
    const come = after.filter((word) => !old.includes(word)).map((word) => `+${word}`)
    const gone = old.filter((word) => !after.includes(word)).map((word) => `-${word}`)
    const words = [...come, ...gone].join(' ')
    return [`${path}: ${words === '' ? `in the order ${after.join(' ')}` : words}`]
  }
  const was = before === undefined ? '' : ` (was ${shown(before)})`
  return [`${path}: ${after === undefined ? 'nothing' : shown(after)}${was}`]
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isWords(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((word) => typeof word === 'string')
}

/** Of lists of what has names, the names. */
function shown(value: unknown): string {
  if (typeof value === 'string') return value
  if (!Array.isArray(value)) return JSON.stringify(value)
  return value
    .map((one: unknown) => {
      if (!isRecord(one)) return JSON.stringify(one)
      const name = one['name'] ?? one['id'] ?? one['file']
      return typeof name === 'string' ? name : JSON.stringify(one)
    })
    .join(', ')
}
