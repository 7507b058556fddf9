/** The parts of undici that are used, under their names: a bundler hides them behind `default`. */
export { EnvHttpProxyAgent, request } from 'undici'
