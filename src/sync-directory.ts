/** A new name is on disk when the directory that has it is. */
import { open } from 'node:fs/promises'

/** Waits until the names in the directory are on disk. @throws what open(2) and fsync(2) throw */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
