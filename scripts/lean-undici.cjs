'use strict'
/**
 * What bundles have in the place of undici: the parts that src/transfer/http-client.ts uses. All of undici, with the
 * browser's fetch, cookies, caches and mocks, takes 60 ms of every pull's start and 8 MB. The library, whose users
 * choose the version, loads undici as it is.
 */
const Dispatcher = require('../node_modules/undici/lib/dispatcher/dispatcher.js')
const EnvHttpProxyAgent = require('../node_modules/undici/lib/dispatcher/env-http-proxy-agent.js')

// As undici's own index.js does it, for all that it has.
Dispatcher.prototype.request = require('../node_modules/undici/lib/api/api-request.js')

module.exports = { EnvHttpProxyAgent }
