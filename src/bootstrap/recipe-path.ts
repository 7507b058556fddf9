/** How a recipe of a user's is told from one that comes along; planning asks too, and reads no files. */

/** Whether what stands behind `create` is a path, not the name of a recipe. */
export function isRecipePath(text: string): boolean {
  return text.includes('/') || /\.(json|mjs|js|ts|mts)$/.test(text)
}
