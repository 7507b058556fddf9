/** The library's door: what a recipe, a build driver or a test matrix needs, typed. */
export { NspawnError } from './errors.ts'
export type { LogEvent, LogSink } from './log.ts'
export { defineRecipe } from './recipe.ts'
export { runContainer, type ContainerOutcome, type ContainerRun } from './runtime/client.ts'
export { run, type RunOptions } from './runtime/run.ts'
export { Machine, type EnterOptions, type StartOptions } from './machines/machine.ts'
export { defaultSettings, type Settings } from './settings/settings.ts'
export { buildDebian } from './build/debian/build.ts'
