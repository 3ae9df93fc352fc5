// Why CreateSession is signed here: the SDK's client has the control plane only.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as rolesAnywhere from '@aws-sdk/client-rolesanywhere'

test("the AWS SDK's Roles Anywhere client still has no CreateSession: the day it has one, ours may go", () => {
  assert.equal(typeof rolesAnywhere.GetTrustAnchorCommand, 'function')
  assert.deepEqual(
    Object.keys(rolesAnywhere).filter((name) => name.startsWith('CreateSession')),
    [],
  )
})
