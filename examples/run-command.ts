/** `run-command TREE`: what system is it, and what did it cost to ask? */
import { run } from 'tsnspawn-build'

const [tree = 'box'] = process.argv.slice(2)
const outcome = await run({ in: tree, command: ['cat', '/etc/os-release'] })
const name = /^PRETTY_NAME="(.*)"$/m.exec(outcome.stdout)?.[1]
console.log(`${tree} is ${name}`)
console.log(`status ${outcome.status}, ${outcome.usage?.maxRssKb} KiB at most`)
